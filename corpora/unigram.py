"""A unigram vocabulary learned from word counts (Kudo, arXiv 1804.10959), the same every time.

Begins with many more pieces than wanted, fits their probabilities by expectation and maximisation,
and again and again removes those whose loss costs the text the least. `tokenizers` has a trainer
too, but it sums floats in the order of a hash table: no two of its vocabularies are the same.

Legend: P byte positions, N nodes (before, between and after the bytes of a word), E edges (a piece
at a place of a word), V pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_FREQUENCY: Final = 2
MAX_PIECE_BYTES: Final = 16
SEEDS_PER_PIECE: Final = 8
MAX_WORDS: Final = 50_000
"""The most frequent ones, which make up all but a few hundredths of a text."""

_NUM_BYTES: Final = 256
_MAX_WORD_BYTES: Final = 32
"""Longer words are cut: the probability of one may be too small for a float."""
_SHRINKING: Final = 0.75
_NUM_ITERATIONS: Final = 2
_NUM_LAST_ITERATIONS: Final = 4
_SCORE_DECIMALS: Final = 6
_CONTINUATION: Final = 0x80
_MASK_OF_LEAD_BITS: Final = 0xC0
_PRIOR: Final = 0.5

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def learn_pieces(
    counts: Mapping[bytes, int],
    *,
    num_pieces: int,
    on_progress: Callable[[float], None] = lambda _: None,
) -> dict[bytes, float]:
    """Pieces and the logarithms of their probabilities, the likeliest first.

    All 256 single bytes are among them, so that any text can be written. There are fewer than
    ``num_pieces`` only where the text has no more strings that stand in it at least twice. No
    longer piece begins or ends within a character.

    Args:
        counts: how often each word was seen; pieces stay within words.
        num_pieces: the number of pieces wanted, at least 256.
        on_progress: told how far it is, from 0 to 1.
    """
    words = _Words.of(counts)
    pieces, places = _seeds(words, num_seeds=SEEDS_PER_PIECE * num_pieces)
    sizes = _sizes(len(pieces.tokens), num_pieces)
    for place, size in enumerate(sizes):
        lattice = _Lattice.of(words, places)
        for _ in range(_NUM_ITERATIONS):
            pieces = lattice.fit(pieces)
        pieces, places = _pruned(pieces, places, size)
        on_progress((place + 1) / (len(sizes) + 1))
    lattice = _Lattice.of(words, places)
    for _ in range(_NUM_LAST_ITERATIONS):
        pieces = lattice.fit(pieces)
    on_progress(1.0)
    return pieces.scores()


def _sizes(num_seeds: int, num_pieces: int) -> list[int]:
    """How many pieces to keep after each round."""
    sizes: list[int] = []
    size = num_seeds
    while size > num_pieces:
        size = max(num_pieces, int(size * _SHRINKING))
        sizes.append(size)
    return sizes


@dataclass(frozen=True, slots=True)
class _Words:
    """Words one after another, and how often each was seen; a word's nodes are one more."""

    text: NDArray[np.uint8]
    nodes: Ints
    """The node before each byte."""
    left: Ints
    """How many bytes the word has from here on."""
    first: Ints
    """The first node of each node's word."""
    last: Ints
    weights: Floats

    @classmethod
    def of(cls, counts: Mapping[bytes, int]) -> _Words:
        kept = sorted(counts, key=lambda word: (-counts[word], word))[:MAX_WORDS]
        parts = [(part, counts[word]) for word in kept for part in _short_parts(word)]
        lengths = np.array([len(part) for part, _ in parts], dtype=np.int64)
        ends = np.cumsum(lengths + 1) - 1
        word_P = np.repeat(np.arange(len(parts)), lengths)
        node_P = np.arange(int(lengths.sum())) + word_P
        return cls(
            text=np.frombuffer(b"".join(part for part, _ in parts), dtype=np.uint8),
            nodes=node_P,
            left=ends[word_P] - node_P,
            first=np.repeat(ends - lengths, lengths + 1),
            last=np.repeat(ends, lengths + 1),
            weights=np.repeat(np.array([n for _, n in parts], dtype=np.float64), lengths + 1),
        )


