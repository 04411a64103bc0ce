from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import spool as spool_module
from corpora.deduplicate import find_repeats
from corpora.fingerprint import fingerprint
from corpora.spool import Spool, SpoolWriter


def spooled(directory: Path, texts: list[str]) -> Spool:
    writer = SpoolWriter(directory)
    for number, text in enumerate(texts):
        writer.add(text, file="a", place="b", record=number)
    writer.finish()
    return Spool([directory])


def expected(texts: list[str]) -> list[bool]:
    seen: set[str] = set()
    repeats = []
    for text in texts:
        folded = " ".join(text.casefold().split())
        repeats.append(folded in seen)
        seen.add(folded)
    return repeats


@settings(max_examples=40)
@given(
    texts=st.lists(st.text(alphabet="aAbB \n", min_size=1, max_size=3), min_size=1, max_size=60),
    rows_per_partition=st.integers(1, 20),
)
def test_all_but_the_first_of_equal_documents_are_duplicates(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], rows_per_partition: int
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    found = find_repeats(
        spooled(directory, texts), scratch=directory, rows_per_partition=rows_per_partition
    )
    assert found.is_removed.tolist() == expected(texts)
    folded = [" ".join(text.casefold().split()) for text in texts]
    assert found.first.tolist() == [folded.index(text) for text in folded]


def test_duplicates_are_found_across_chunks_and_partitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "CHUNK_ROWS", 16)
    texts = [f"text {i * i % 97}" for i in range(300)]
    found = find_repeats(spooled(tmp_path, texts), scratch=tmp_path, rows_per_partition=10)
    assert found.is_removed.tolist() == expected(texts)
    assert not list(tmp_path.glob("fingerprints-*"))


def test_case_and_white_space_do_not_make_a_text_new() -> None:
    assert fingerprint("Hello,  World\n") == fingerprint("hello, world")
    assert fingerprint("hello world") != fingerprint("helloworld")
