from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from unicodedata import category

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.encoders.base import Ids
from corpora.encoders.gigatoken import EngineFailed, GigatokenEncoder
from corpora.encoders.opening import (
    WORTHWHILE_CHARACTERS,
    TrustedEncoder,
    first_difference,
    open_encoder,
)
from corpora.encoders.probe import KnownCharacters, probe_tokenizer, probes
from corpora.encoders.reference import ReferenceEncoder
from corpora.encoders.trials import trial_texts
from tests.tiny_text import documents, tokenizer


@pytest.fixture(scope="module")
def tokenizer_json() -> bytes:
    return tokenizer().to_str().encode()


@pytest.fixture(scope="module")
def fast(tokenizer_json: bytes) -> GigatokenEncoder:
    return GigatokenEncoder(tokenizer_json)


@pytest.fixture(scope="module")
def reference(tokenizer_json: bytes) -> ReferenceEncoder:
    return ReferenceEncoder(tokenizer_json)


def sample() -> list[str]:
    """Just enough."""
    return list(documents()) * (WORTHWHILE_CHARACTERS // sum(map(len, documents())) + 1)


def unknown_to_the_fast_engine(tokenizer_json: bytes) -> bytes:
    description = json.loads(tokenizer_json)
    description["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\w+|\W"
    return json.dumps(description).encode()


def test_the_fast_engine_is_chosen_where_it_gives_the_same_ids(
    tokenizer_json: bytes, reference: ReferenceEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        chosen = open_encoder(tokenizer_json, sample())
    assert chosen.engine == "gigatoken"
    assert "Encoding with gigatoken" in caplog.text
    assert first_difference(chosen, reference, documents()) is None


def test_a_tokenizer_that_the_fast_engine_does_not_know_is_encoded_by_tokenizers(
    tokenizer_json: bytes,
) -> None:
    other = unknown_to_the_fast_engine(tokenizer_json)
    with pytest.raises(EngineFailed, match="Unknown pre_tokenizer"):
        GigatokenEncoder(other)
    assert open_encoder(other, sample()).engine == "tokenizers"


def test_a_little_text_is_not_worth_a_test(
    tokenizer_json: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert open_encoder(tokenizer_json, ["a", "b"]).engine == "tokenizers"
    assert "Encoding with tokenizers" in caplog.text


def test_one_different_id_is_found(reference: ReferenceEncoder) -> None:
    class OffByOne(ReferenceEncoder):
        def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
            *others, last = super().encode_batch(texts)
            return [*others, np.append(last[:-1], last[-1] ^ 1)]

    broken = OffByOne(tokenizer().to_str().encode())
    assert first_difference(broken, reference, ["one", "two", "three"]) == "three"


def test_an_engine_that_fails_on_the_way_is_replaced(reference: ReferenceEncoder) -> None:
    class Failing:
        engine = "failing"

        def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
            raise EngineFailed(f"cannot encode {len(texts)} texts")

    encoder = TrustedEncoder(Failing(), reference)
    [ids] = encoder.encode_batch(["hello"])
    assert ids.tolist() == tokenizer().encode("hello", add_special_tokens=False).ids
    assert encoder.engine == "tokenizers"


def test_a_text_with_characters_too_new_to_agree_on_is_encoded_by_tokenizers(
    reference: ReferenceEncoder,
) -> None:
    class Marking(ReferenceEncoder):
        def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
            return [np.zeros(1, dtype=np.uint32) for _ in texts]

    encoder = TrustedEncoder(Marking(tokenizer().to_str().encode()), reference)
    old, new, ascii_ = "caf\u00e9", "caf\U0003ffff", "coffee"
    first, second, third, fourth = encoder.encode_batch([old, new, ascii_, new + old])
    assert first.tolist() == third.tolist() == [0]
    assert [second.tolist(), fourth.tolist()] == [
        ids.tolist() for ids in reference.encode_batch([new, new + old])
    ]


def test_the_probe_tells_every_class_of_characters_from_the_others(tokenizer_json: bytes) -> None:
    probe = ReferenceEncoder(probe_tokenizer(tokenizer_json))
    shapes = {
        tuple(len(ids) - len(text.encode()) for text, ids in zip(texts, encoded, strict=True))
        for texts in ([*probes([ord(character)])] for character in "\u00e9\u00bd\u2003\u20ac")
        for encoded in [probe.encode_batch(texts)]
    }
    assert len(shapes) == 4


def test_trials_are_the_same_every_time_and_encoded_alike(
    fast: GigatokenEncoder, reference: ReferenceEncoder
) -> None:
    texts = list(trial_texts())
    assert texts == list(trial_texts())
    assert first_difference(TrustedEncoder(fast, reference), reference, texts) is None


@settings(max_examples=200)
@given(texts=st.lists(st.text(max_size=60), max_size=4))
def test_every_engine_gives_the_ids_of_tokenizers(
    fast: GigatokenEncoder, reference: ReferenceEncoder, texts: list[str]
) -> None:
    expected = [tokenizer().encode(text, add_special_tokens=False).ids for text in texts]
    assert [ids.tolist() for ids in reference.encode_batch(texts)] == expected
    trusted = TrustedEncoder(fast, reference)
    assert [ids.tolist() for ids in trusted.encode_batch(texts)] == expected


def test_a_long_text_has_the_ids_of_the_whole(
    fast: GigatokenEncoder, reference: ReferenceEncoder
) -> None:
    text = "".join(documents()) * 2
    assert len(text) > 2**18
    expected = tokenizer().encode(text, add_special_tokens=False).ids
    for encoder in (fast, reference):
        [ids] = encoder.encode_batch([text])
        assert ids.dtype == np.uint32
        assert ids.tolist() == expected


@pytest.mark.exhaustive
def test_engines_split_at_every_known_character_of_unicode_alike(tokenizer_json: bytes) -> None:
    probe = probe_tokenizer(tokenizer_json)
    fast, reference = GigatokenEncoder(probe), ReferenceEncoder(probe)
    known = KnownCharacters()
    for start in range(0, 0x110000, 0x1000):
        characters = (chr(code) for code in range(start, start + 0x1000))
        codes = [ord(c) for c in characters if known.make_up(c) and category(c) != "Cs"]
        assert first_difference(fast, reference, [*probes(codes)]) is None