def _short_parts(word: bytes) -> Iterator[bytes]:
    """A word, or parts of it that begin with characters."""
    start = 0
    while len(word) - start > _MAX_WORD_BYTES:
        end = start + _MAX_WORD_BYTES
        while word[end] & _MASK_OF_LEAD_BITS == _CONTINUATION and end > start + 1:
            end -= 1
        yield word[start:end]
        start = end
    yield word[start:]


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Pieces, the 256 bytes first, and how often each is expected in the text."""

    tokens: tuple[bytes, ...]
    counts: Floats

    def log_probabilities(self) -> Floats:
        """As SentencePiece has them: of exp(digamma(count)), which is about count - 1/2."""
        counts = np.maximum(self.counts - _PRIOR, _PRIOR)
        logarithms: Floats = np.log(counts / counts.sum())
        return logarithms

    def scores(self) -> dict[bytes, float]:
        """Each piece's logarithm, rounded, the likeliest first."""
        rounded = np.round(self.log_probabilities(), _SCORE_DECIMALS).tolist()
        by_score = sorted(zip(self.tokens, rounded, strict=True), key=lambda p: (-p[1], p[0]))
        return dict(by_score)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where pieces stand: edges from one node to another."""

    starts: Ints
    ends: Ints
    pieces: Ints


def _seeds(words: _Words, *, num_seeds: int) -> tuple[_Pieces, _Places]:
    """The bytes, and the strings that cover the most of the text, with every place of theirs."""
    found = list(_repeated_strings(words))
    cover = np.concatenate([np.empty(0), *(strings.covers for strings in found)])
    tokens = [token for strings in found for token in strings.tokens]
    by_cover = sorted(range(len(tokens)), key=lambda i: (-cover[i], tokens[i]))
    chosen = by_cover[: max(0, num_seeds - _NUM_BYTES)]
    piece_of = np.full(len(tokens), -1, dtype=np.int64)
    piece_of[chosen] = _NUM_BYTES + np.arange(len(chosen))
    starts, ends = [words.nodes], [words.nodes + 1]
    pieces = [words.text.astype(np.int64)]
    num_before = 0
    for strings in found:
        piece_E = piece_of[num_before + strings.strings]
        is_chosen = piece_E >= 0
        starts.append(strings.starts[is_chosen])
        ends.append(starts[-1] + strings.length)
        pieces.append(piece_E[is_chosen])
        num_before += len(strings.tokens)
    places = _Places(*(np.concatenate(parts) for parts in (starts, ends, pieces)))
    all_tokens = (*(bytes([byte]) for byte in range(_NUM_BYTES)), *(tokens[i] for i in chosen))
    weight_E = words.weights[places.starts]
    counts = _sums(places.pieces, weight_E, size=len(all_tokens))
    return _Pieces(all_tokens, counts), places


@dataclass(frozen=True, slots=True)
class _Strings:
    """The strings of one length, and where they stand."""

    length: int
    tokens: list[bytes]
    covers: Floats
    """How many bytes of the text each covers."""
    starts: Ints
    strings: Ints


def _repeated_strings(words: _Words) -> Iterator[_Strings]:
    """The strings of whole characters that stand in the text at least twice, by their lengths.

    Every beginning of such a string stands there as often, so each length is found among the
    places of the one before.
    """
    begins_character = (words.text & _MASK_OF_LEAD_BITS) != _CONTINUATION
    ends_character = np.r_[begins_character[1:], True]
    place_E = np.flatnonzero(begins_character)
    id_E = words.text[place_E].astype(np.int64)
    for length in range(2, MAX_PIECE_BYTES + 1):
        fits = words.left[place_E] >= length
        place_E, id_E = place_E[fits], id_E[fits]
        longer_E = id_E * _NUM_BYTES + words.text[place_E + length - 1]
        _, id_E = np.unique(longer_E, return_inverse=True)
        weight_E = words.weights[words.nodes[place_E]]
        is_repeated = np.bincount(id_E, weight_E)[id_E] >= MIN_FREQUENCY
        place_E, id_E, weight_E = place_E[is_repeated], id_E[is_repeated], weight_E[is_repeated]
        whole = ends_character[place_E + length - 1] | (words.left[place_E] == length)
        _, first, string_E = np.unique(id_E[whole], return_index=True, return_inverse=True)
        text = words.text.tobytes()
        yield _Strings(
            length=length,
            tokens=[text[p : p + length] for p in place_E[whole][first].tolist()],
            covers=_sums(string_E, weight_E[whole], size=len(first)) * length,
            starts=words.nodes[place_E[whole]],
            strings=string_E,
        )


@dataclass(frozen=True, slots=True)
class _Lattice:
    """Every way to write the words in pieces, ready to be summed over."""

    words: _Words
    places: _Places
    forward: list[_Step]
    backward: list[_Step]

    @classmethod
    def of(cls, words: _Words, places: _Places) -> _Lattice:
        start_E, end_E = places.starts, places.ends
        from_first = end_E - words.first[start_E]
        to_last = words.last[start_E] - start_E
        return cls(words, places, _steps(from_first, into_E=end_E), _steps(to_last, into_E=start_E))

    def fit(self, pieces: _Pieces) -> _Pieces:
        """Count how often each piece is expected, given how likely each is now."""
        start_E, end_E, piece_E = self.places.starts, self.places.ends, self.places.pieces
        words = self.words
        probability_E = np.exp(pieces.log_probabilities())[piece_E]
        before_N = np.zeros(len(words.first))
        before_N[words.first] = 1.0
        for step in self.forward:
            step.sum_into(before_N, before_N[start_E[step.edges]] * probability_E[step.edges])
        after_N = np.zeros(len(words.first))
        after_N[words.last] = 1.0
        for step in self.backward:
            step.sum_into(after_N, after_N[end_E[step.edges]] * probability_E[step.edges])
        share_E = before_N[start_E] * probability_E * after_N[end_E]
        share_E *= (words.weights / after_N[words.first])[start_E]
        return _Pieces(pieces.tokens, _sums(piece_E, share_E, size=len(pieces.tokens)))


@dataclass(frozen=True, slots=True)
class _Step:
    """Edges whose values can be summed at once, in the order of the nodes they lead into."""

    edges: Ints
    begins: Ints
    """Where in ``edges`` each node's stretch begins."""
    nodes: Ints

    def sum_into(self, values_N: Floats, values: Floats) -> None:
        values_N[self.nodes] = np.add.reduceat(values, self.begins)


