from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.deduplicate import no_duplicates
from corpora.fingerprint import fingerprint
from corpora.split import Split, choose_split, cut_tail
from corpora.spool import Spool, SpoolWriter


def choose(
    directory: Path, texts: list[str], *, fraction: float = 0.01
) -> tuple[Split, list[bool]]:
    """The split, and which of ``texts`` are held out whole."""
    writer = SpoolWriter(directory)
    for number, text in enumerate(texts):
        writer.add(text, file="a", place="b", record=number)
    writer.finish()
    spool = Spool([directory])
    split = choose_split(spool, no_duplicates(spool, scratch=directory), fraction=fraction)
    return split, [fingerprint(text)[1] < split.threshold for text in texts]


def share(texts: list[str], held_out: list[bool]) -> float:
    sizes = [len(text.encode()) for text in texts]
    return sum(s for s, held in zip(sizes, held_out, strict=True) if held) / sum(sizes)


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_a_big_corpus_is_split_at_the_wanted_share(tmp_path: Path, fraction: float) -> None:
    texts = [f"document {i} " * 20 for i in range(5000)]
    split, held_out = choose(tmp_path, texts, fraction=fraction)
    assert split == Split(int(fraction * 2**64))
    assert share(texts, held_out) == pytest.approx(fraction, rel=0.15)


@pytest.mark.parametrize("fraction", [0, 0.0001])
def test_the_threshold_is_raised_to_the_least_that_holds_one_percent(
    tmp_path: Path, fraction: float
) -> None:
    texts = [f"document {i} " * 20 for i in range(8000)]
    _, held_out = choose(tmp_path, texts, fraction=fraction)
    assert 0.01 <= share(texts, held_out) < 0.011


def test_a_small_corpus_holds_out_more_so_that_a_window_fits(tmp_path: Path) -> None:
    texts = [f"document {i} " * 20 for i in range(200)]
    _, held_out = choose(tmp_path, texts)
    assert 0.05 <= share(texts, held_out) < 0.06


def test_a_document_stays_on_its_side_when_the_corpus_grows(tmp_path: Path) -> None:
    texts = [f"document {i} " * 20 for i in range(4000)]
    _, before = choose(tmp_path, texts[:3000], fraction=0.1)
    (tmp_path / "more").mkdir()
    _, after = choose(tmp_path / "more", texts, fraction=0.1)
    assert after[:3000] == before


@pytest.mark.parametrize("num_books", [1, 2, 3])
def test_few_long_documents_lose_their_tails_instead(tmp_path: Path, num_books: int) -> None:
    texts = [f"book {i}, a sentence of it.\n\n" * 4000 for i in range(num_books)]
    split, held_out = choose(tmp_path, texts)
    assert not any(held_out)
    total = sum(len(text) for text in texts)
    taken = sum(
        len(text) - cut_tail(text, num_bytes=tail)
        for text in texts
        if (tail := split.tails.get(fingerprint(text)))
    )
    assert 0.01 * total <= taken <= 0.1 * total


def test_a_giant_that_the_hash_would_hold_out_does_not_take_the_training_text(
    tmp_path: Path,
) -> None:
    giants = (f"giant {i} " * 5000 for i in range(1000))
    giant = next(text for text in giants if fingerprint(text)[1] < 0.01 * 2**64)
    texts = [giant, *(f"document {i} " for i in range(100))]
    split, held_out = choose(tmp_path, texts)
    assert not any(held_out)
    assert list(split.tails) == [fingerprint(giant)]


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=40),
    fraction=st.sampled_from([0, 0.01, 0.1, 0.3, 0.5]),
)
def test_something_and_never_too_much_is_held_out_of_any_corpus_of_20_kb(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], fraction: float
) -> None:
    texts = [f"{i} " + "word " * size for i, size in enumerate(sizes)]
    texts[0] += "ending " * (20_000 // 7)
    split, held_out = choose(tmp_path_factory.mktemp("spool"), texts, fraction=fraction)
    total = sum(len(text) for text in texts)
    taken = sum(len(text) for text, held in zip(texts, held_out, strict=True) if held) + sum(
        len(text) - cut_tail(text, num_bytes=split.tails[fingerprint(text)])
        for text in texts
        if fingerprint(text) in split.tails
    )
    assert 0.01 * total <= taken <= max(0.1, 1.5 * fraction) * total


@pytest.mark.parametrize(
    ("text", "num_bytes", "tail"),
    [
        ("first paragraph\n\nsecond paragraph\n\nthe third one", 12, "the third one"),
        ("one line\nanother line\nlast line", 7, "last line"),
        ("no lines but words here", 6, "here"),
        ("a paragraph\n\nthe last words of it\n\nend", 4, "end"),
        ("é" * 50, 10, "é" * 5),
    ],
)
def test_a_tail_begins_at_a_border_near_the_wanted_size(
    text: str, num_bytes: int, tail: str
) -> None:
    assert text[cut_tail(text, num_bytes=num_bytes) :] == tail
