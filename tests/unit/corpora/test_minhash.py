from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import minhash
from corpora.minhash import NUM_HASHES, signatures


def words(generator: random.Random, count: int) -> list[str]:
    return ["".join(generator.choices("abcdefgh", k=4)) for _ in range(count)]


def shingles(text: list[str]) -> set[tuple[str, ...]]:
    return {tuple(text[i : i + 5]) for i in range(len(text) - 4)}


def agreement(one: str, other: str) -> float:
    first, second = signatures([one.encode(), other.encode()])
    return float((first == second).mean())


def test_signatures_agree_in_the_share_that_two_texts_have_in_common() -> None:
    generator = random.Random(0)
    errors = []
    for num_changed in [1, 3, 6, 10, 20] * 20:
        text = words(generator, 300)
        changed = list(text)
        for place in generator.sample(range(300), num_changed):
            changed[place] = "changed"
        both, either = (shingles(text) & shingles(changed), shingles(text) | shingles(changed))
        errors.append(agreement(" ".join(text), " ".join(changed)) - len(both) / len(either))
    assert abs(np.mean(errors)) < 0.01
    assert np.std(errors) < 0.5 / NUM_HASHES**0.5


def test_the_signature_of_a_text_is_the_same_for_ever() -> None:
    [signature] = signatures([b"it was the best of times, it was the worst of times"])
    assert signature[:6].tolist() == [32685, 48365, 51614, 4743, 62645, 27634]


@pytest.mark.parametrize("text", ["", "one", "four words are few"])
def test_a_text_of_fewer_than_five_words_has_no_signature(text: str) -> None:
    assert not signatures([text.encode(), b"but this one has words enough"])[0].any()


@settings(max_examples=60)
@given(
    texts=st.lists(
        st.lists(st.sampled_from(["a", "bc", "déf", "g" * 30]), min_size=1, max_size=40).map(
            lambda parts: " ".join(parts).encode()
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_signature_does_not_depend_on_the_texts_beside_it(texts: list[bytes]) -> None:
    together = signatures(texts)
    assert [row.tolist() for row in together] == [signatures([text])[0].tolist() for text in texts]


def test_a_long_text_cut_into_segments_has_the_signature_of_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = " ".join(words(random.Random(1), 3000)).encode()
    whole = signatures([text])
    monkeypatch.setattr(minhash, "_SEGMENT_BYTES", 100)
    assert (signatures([text]) == whole).all()


@pytest.mark.parametrize("text", [b"x" * 300_000, b"a b c d " + b"y" * 200_000 + b" e f g h i"])
def test_a_word_longer_than_a_segment_is_no_obstacle(text: bytes) -> None:
    assert (signatures([text]) == signatures([text, b"and another text of six words"])[:1]).all()
