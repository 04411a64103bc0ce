from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from corpora.tokenizer import split_words
from corpora.unigram import MAX_PIECE_BYTES, learn_pieces
from corpora.vocabulary import byte_alphabet
from tests.tiny_text import documents


@pytest.fixture(scope="module")
def counts() -> Counter[bytes]:
    return Counter(word.encode() for text in documents()[:20] for word in split_words(text))


@pytest.fixture(scope="module")
def pieces(counts: Counter[bytes]) -> dict[bytes, float]:
    return learn_pieces(counts, num_pieces=800)


def num_tokens(pieces: dict[bytes, float], counts: Counter[bytes]) -> int:
    letters = {byte: letter for letter, byte in byte_alphabet().items()}
    vocabulary = [("".join(map(letters.__getitem__, piece)), p) for piece, p in pieces.items()]
    tokenizer = Tokenizer(models.Unigram(vocabulary))
    return sum(
        count * len(tokenizer.encode("".join(map(letters.__getitem__, word))))
        for word, count in counts.items()
    )


def test_every_byte_is_a_piece_and_there_are_as_many_as_wanted(
    pieces: dict[bytes, float],
) -> None:
    assert len(pieces) == 800
    assert {bytes([byte]) for byte in range(256)} <= set(pieces)
    assert max(map(len, pieces)) <= MAX_PIECE_BYTES


def test_scores_are_logarithms_of_probabilities_the_likeliest_first(
    pieces: dict[bytes, float],
) -> None:
    assert sum(map(math.exp, pieces.values())) == pytest.approx(1, abs=1e-3)
    assert list(pieces.values()) == sorted(pieces.values(), reverse=True)


def test_frequent_words_become_pieces_and_more_pieces_write_the_text_shorter(
    pieces: dict[bytes, float], counts: Counter[bytes]
) -> None:
    frequent = [word for word, _ in counts.most_common(40)]
    assert sum(word in pieces for word in frequent) > 30
    few = learn_pieces(counts, num_pieces=400)
    bytes_alone = sum(len(word) * count for word, count in counts.items())
    assert num_tokens(pieces, counts) < num_tokens(few, counts) < 0.7 * bytes_alone


def test_no_longer_piece_is_a_part_of_a_character() -> None:
    words = Counter({" éléphant".encode(): 9, "été".encode(): 7, "漢字漢字".encode(): 5})
    longer = [piece for piece in learn_pieces(words, num_pieces=290) if len(piece) > 1]
    assert longer
    assert all(piece.decode() for piece in longer)


def test_fewer_pieces_only_where_the_text_has_no_more() -> None:
    assert len(learn_pieces({b"a": 1}, num_pieces=400)) == 256
    assert len(learn_pieces({b"ab": 2}, num_pieces=400)) == 257
    assert len(learn_pieces({b"ab": 1}, num_pieces=400)) == 256


def test_a_word_longer_than_any_float_is_written() -> None:
    pieces = learn_pieces({b"xyz" * 400: 3, "ü".encode() * 500: 2}, num_pieces=300)
    assert all(math.isfinite(score) for score in pieces.values())


def test_another_process_learns_the_same(
    pieces: dict[bytes, float], counts: Counter[bytes]
) -> None:
    code = (
        "import sys; from corpora.unigram import learn_pieces;"
        "counts = dict(reversed(eval(sys.stdin.read()).items()));"
        "print(learn_pieces(counts, num_pieces=800))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], input=repr(dict(counts)), check=True,
        capture_output=True, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert child.stdout.strip() == repr(pieces)
