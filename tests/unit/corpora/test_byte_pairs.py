from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, trainers

from corpora.byte_pairs import MAX_TOKEN_BYTES, MIN_FREQUENCY, BytePairs, learn_byte_pairs
from corpora.tokenizer import split_words, word_splitter
from corpora.vocabulary import byte_alphabet
from tests.tiny_text import documents

LETTERS = {byte: letter for letter, byte in byte_alphabet().items()}
FIRST_TOKENS = tuple(bytes([byte]) for _, byte in sorted(byte_alphabet().items()))


def ours(texts: list[str], vocab_size: int) -> BytePairs:
    counts = Counter(word.encode() for text in texts for word in split_words(text))
    return learn_byte_pairs(counts, first_tokens=FIRST_TOKENS, vocab_size=vocab_size)


def theirs(texts: list[str], vocab_size: int) -> tuple[list[str], list[tuple[str, str]]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = word_splitter()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=MIN_FREQUENCY,
        max_token_length=MAX_TOKEN_BYTES + 1,
        initial_alphabet=list(byte_alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocabulary = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return vocabulary, [(left, right) for left, right in model["merges"]]


def written(token: bytes) -> str:
    return "".join(LETTERS[byte] for byte in token)


def assert_same(texts: list[str], vocab_size: int) -> None:
    learned = ours(texts, vocab_size)
    vocabulary, merges = theirs(texts, vocab_size)
    tokens = [written(token) for token in learned.tokens]
    assert tokens == vocabulary
    # a pair that is queued twice is merged twice, and counts from the second time on
    assert (
        list(dict.fromkeys(reversed([(tokens[a], tokens[b]) for a, b in learned.merges])))
        == (merges[::-1])
    )


@pytest.mark.parametrize("vocab_size", [256, 300, 2000])
def test_merges_are_those_of_tokenizers(vocab_size: int) -> None:
    assert_same(list(documents()), vocab_size)


@settings(max_examples=150)
@given(texts=st.lists(st.text(alphabet="abc ", max_size=40), max_size=12))
def test_ties_and_overlaps_are_settled_as_tokenizers_does(texts: list[str]) -> None:
    assert_same(texts, 400)


@settings(max_examples=50)
@given(
    words=st.lists(
        st.text(alphabet="ab", min_size=30, max_size=200), min_size=1, max_size=3, unique=True
    )
)
def test_tokens_are_never_too_long(words: list[str]) -> None:
    texts = [f" {word}" for word in words] * 3
    assert_same(texts, 600)
    assert max(map(len, ours(texts, 600).tokens)) <= MAX_TOKEN_BYTES


def test_a_run_of_one_letter_is_merged_from_its_beginning() -> None:
    for length in (2, 3, 4, 5, 31, 300):
        assert_same([" " + "a" * length, "a" * length], 300)


def test_a_pair_seen_once_is_not_merged() -> None:
    assert ours(["abcd"], 300).merges == ()


def test_fewer_tokens_are_the_beginning_of_more() -> None:
    few, many = (ours(list(documents()[:5]), size) for size in (300, 500))
    assert many.tokens[:300] == few.tokens
    assert many.merges[: len(few.merges)] == few.merges


def test_nothing_to_read_gives_the_bytes_alone() -> None:
    assert ours([], 300) == BytePairs(tokens=FIRST_TOKENS, merges=())
