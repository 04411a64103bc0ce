from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.corpus_options import CorpusFormat, CorpusOptions
from corpora.readers.children import Children
from corpora.readers.origin import DEFAULT_LIMITS, DecompressionLimits
from corpora.readers.record import BadBytes, Dropped, Record
from corpora.readers.source import SourceFile, read_records


@dataclass(frozen=True)
class Reading:
    """What came of a file: its records, what was noticed, and the bytes counted as read."""

    records: list[Record | Dropped]
    noticed: list[BadBytes]
    num_consumed: int

    @property
    def texts(self) -> list[str]:
        return [record.text for record in self.records if isinstance(record, Record)]

    @property
    def drops(self) -> list[tuple[str, str]]:
        return [(r.place, r.reason) for r in self.records if isinstance(r, Dropped)]


Read = Callable[..., Reading]


@pytest.fixture(scope="session")
def children() -> Iterator[Children]:
    with Children() as children:
        yield children


@pytest.fixture
def read(tmp_path: Path, children: Children) -> Read:
    """Read bytes as an uploaded file; nothing may be left of it but what was stored."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def read_bytes(
        data: bytes,
        filename: str = "a.txt",
        *,
        file_format: CorpusFormat = "auto",
        text_field: str = "text",
        limits: DecompressionLimits = DEFAULT_LIMITS,
    ) -> Reading:
        stored = tmp_path / "stored"
        stored.write_bytes(data)
        noticed: list[BadBytes] = []
        consumed: list[int] = []
        try:
            records = list(
                read_records(
                    SourceFile(stored, filename=filename, sha256="0" * 64, id="file_1"),
                    options=CorpusOptions(format=file_format, text_field=text_field),
                    notice=noticed.append,
                    consumed=consumed.append,
                    limits=limits,
                    children=children,
                    scratch=scratch,
                )
            )
        finally:
            assert not list(scratch.iterdir())
            assert stored.read_bytes() == data
        return Reading(records, noticed, sum(consumed))

    return read_bytes