def _steps(depth_E: Ints, *, into_E: Ints) -> list[_Step]:
    """Edges by their depth, which is one more than that of every edge they depend on or greater."""
    order = np.lexsort((into_E, depth_E))
    borders = np.flatnonzero(np.diff(depth_E[order])) + 1
    steps: list[_Step] = []
    for edges in np.split(order, borders):
        into = into_E[edges]
        begins = np.flatnonzero(np.r_[True, into[1:] != into[:-1]])[: len(into)]
        steps.append(_Step(edges, begins, into[begins]))
    return steps


def _pruned(pieces: _Pieces, places: _Places, size: int) -> tuple[_Pieces, _Places]:
    """Without the pieces whose removal costs the least; single bytes stay."""
    loss_V = np.full(len(pieces.tokens), np.inf)
    loss_V[_NUM_BYTES:] = pieces.counts[_NUM_BYTES:] * _gains(pieces)
    # in single precision: what differs by the rounding of sums alone must be a tie
    order = np.lexsort((np.arange(len(loss_V)), -loss_V.astype(np.float32)))
    kept = np.sort(order[:size])
    piece_of = np.full(len(loss_V), -1, dtype=np.int64)
    piece_of[kept] = np.arange(len(kept))
    piece_E = piece_of[places.pieces]
    stays = piece_E >= 0
    return (
        _Pieces(tuple(pieces.tokens[i] for i in kept.tolist()), pieces.counts[kept]),
        _Places(places.starts[stays], places.ends[stays], piece_E[stays]),
    )


def _gains(pieces: _Pieces) -> Floats:
    """How much likelier each longer piece makes its text than the best way to write it without."""
    scores = dict(zip(pieces.tokens, pieces.log_probabilities().tolist(), strict=True))
    gains = [scores[token] - _best_without(token, scores) for token in pieces.tokens[_NUM_BYTES:]]
    return np.array(gains, dtype=np.float64)


def _best_without(token: bytes, scores: Mapping[bytes, float]) -> float:
    """The logarithm of the likeliest way to write ``token`` in other pieces."""
    num_bytes = len(token)
    best = [0.0, *(-math.inf for _ in range(num_bytes))]
    for end in range(1, num_bytes + 1):
        for start in range(end):
            if end - start == num_bytes:
                continue
            score = scores.get(token[start:end])
            if score is not None and best[start] + score > best[end]:
                best[end] = best[start] + score
    return best[num_bytes]


def _sums(index: Ints, values: Floats, *, size: int) -> Floats:
    """The sum of the values of each index."""
    return np.bincount(index, values, minlength=size).astype(np.float64, copy=False)
