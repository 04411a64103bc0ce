from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpora.deduplicate import find_repeats, no_duplicates
from corpora.fingerprint import fingerprint
from corpora.leakage import count_leaks
from corpora.report import LeakageReport
from corpora.split import Split
from corpora.spool import Spool, SpoolWriter


def spooled(directory: Path, texts: list[str]) -> Spool:
    writer = SpoolWriter(directory)
    for number, text in enumerate(texts):
        writer.add(text, file="a", place="b", record=number)
    writer.finish()
    return Spool([directory])


def test_held_out_documents_that_stand_in_the_training_split_are_counted(tmp_path: Path) -> None:
    spool = spooled(
        tmp_path, ["same text", "Same  text", "another", "alone", "another", "same text"]
    )
    everything = no_duplicates(spool, scratch=tmp_path)
    # a split by chance, as nothing here makes one: every other document is held out
    everything.hash[:] = np.arange(6) % 2
    everything.first[:] = [0, 0, 2, 3, 2, 0]
    found = count_leaks(
        spool, everything, Split(threshold=1), parts=[], knows_near=True, scratch=tmp_path
    )
    assert found == LeakageReport(num_exact=1, num_near=1)


@pytest.mark.parametrize("knows_near", [True, False])
def test_a_split_by_content_leaks_nothing(tmp_path: Path, *, knows_near: bool) -> None:
    spool = spooled(tmp_path, [f"text {number % 40}" for number in range(100)])
    for find in (no_duplicates, find_repeats):
        found = count_leaks(
            spool,
            find(spool, scratch=tmp_path),
            Split(threshold=2**63),
            parts=[],
            knows_near=knows_near,
            scratch=tmp_path,
        )
        assert found.num_exact == 0
        assert found.num_near in ({0} if knows_near else {None})


def test_the_parts_of_a_document_that_was_cut_are_looked_for_too(tmp_path: Path) -> None:
    spool = spooled(tmp_path, ["a book and its end", "its end"])
    found = count_leaks(
        spool,
        no_duplicates(spool, scratch=tmp_path),
        Split(threshold=0, tails={fingerprint("a book and its end"): 7}),
        parts=[(fingerprint("a book and "), "train"), (fingerprint("its end"), "validation")],
        knows_near=False,
        scratch=tmp_path,
    )
    assert found.num_exact == 1
