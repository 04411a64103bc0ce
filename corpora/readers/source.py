"""A file of a corpus: where it is, what it is, and its records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from core.corpus_options import CorpusOptions
from corpora.readers.children import Children
from corpora.readers.origin import DEFAULT_LIMITS, DecompressionLimits, Origin
from corpora.readers.record import Dropped, Notice, Record
from corpora.readers.stored import StoredFile
from corpora.readers.unpacking import Unpacker


@dataclass(frozen=True, slots=True)
class SourceFile:
    """An uploaded file: its bytes, the name its user gave it, and what identifies it."""

    path: Path
    filename: str
    sha256: str
    id: str


def read_records(
    file: SourceFile,
    *,
    options: CorpusOptions,
    notice: Notice,
    limits: DecompressionLimits = DEFAULT_LIMITS,
    consumed: Callable[[int], None] = lambda _: None,
    children: Children | None = None,
    scratch: Path | None = None,
) -> Iterator[Record | Dropped]:
    """Stream a file's records; a file that is empty or no text at all is one dropped record.

    A record, or an archive's member, that cannot be read is a drop, and what follows it is read.

    Args:
        file: the file.
        options: its format, if it is not to be guessed, and where texts are in lines and rows.
        notice: told of every place with bad bytes.
        limits: what compressed files and archives may become.
        consumed: told how many bytes of the stored file were read; in the end, of all of them.
        children: take pages and tables apart; give them where there are many files, since they
            are processes.
        scratch: where zip archives and Parquet files that stand in compressions or archives lie
            meanwhile, without a name; the system's temporary directory if it is not given.

    Raises:
        BadData: the file itself cannot be read: it is a bomb, its compression, archive or Parquet
            structure is damaged or cut off, or it has no column of the options' name.
    """
    with ExitStack() as stack:
        stored = stack.enter_context(StoredFile(file.path, consumed=consumed))
        unpacker = Unpacker(
            options=options,
            notice=notice,
            children=children or stack.enter_context(Children()),
            scratch=scratch,
        )
        origin = Origin(file.filename, num_bytes=stored.num_bytes, limits=limits)
        yield from unpacker.read(stored, origin)
        stored.meter.finish()
