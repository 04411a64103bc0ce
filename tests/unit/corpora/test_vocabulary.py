from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from corpora.vocabulary import (
    CLS,
    END_OF_TEXT,
    MASK,
    NUM_SPECIAL_TOKENS,
    PAD,
    SEP,
    SPECIAL_TOKENS,
    Vocabulary,
    _is_word,
    byte_alphabet,
)
from tests.tiny_text import encode, tokenizer, vocabulary


def test_the_first_64_ids_are_the_special_tokens_in_their_order() -> None:
    assert len(set(SPECIAL_TOKENS)) == NUM_SPECIAL_TOKENS == 64
    named = [SPECIAL_TOKENS[id_] for id_ in (END_OF_TEXT, PAD, MASK, CLS, SEP)]
    assert named == ["<|endoftext|>", "<|pad|>", "[MASK]", "[CLS]", "[SEP]"]
    assert [tokenizer().id_to_token(id_) for id_ in range(64)] == list(SPECIAL_TOKENS)


def test_byte_alphabet_is_the_one_of_tokenizers() -> None:
    encoder = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    assert sorted(byte_alphabet()) == sorted(encoder.alphabet())
    for byte in range(0x80):
        ((piece, _),) = encoder.pre_tokenize_str(chr(byte))
        assert byte_alphabet()[piece] == byte


@given(st.text())
def test_bytes_of_the_tokens_are_the_bytes_of_the_text(text: str) -> None:
    ids = encode(text)
    assert b"".join(vocabulary().token_bytes(id_) for id_ in ids) == text.encode()
    assert int(vocabulary().num_bytes[ids].sum()) == len(text.encode())


def test_special_tokens_have_no_bytes_and_belong_to_no_word() -> None:
    words = vocabulary()
    assert words.is_special.sum() == NUM_SPECIAL_TOKENS
    assert not words.num_bytes[words.is_special].any()
    for table in (
        words.begins_with_word_byte,
        words.ends_with_word_byte,
        words.holds_word_byte,
    ):
        assert not table[words.is_special].any()


@pytest.mark.parametrize(
    ("token", "begins", "ends"),
    [
        ("guitar", True, True),
        (" guitar", False, True),
        ("3", True, True),
        (",", False, False),
        ("_x", False, True),
        ("é", True, True),
        ("\N{EM DASH}", False, False),
        (" ", False, False),
    ],
)
def test_tables_tell_where_a_word_may_go_on(token: str, *, begins: bool, ends: bool) -> None:
    piece = "".join(_piece_of_byte()[byte] for byte in token.encode())
    one = Tokenizer(models.WordLevel({**_specials(), piece: 64}, unk_token=SPECIAL_TOKENS[0]))
    one.decoder = decoders.ByteLevel()
    words = Vocabulary.from_tokenizer(one)
    assert words.token_bytes(64) == token.encode()
    assert (words.begins_with_word_byte[64], words.ends_with_word_byte[64]) == (begins, ends)


@given(st.characters(codec="utf-8"))
def test_no_word_ends_or_begins_within_a_character(character: str) -> None:
    ids = encode(character)
    words = vocabulary()
    assert not words.continues_character[ids[0]]
    for before, after in pairwise(ids):
        assert words.ends_with_word_byte[before]
        assert words.begins_with_word_byte[after]
        assert words.continues_character[after]


def test_unfinished_characters_count_as_what_most_of_their_kind_are() -> None:
    assert _is_word("é".encode()[:1])
    assert _is_word("汉".encode()[:2])
    assert not _is_word("😀".encode()[:2])
    assert not _is_word("\N{EM DASH}".encode()[:2])


def test_bytes_that_begin_no_character_belong_to_no_word() -> None:
    assert _is_word(b"\xe6")
    assert not any(_is_word(bytes([byte])) for byte in range(0xF5, 0x100))


def _specials() -> dict[str, int]:
    return {token: id_ for id_, token in enumerate(SPECIAL_TOKENS)}


def _piece_of_byte() -> dict[int, str]:
    return {byte: character for character, byte in byte_alphabet().items()}
