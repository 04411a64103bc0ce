"""Files to a corpus: read, clean, find duplicates, split, write.

Two passes over the text: the first reads and cleans every record into a spool on disk, the second
writes what is kept. Between them, on small facts alone, duplicates are found and the split is
chosen. Files are read in the order of their digests, so that equal content gives equal corpora.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from core.corpus_options import CorpusOptions
from core.errors import BadData
from corpora.cleaning import Cleaner
from corpora.deduplicate import find_duplicates, fingerprint
from corpora.documents import (
    DOCUMENTS_NAME,
    MANIFEST_NAME,
    REPORT_NAME,
    CorpusManifest,
    CorpusStats,
)
from corpora.durable import sync_directory, write_durably
from corpora.progress import Progress, ProgressCallback
from corpora.readers.record import BadBytes, Dropped, Record
from corpora.readers.source import SourceFile, read_records
from corpora.report import Findings
from corpora.report_composer import compose_report
from corpora.split import Split, choose_split
from corpora.spool import Spool
from corpora.writing import DocumentSorter, Written

__all__ = ["SourceFile", "build_corpus"]

_READING_SHARE: Final = 0.6
_DECIDING_SHARE: Final = 0.05


def build_corpus(
    files: Sequence[SourceFile],
    *,
    options: CorpusOptions,
    directory: Path,
    scratch: Path,
    progress: ProgressCallback,
) -> CorpusManifest:
    """Make a corpus of ``files``; whole once this has returned.

    Args:
        files: in any order.
        options: what to do with them.
        directory: where the corpus goes; made if it is missing, and should otherwise be empty.
        scratch: where what is read may lie meanwhile, compressed; cleared again.
        progress: told how far it is.

    Raises:
        BadData: a file is damaged or a bomb (the message names it), or nothing at all is left.
    """
    (directory / DOCUMENTS_NAME).mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    findings = Findings()
    with tempfile.TemporaryDirectory(dir=scratch, prefix="corpus-") as spool_directory:
        spool = Spool(Path(spool_directory))
        try:
            _read(files, options=options, spool=spool, findings=findings, progress=progress)
        finally:
            spool.finish()
        if not spool.num_documents:
            raise _nothing_left(findings)
        progress(Progress("deduplicating", _READING_SHARE, len(files), findings.num_records))
        is_duplicate = (
            find_duplicates(spool)
            if options.deduplicate == "exact"
            else np.zeros(spool.num_documents, dtype=np.bool_)
        )
        split = choose_split(spool, is_duplicate, fraction=options.validation_fraction)
        written = DocumentSorter(spool, is_duplicate, split, findings).run(
            directory / DOCUMENTS_NAME, options=options, progress=_second_half(progress)
        )
    manifest = _finish(
        directory, files=files, options=options, findings=findings, split=split, written=written
    )
    stats = manifest.stats
    progress(Progress("writing", 1.0, len(files), stats.num_records, stats.num_bytes))
    return manifest


def _second_half(progress: ProgressCallback) -> ProgressCallback:
    """Fit the progress of the second pass behind that of the first."""
    done = _READING_SHARE + _DECIDING_SHARE
    return lambda told: progress(replace(told, fraction=done + (1 - done) * told.fraction))


def _nothing_left(findings: Findings) -> BadData:
    reasons = ", ".join(f"{count} {reason}" for reason, count in findings.num_dropped.items())
    return BadData(
        f"no document is left of {findings.num_records} records (dropped: {reasons or 'none'})",
        code="corpus_empty",
        param="files",
    )


def _read(
    files: Sequence[SourceFile],
    *,
    options: CorpusOptions,
    spool: Spool,
    findings: Findings,
    progress: ProgressCallback,
) -> None:
    """Read and clean every record of every file, in canonical order, into the spool."""
    num_bytes_in = max(1, sum(file.path.stat().st_size for file in files))
    cleaner = Cleaner(options.clean)
    num_read = 0
    num_files = 0

    def consumed(num_bytes: int) -> None:
        nonlocal num_read
        num_read += num_bytes
        fraction = _READING_SHARE * min(1.0, num_read / num_bytes_in)
        progress(Progress("reading", fraction, num_files, findings.num_records, num_read))

    for file in sorted(files, key=lambda file: (file.sha256, file.filename)):
        _read_file(
            file,
            options=options,
            cleaner=cleaner,
            spool=spool,
            findings=findings,
            consumed=consumed,
        )
        num_files += 1


def _read_file(
    file: SourceFile,
    *,
    options: CorpusOptions,
    cleaner: Cleaner,
    spool: Spool,
    findings: Findings,
    consumed: Callable[[int], None],
) -> None:
    def notice(bad: BadBytes) -> None:
        findings.bad_bytes(file.filename, bad)

    num_parts = 0
    for number, record in enumerate(
        read_records(file, options=options, notice=notice, consumed=consumed)
    ):
        findings.num_records += 1
        num_parts += isinstance(record, Record) and record.is_part
        cleaned = record if isinstance(record, Dropped) else cleaner.clean(record, notice=notice)
        if isinstance(cleaned, Dropped):
            findings.drop(file.filename, cleaned)
        else:
            spool.add(
                cleaned.text,
                fingerprint=fingerprint(cleaned.text),
                file=file.filename,
                place=record.place,
                record=number,
            )
    if num_parts:
        findings.cut(file.filename, num_parts)


def _finish(
    directory: Path,
    *,
    files: Sequence[SourceFile],
    options: CorpusOptions,
    findings: Findings,
    split: Split,
    written: Written,
) -> CorpusManifest:
    """Write the report, and the manifest last."""
    stats = CorpusStats(
        num_files=len(files),
        num_records=findings.num_records,
        num_documents=written.num_documents,
        num_bytes=sum(part.num_bytes for part in written.splits.values()),
        num_duplicates=findings.num_duplicates,
        dropped=findings.num_dropped,
    )
    manifest = CorpusManifest(
        digest=written.digest,
        options=options,
        stats=stats,
        splits=written.splits,
        threshold=f"{split.threshold:016x}",
    )
    report = compose_report(findings, stats=stats, options=options, split=split, written=written)
    write_durably(directory / REPORT_NAME, report.model_dump_json(indent=1).encode())
    sync_directory(directory)
    write_durably(directory / MANIFEST_NAME, manifest.model_dump_json(indent=1).encode())
    sync_directory(directory)
    return manifest
