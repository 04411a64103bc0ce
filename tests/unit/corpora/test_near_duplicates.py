from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpora import near_duplicates
from corpora import spool as spool_module
from corpora.deduplicate import Duplicates, find_repeats
from corpora.fingerprint import fingerprint
from corpora.near_duplicates import Inheritance, find_near_duplicates
from corpora.partitions import Rows
from corpora.spool import Spool, SpoolWriter

NUM_WORDS = 120
Version = tuple[int, Sequence[tuple[int, int]]]
"""How many documents it holds, and which are linked."""


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return lambda: tmp_path_factory.mktemp("spool")


def spooled(directory: Path, texts: list[str], *, num_pieces: int = 1) -> Spool:
    pieces = []
    for number in range(num_pieces):
        pieces.append(directory / f"piece-{number}")
        pieces[-1].mkdir()
        writer = SpoolWriter(pieces[-1], with_signatures=True)
        share = -(-len(texts) // num_pieces)
        for index, text in enumerate(texts[number * share : (number + 1) * share]):
            writer.add(text, file="a", place="b", record=index)
        writer.finish()
    return Spool(pieces)


def find(
    directory: Path,
    texts: list[str],
    *,
    num_pieces: int = 1,
    inheritance: Inheritance | None = None,
    rows_per_partition: int = 2**20,
) -> Duplicates:
    return find_near_duplicates(
        spooled(directory, texts, num_pieces=num_pieces),
        scratch=directory,
        inheritance=inheritance,
        rows_per_partition=rows_per_partition,
    )


def kept(found: Duplicates) -> list[int]:
    return np.flatnonzero(~found.is_removed).tolist()


def a_text(number: int, *, num_words: int = NUM_WORDS) -> list[str]:
    generator = random.Random(number)
    return ["".join(generator.choices("abcdefgh", k=5)) for _ in range(num_words)]


def text(number: int, *, ending: str = "") -> str:
    """One of many texts that have nothing in common; its versions differ in their last word."""
    return " ".join([*a_text(number), ending])


def test_of_near_duplicates_the_longest_is_kept(fresh: Callable[[], Path]) -> None:
    texts = [text(1, ending="short"), text(2), text(1, ending="the longest"), text(1, ending="no")]
    found = find(fresh(), texts)
    assert kept(found) == [1, 2]
    assert found.first.tolist() == [0, 1, 0, 0]
    assert not found.is_repeat.any()


def test_of_equally_long_ones_the_first_is_kept(fresh: Callable[[], Path]) -> None:
    assert kept(find(fresh(), [text(1, ending=ending) for ending in "cab"])) == [0]


def test_a_repeat_counts_as_one_and_is_removed_too(fresh: Callable[[], Path]) -> None:
    texts = [text(1, ending="x"), text(1, ending="X"), text(1, ending="longer"), text(2), text(2)]
    found = find(fresh(), texts)
    assert kept(found) == [2, 3]
    assert found.is_repeat.tolist() == [False, True, False, False, True]
    assert found.first.tolist() == [0, 0, 0, 3, 3]


def test_documents_of_few_words_are_only_compared_exactly(fresh: Callable[[], Path]) -> None:
    found = find(fresh(), ["one two three four", "one two three five", "One two three  four"])
    assert kept(found) == [0, 1]


def test_what_shares_half_of_its_words_is_kept(fresh: Callable[[], Path]) -> None:
    half = a_text(1, num_words=NUM_WORDS // 2)
    texts = [" ".join([*half, *a_text(number, num_words=NUM_WORDS // 2)]) for number in (2, 3, 4)]
    assert kept(find(fresh(), texts)) == [0, 1, 2]


def test_a_chain_of_small_changes_is_one_cluster(fresh: Callable[[], Path]) -> None:
    words = a_text(1)
    texts = []
    for place in range(0, NUM_WORDS, 10):
        words[place] = "changed"
        texts.append(" ".join(words))
    found = find(fresh(), texts[::-1])
    assert set(found.first.tolist()) == {0}
    assert len(kept(found)) == 1


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    numbers=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=30),
    num_pieces=st.integers(1, 3),
    rows_per_partition=st.sampled_from([3, 20, 2**20]),
    rows_at_once=st.sampled_from([2, 5, 2**15]),
)
def test_clusters_are_the_same_whatever_is_done_at_once(
    fresh: Callable[[], Path],
    numbers: list[tuple[int, int]],
    num_pieces: int,
    rows_per_partition: int,
    rows_at_once: int,
) -> None:
    texts = [text(number, ending="x" * version) for number, version in numbers]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool_module, "CHUNK_ROWS", rows_at_once)
        patch.setattr(spool_module, "SIGNATURES_AT_ONCE", rows_at_once)
        patch.setattr(near_duplicates, "_LINKS_AT_ONCE", rows_at_once)
        directory = fresh()
        found = find(directory, texts, num_pieces=num_pieces, rows_per_partition=rows_per_partition)
    order = [number for number, _ in numbers]
    assert found.first.tolist() == [order.index(number) for number in order]
    best = {
        number: min(
            (-version, index) for index, (other, version) in enumerate(numbers) if other == number
        )[1]
        for number in order
    }
    assert kept(found) == sorted(best.values())
    assert not [*directory.glob("bands-*"), *directory.glob("links-*")]


def loosely_alike(number: int) -> list[str]:
    """Versions of three texts, most of them more alike than not, some of them near-duplicates."""
    generator = random.Random(5)
    texts = []
    for index in range(number):
        words = a_text(index % 3)
        for place in generator.sample(range(NUM_WORDS), k=generator.randint(0, 8)):
            words[place] = f"changed{index}"
        texts.append(" ".join(words))
    return texts


@pytest.mark.parametrize(("num_pieces", "rows_at_once"), [(1, 3), (4, 7), (9, 2**15)])
def test_loosely_alike_documents_are_joined_the_same_way_too(
    fresh: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
    num_pieces: int,
    rows_at_once: int,
) -> None:
    texts = loosely_alike(150)
    whole = find(fresh(), texts)
    assert 3 < len(kept(whole)) < len(texts) - 20
    monkeypatch.setattr(spool_module, "SIGNATURES_AT_ONCE", rows_at_once)
    parted = find(fresh(), texts, num_pieces=num_pieces, rows_per_partition=rows_at_once)
    assert parted.first.tolist() == whole.first.tolist()
    assert kept(parted) == kept(whole)


def test_a_band_that_many_documents_share_does_not_make_pairs_of_all(
    fresh: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    num_pairs = 0
    agree = near_duplicates._agree

    def counted(spool: Spool, pairs: Rows) -> np.ndarray:
        nonlocal num_pairs
        num_pairs += len(pairs)
        return agree(spool, pairs)

    monkeypatch.setattr(near_duplicates, "_agree", counted)
    texts = [text(1, ending=f"{number:03}") for number in range(200)]
    assert kept(find(fresh(), texts)) == [0]
    assert num_pairs < 2 * near_duplicates.NUM_BANDS * len(texts)


def clusters_of(
    directory: Path,
    hashes: Sequence[int],
    versions: Sequence[Version],
) -> Duplicates:
    """Join documents of these hashes by the links of each version, which holds so many."""
    tables = Duplicates(
        is_repeat=np.zeros(len(hashes), dtype=np.bool_),
        is_removed=np.zeros(len(hashes), dtype=np.bool_),
        first=np.arange(len(hashes)),
        hash=np.array(hashes, dtype=np.uint64),
    )
    clusters = near_duplicates._Clusters(tables, scratch=directory)
    for num_documents, links in versions:
        rows = np.array(links, dtype=near_duplicates._LINK_DTYPE)
        clusters.grow(iter([rows]), num_documents=num_documents)
    return tables


def expected_clusters(
    hashes: Sequence[int], versions: Sequence[Version]
) -> tuple[list[int], list[int]]:
    """The same one by one: the first member of each document's cluster, and its hash."""
    clusters: list[set[int]] = []
    cluster_hash: dict[int, int] = {}
    num_before = 0
    for num_documents, links in versions:
        earlier = {min(cluster): cluster_hash[min(cluster)] for cluster in clusters}
        clusters += [{ordinal} for ordinal in range(num_before, num_documents)]
        for one, other in links:
            joined = [cluster for cluster in clusters if one in cluster or other in cluster]
            clusters = [cluster for cluster in clusters if cluster not in joined]
            clusters.append(set().union(*joined))
        for cluster in clusters:
            inherited = [earlier[ordinal] for ordinal in cluster if ordinal in earlier]
            cluster_hash[min(cluster)] = max(inherited, default=hashes[min(cluster)])
        num_before = num_documents
    firsts = {ordinal: min(cluster) for cluster in clusters for ordinal in cluster}
    in_order = [firsts[ordinal] for ordinal in range(len(hashes))]
    return in_order, [cluster_hash[first] for first in in_order]


@given(data=st.data())
def test_clusters_of_any_links_keep_their_hashes_as_the_rule_says(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    hashes = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=25))
    num_first = data.draw(st.integers(1, len(hashes)))
    versions = [
        (size, data.draw(st.lists(st.tuples(*[st.integers(0, size - 1)] * 2), max_size=20)))
        for size in (num_first, len(hashes))
    ]
    found = clusters_of(tmp_path_factory.mktemp("tables"), hashes, versions)
    assert (found.first.tolist(), found.hash.tolist()) == expected_clusters(hashes, versions)


def test_a_chain_of_a_hundred_thousand_documents_is_followed_at_once(tmp_path: Path) -> None:
    number = 100_000
    links = [(i, i + 1) for i in range(number - 1)]
    found = clusters_of(tmp_path, [7] * number, [(number, links)])
    assert not found.first.any()


HELD_OUT_BELOW = 2**63


def is_held_out(text: str) -> bool:
    return fingerprint(text)[1] < HELD_OUT_BELOW


def a_text_where(number: int, *, held_out: bool, ending: str = "") -> str:
    """A version of a text whose own hash puts it on the wanted side."""
    versions = (text(number, ending=f"{ending}{i}") for i in range(100, 1000))
    return next(version for version in versions if is_held_out(version) == held_out)


@pytest.mark.parametrize("held_out", [True, False])
def test_a_cluster_that_grows_stays_on_its_side(
    fresh: Callable[[], Path], *, held_out: bool
) -> None:
    base = [a_text_where(1, held_out=held_out)]
    new = [a_text_where(1, held_out=not held_out, ending="longer")]
    inheritance = Inheritance(num_documents=(1,), threshold=HELD_OUT_BELOW)
    found = find(fresh(), base + new, inheritance=inheritance)
    assert kept(found) == [1]
    assert (found.hash < HELD_OUT_BELOW).tolist() == [held_out, held_out]


def test_what_an_earlier_version_held_together_stays_together_and_on_its_side(
    fresh: Callable[[], Path],
) -> None:
    texts = loosely_alike(300)
    sizes = [60, 150, 300]
    versions = []
    for number, size in enumerate(sizes):
        earlier = Inheritance(tuple(sizes[:number]), threshold=HELD_OUT_BELOW)
        inheritance = earlier if number else None
        versions.append(find(fresh(), texts[:size], num_pieces=3, inheritance=inheritance))
    for before, after in itertools.pairwise(versions):
        num_before = len(before.first)
        later_first = after.first[:num_before]
        assert (later_first == later_first[before.first]).all()
        still_kept = ~before.is_removed & ~after.is_removed[:num_before]
        assert still_kept.sum() > 10
        was_held_out = before.hash < HELD_OUT_BELOW
        is_held_out = after.hash[:num_before] < HELD_OUT_BELOW
        assert (was_held_out == is_held_out)[still_kept].all()
        assert 0 < was_held_out[still_kept].sum() < still_kept.sum()


def bridged(fresh: Callable[[], Path], *, held_out: tuple[bool, bool]) -> tuple[Duplicates, int]:
    """Two texts that share too little, and later one that each of them shares enough with.

    Answers what was found, and the ordinal of the longest of the three, which is the first.
    """
    words = a_text(1, num_words=600)
    for number in range(10_000):
        one = [*words]
        one[:65] = a_text(10 + number, num_words=65)
        other = [*words]
        other[-65:] = a_text(20_000 + number, num_words=65)
        base = [" ".join([*one, "and", "longest"]), " ".join(other)]
        if tuple(map(is_held_out, base)) == held_out:
            break
    alone = find(fresh(), base)
    assert kept(alone) == [0, 1]
    inheritance = Inheritance(num_documents=(2,), threshold=HELD_OUT_BELOW)
    return find(fresh(), [*base, " ".join(words)], inheritance=inheritance), 0


def test_what_was_held_out_is_never_trained_on_when_clusters_of_both_sides_meet(
    fresh: Callable[[], Path],
) -> None:
    found, longest = bridged(fresh, held_out=(True, False))
    assert set(found.first.tolist()) == {0}
    assert (found.hash >= HELD_OUT_BELOW).all()
    assert found.is_removed[longest]
    assert len(kept(found)) == 1


@pytest.mark.parametrize("held_out", [True, False])
def test_clusters_of_one_side_stay_there_when_they_meet(
    fresh: Callable[[], Path], *, held_out: bool
) -> None:
    found, longest = bridged(fresh, held_out=(held_out, held_out))
    assert kept(found) == [longest]
    assert (found.hash < HELD_OUT_BELOW).tolist() == [held_out] * 3


def test_a_document_of_which_a_part_is_held_out_is_kept_however_long_the_others_are(
    fresh: Callable[[], Path],
) -> None:
    texts = [text(1), text(1, ending="longer")]
    inheritance = Inheritance((1,), threshold=0, pinned=frozenset({fingerprint(texts[0])}))
    assert kept(find(fresh(), texts, inheritance=inheritance)) == [0]


def test_without_near_duplicates_the_repeats_alone_are_found(fresh: Callable[[], Path]) -> None:
    texts = [text(number % 7) for number in range(20)]
    directory = fresh()
    exact = find_repeats(spooled(directory, texts), scratch=directory)
    near = find(fresh(), texts)
    assert near.is_removed.tolist() == exact.is_removed.tolist()
    assert near.hash.tolist() == exact.hash.tolist()
