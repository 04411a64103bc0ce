"""Labelled examples, just as a job makes them: a text, the gaps in it, and what was there.

The tokens are those of a job's first samples. The text is for reading: control tokens are left out,
and a blank line stands between documents.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from core.spec import Objective
from corpora.objectives import remover_for
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
    """What it must say: the token after each (causal), the removed ones in order (masked)."""


def labelled_examples(
    split: TokenStream,
    *,
    objective: Objective,
    tokenizer: Tokenizer,
    context_length: int,
    seed: int,
    limit: int,
) -> list[Example]:
    """The first ``limit`` samples of a job.

    Args:
        split: the train split of a dataset.
        objective: the job's.
        tokenizer: the dataset's.
        context_length: tokens of a window, at least 16; a job's is its model's.
        seed: the job's.
        limit: how many; none is made of an empty split.
    """
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    remover = remover_for(objective, vocabulary=vocabulary, context_length=context_length)
    windows = TokenWindows(split, remover)
    if not windows.count or limit < 1:
        return []
    made = windows.samples(np.arange(limit, dtype=np.int64), seed=seed)
    return [
        _causal_example(inputs, labels[counts], vocabulary)
        if made.positions is None
        else _masked_example(inputs, labels[counts], made.positions[row][counts], vocabulary)
        for row, (inputs, labels, counts) in enumerate(
            zip(made.input_ids, made.labels, made.loss_mask, strict=True)
        )
    ]


def _causal_example(
    inputs: NDArray[np.int64], labels: NDArray[np.int64], vocabulary: Vocabulary
) -> Example:
    """Every token is predicted; the last word shows it."""
    text = _Text.of(np.append(inputs[:1], labels), vocabulary).text
    words = list(_WORD.finditer(text))
    start, end = words[-1].span() if words else (max(0, len(text) - 1), len(text))
    return _example(text, [(start, end)], inputs, labels)


def _masked_example(
    inputs: NDArray[np.int64],
    labels: NDArray[np.int64],
    positions: NDArray[np.int64],
    vocabulary: Vocabulary,
) -> Example:
    tokens = inputs.copy()
    tokens[positions] = labels
    readable = _Text.of(tokens, vocabulary)
    spans: list[tuple[int, int]] = []
    for first, last in _words_among(positions, tokens, vocabulary):
        start, end = readable.span(first, last)
        if spans and start < spans[-1][1]:  # two tokens that share a character
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return _example(readable.text, spans, inputs, labels)


def _example(
    text: str,
    spans: list[tuple[int, int]],
    inputs: NDArray[np.int64],
    labels: NDArray[np.int64],
) -> Example:
    blanked, kept_to = "", 0
    for start, end in spans:
        blanked += text[kept_to:start] + GAP
        kept_to = end
    return Example(
        text=text,
        blanked=blanked + text[kept_to:],
        removed=tuple(Removed(text[start:end], start, end) for start, end in spans),
        input_tokens=tuple(inputs.tolist()),
        label_tokens=tuple(labels.tolist()),
    )


def _words_among(
    positions: NDArray[np.int64], tokens: NDArray[np.int64], vocabulary: Vocabulary
) -> list[tuple[int, int]]:
    """The first and the last token of each removed word."""
    words: list[tuple[int, int]] = []
    for position in positions.tolist():
        goes_on = (
            vocabulary.begins_with_word_byte[tokens[position]]
            and vocabulary.ends_with_word_byte[tokens[position - 1]]
        )
        if words and words[-1][1] == position - 1 and goes_on:
            words[-1] = (words[-1][0], position)
        else:
            words.append((position, position))
    return words


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
