from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from corpora.readers.extractor import HtmlExtractor

ALLOCATOR = Path(sysconfig.get_path("purelib")) / "cmeel.prefix/lib/libmimalloc.so"


def test_a_child_of_a_worker_starts_within_its_memory_whatever_allocator_the_worker_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ALLOCATOR.exists()
    monkeypatch.setenv("LD_PRELOAD", str(ALLOCATOR))
    with HtmlExtractor() as extractor:
        text = extractor.main_text("<html><body><p>Once upon a time.</p></body></html>")
    assert text == "Once upon a time."
