from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.ngrams import hash_ngrams
from corpora.text_view import TextView

few_words = st.lists(st.sampled_from(["a", "bb", "ccc", "dddd"]), min_size=1, max_size=40)


def runs(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]


def covered(words: list[str], starts: list[int], n: int) -> int:
    places = {place for start in starts for place in range(start, start + n)}
    return sum(len(words[place]) for place in places)


def share_repeated(words: list[str], n: int) -> float:
    found = runs(words, n)
    again = [start for start, run in enumerate(found) if run in found[:start]]
    return covered(words, again, n) / sum(map(len, words))


def shares_of_top(words: list[str], n: int) -> list[float]:
    """Of all runs that are as frequent and as long as can be: the paper names no one of them."""
    found = runs(words, n)
    counts = Counter(found)
    most = max(counts.values(), default=1)
    if most == 1:
        return [0.0]
    top = [run for run in counts if counts[run] == most]
    longest = max(len("".join(run)) for run in top)
    return [
        covered(words, [i for i, other in enumerate(found) if other == run], n)
        / sum(map(len, words))
        for run in top
        if len("".join(run)) == longest
    ]


@given(few_words, st.integers(1, 6), st.floats(0, 1))
def test_repeated_runs_are_those_that_a_plain_search_finds(
    words: list[str], n: int, max_share: float
) -> None:
    ngrams = TextView(" ".join(words)).ngrams
    exceeds = share_repeated(words, n) > max_share
    assert ngrams.repeated_exceed(n, max_share=max_share) == exceeds
    # and again, now that bounds are known
    assert ngrams.repeated_exceed(n, max_share=max_share) == exceeds


@given(few_words, st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_what_short_runs_tell_of_longer_ones_changes_no_answer(
    words: list[str], shares: list[float]
) -> None:
    one_after_the_other = TextView(" ".join(words)).ngrams
    for n, max_share in enumerate(shares, start=1):
        alone = TextView(" ".join(words)).ngrams
        assert one_after_the_other.repeated_exceed(n, max_share=max_share) == alone.repeated_exceed(
            n, max_share=max_share
        )
        assert one_after_the_other.top_exceeds(n, max_share=max_share) == alone.top_exceeds(
            n, max_share=max_share
        )


@given(few_words, st.integers(1, 6), st.floats(0, 1))
def test_the_top_run_is_one_of_those_that_a_plain_search_finds(
    words: list[str], n: int, max_share: float
) -> None:
    answer = TextView(" ".join(words)).ngrams.top_exceeds(n, max_share=max_share)
    assert answer in {share > max_share for share in shares_of_top(words, n)}


@given(few_words, st.integers(1, 8))
def test_hashes_are_equal_where_the_runs_are(words: list[str], n: int) -> None:
    view = TextView(" ".join(words))
    numbers = view.ngrams._numbers
    hashes = hash_ngrams(numbers, n).tolist()
    found = runs(words, n)
    assert len(hashes) == len(found)
    assert len(set(zip(hashes, found, strict=True))) == len(set(hashes)) == len(set(found))


@pytest.mark.parametrize("n", [2, 5])
def test_a_text_shorter_than_the_run_repeats_nothing(n: int) -> None:
    ngrams = TextView("word").ngrams
    assert not ngrams.top_exceeds(n, max_share=0.0)
    assert not ngrams.repeated_exceed(n, max_share=0.0)
