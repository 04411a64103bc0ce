"""Labelled examples, just as a job makes them: a text, the gaps in it, and what was there.

The tokens are those of a job's first samples. The text is for reading: control tokens are left out,
and a blank line stands between documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from core.objectives import AnyObjective
from corpora.objectives import removers_for
from corpora.removers.samples import Reading, Samples
from corpora.vocabulary import END_OF_TEXT, SEP, Vocabulary
from corpora.windows import TokenStream, TokenWindows

GAP: Final = "____"

_BETWEEN_DOCUMENTS: Final = b"\n\n"
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken out: ``text[start:end]`` of the example, in characters."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Example:
    """One sample of a job, readable."""

    text: str
    blanked: str
    """The text with ``____`` in place of each removed piece."""
    removed: tuple[Removed, ...]
    """From left to right, at least one."""
    input_tokens: tuple[int, ...]
    """What the model sees."""
    label_tokens: tuple[int, ...]
    """What it must say: the token after each, or the removed ones in order; an answer's sentinels
    are part of it."""
    label_positions: tuple[int, ...]
    """At which token of the input it says each of them; everything else costs it nothing."""


def labelled_examples(
    split: TokenStream,
    *,
    objective: AnyObjective,
    tokenizer: Tokenizer,
    context_length: int,
    seed: int,
    limit: int,
    first: int = 0,
    stage: int = 0,
) -> list[Example]:
    """``limit`` samples of a job, from its first on or from any other.

    Args:
        split: the train split of a dataset.
        objective: the job's.
        tokenizer: the dataset's.
        context_length: tokens of a window, at least 16; a job's is its model's.
        seed: the job's.
        limit: how many; none is made of an empty split.
        first: the number of the first of them: a step begins at its own number times the sequences
            of a step.
        stage: of a staged objective, that which makes them.
    """
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    removers = removers_for(objective, vocabulary=vocabulary, context_length=context_length)
    windows = TokenWindows(split, removers[stage])
    if not windows.count or limit < 1:
        return []
    samples = np.arange(first, first + limit, dtype=np.int64)
    made = windows.samples(samples, seed=seed)
    readings = windows.readings(samples, seed=seed)
    return [
        _example(reading, made, row=row, vocabulary=vocabulary)
        for row, reading in enumerate(readings)
    ]


def _example(reading: Reading, made: Samples, *, row: int, vocabulary: Vocabulary) -> Example:
    readable = _Text.of(reading.tokens, vocabulary)
    text = readable.text
    spans = _spans(readable, reading.gaps) if reading.gaps else [_last_word(text)]
    blanked, kept_to = "", 0
    for start, end in spans:
        blanked += text[kept_to:start] + GAP
        kept_to = end
    counts = made.loss_mask[row]
    positions = np.flatnonzero(counts) if made.positions is None else made.positions[row][counts]
    return Example(
        text=text,
        blanked=blanked + text[kept_to:],
        removed=tuple(Removed(text[start:end], start, end) for start, end in spans),
        input_tokens=tuple(made.input_ids[row].tolist()),
        label_tokens=tuple(made.labels[row][counts].tolist()),
        label_positions=tuple(positions.tolist()),
    )


def _last_word(text: str) -> tuple[int, int]:
    """Where every token is predicted, the last word shows it."""
    words = list(_WORD.finditer(text))
    return words[-1].span() if words else (max(0, len(text) - 1), len(text))


def _spans(readable: _Text, gaps: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where the gaps are in the text, in characters."""
    spans: list[tuple[int, int]] = []
    for first, last in gaps:
        start, end = readable.span(first, last)
        if spans and start < spans[-1][1]:  # two tokens that share a character
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


@dataclass(frozen=True, slots=True)
class _Text:
    """The text of some tokens, and where each token is in it.

    A window may begin or end within a character; what is left of it reads as U+FFFD.
    """

    text: str
    first_byte: list[int]
    """Of each token, and after the last."""
    character_of_byte: list[int]

    @classmethod
    def of(cls, tokens: NDArray[np.int64], vocabulary: Vocabulary) -> _Text:
        """Write tokens out."""
        ordinary = np.flatnonzero(~vocabulary.is_special[tokens])
        between = range(int(ordinary[0]), int(ordinary[-1])) if len(ordinary) else range(0)
        pieces = [
            _BETWEEN_DOCUMENTS
            if token in {END_OF_TEXT, SEP} and place in between
            else vocabulary.token_bytes(token)
            for place, token in enumerate(tokens.tolist())
        ]
        text, character_of_byte = _decode(b"".join(pieces))
        first_byte = [0]
        for piece in pieces:
            first_byte.append(first_byte[-1] + len(piece))
        return cls(text, first_byte, character_of_byte)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """The characters of tokens ``first`` to ``last``, without the white space around them."""
        start = self.character_of_byte[self.first_byte[first]]
        end = self.character_of_byte[self.first_byte[last + 1] - 1] + 1
        piece = self.text[start:end]
        if not piece.isspace():
            end -= len(piece) - len(piece.rstrip())
            start += len(piece) - len(piece.lstrip())
        return start, end


def _decode(data: bytes) -> tuple[str, list[int]]:
    """The text of some bytes, and which character each byte belongs to."""
    characters: list[str] = []
    character_of_byte: list[int] = []
    while data:
        try:
            valid, length, broken = data.decode(), len(data), 0
        except UnicodeDecodeError as error:
            valid, length, broken = data[: error.start].decode(), error.start, error.end
        for character in valid:
            character_of_byte += [len(characters)] * len(character.encode())
            characters.append(character)
        if broken:
            character_of_byte += [len(characters)] * (broken - length)
            characters.append("\N{REPLACEMENT CHARACTER}")
        data = data[max(length, broken) :]
    return "".join(characters), character_of_byte
