"""Files to a corpus: read, clean, find duplicates, split, write.

Two passes over the text: the first reads and cleans every record into a spool on disk, the second
writes what is kept. Between them, on small facts alone, duplicates are found and the split is
chosen. Files are read in the order of their digests, so that equal content gives equal corpora.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from core.corpus_options import CorpusOptions
from core.errors import BadData
from corpora.cleaning import clean
from corpora.deduplicate import find_duplicates, fingerprint
from corpora.documents import (
    DOCUMENTS_NAME,
    FORMAT,
    MANIFEST_NAME,
    REPORT_NAME,
    CorpusManifest,
    CorpusSplit,
    CorpusStats,
    DocumentWriter,
)
from corpora.durable import sync_directory, write_durably
from corpora.progress import Progress, ProgressCallback
from corpora.readers.record import MAX_RECORD_BYTES, BadBytes, Dropped, Record, excerpt
from corpora.readers.source import SourceFile, read_records
from corpora.report import (
    CorpusReport,
    Example,
    Findings,
    LengthBin,
    SplitReport,
    StageReport,
)
from corpora.shards import SPLIT_NAMES, SplitName
from corpora.split import Split, choose_split, cut_tail
from corpora.spool import Facts, Spool, document_line

__all__ = ["SourceFile", "build_corpus"]

_READING_SHARE: Final = 0.6
_DECIDING_SHARE: Final = 0.05
_READ_DROPS = ("bad_json", "no_text_field", "text_is_no_string", "line_too_long")
_DOCUMENTS_PER_PROGRESS: Final = 2**10


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
        writing = _Writing(spool, is_duplicate, split, findings)
        written = writing.run(directory / DOCUMENTS_NAME, options, progress)
    return _finish(
        directory, files=files, options=options, findings=findings, split=split, written=written
    )


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
    num_read = 0
    num_files = 0

    def consumed(num_bytes: int) -> None:
        nonlocal num_read
        num_read += num_bytes
        fraction = _READING_SHARE * min(1.0, num_read / num_bytes_in)
        progress(Progress("reading", fraction, num_files, findings.num_records, num_read))

    for file in sorted(files, key=lambda file: (file.sha256, file.filename)):
        _read_file(file, options=options, spool=spool, findings=findings, consumed=consumed)
        num_files += 1


def _read_file(
    file: SourceFile,
    *,
    options: CorpusOptions,
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
        cleaned = (
            record
            if isinstance(record, Dropped)
            else clean(record, profile=options.clean, notice=notice)
        )
        if isinstance(cleaned, Dropped):
            findings.drop(file.filename, cleaned)
        else:
            spool.add(
                cleaned,
                fingerprint=fingerprint(cleaned),
                file=file.filename,
                place=record.place,
                record=number,
            )
    if num_parts:
        findings.cut(file.filename, num_parts)


@dataclass(frozen=True)
class _Written:
    digest: str
    splits: dict[SplitName, CorpusSplit]
    num_documents: int
    lengths: NDArray[np.int64]
    """Documents by the number of bits of their length in bytes."""
    num_tails: int


class _Writing:
    """The second pass: every spooled document goes to its split, or is a duplicate."""

    def __init__(
        self, spool: Spool, is_duplicate: NDArray[np.bool_], split: Split, findings: Findings
    ) -> None:
        self._spool = spool
        self._is_duplicate = is_duplicate
        self._split = split
        self._findings = findings
        self._digest = hashlib.sha256()
        self._lengths = np.zeros(33, dtype=np.int64)
        self._num_documents = 0
        self._num_tails = 0

    def run(self, directory: Path, options: CorpusOptions, progress: ProgressCallback) -> _Written:
        self._digest.update(_canonical({"format": FORMAT, "options": options.model_dump()}))
        writers = {name: DocumentWriter(directory, name) for name in SPLIT_NAMES}
        lines = self._spool.lines()
        for start, facts in self._spool.facts():
            self._write_chunk(start, facts, lines, writers, progress)
        sync_directory(directory)
        return _Written(
            digest=self._digest.hexdigest(),
            splits={name: writer.close() for name, writer in writers.items()},
            num_documents=self._num_documents,
            lengths=self._lengths,
            num_tails=self._num_tails,
        )

    def _write_chunk(
        self,
        start: int,
        facts: Facts,
        lines: Iterator[bytes],
        writers: Mapping[SplitName, DocumentWriter],
        progress: ProgressCallback,
    ) -> None:
        is_duplicate = self._is_duplicate[start : start + len(facts)]
        self._count_lengths(facts["num_bytes"][~is_duplicate])
        is_held_out = facts["low"] < np.uint64(self._split.threshold)
        digests = np.ascontiguousarray(facts["sha256"]).tobytes()
        rows = zip(
            is_duplicate.tolist(), is_held_out.tolist(), facts["num_bytes"].tolist(),
            facts["high"].tolist(), facts["low"].tolist(), strict=True,
        )  # fmt: skip
        for number, (repeats, held_out, num_bytes, high, low) in enumerate(rows):
            line = next(lines)
            if number % _DOCUMENTS_PER_PROGRESS == 0:
                self._tell(start + number, progress)
            if repeats:
                self._note_duplicate(line)
                continue
            self._num_documents += 1
            if tail := self._split.tails.get((high, low)):
                self._write_in_two(line, tail, writers)
                continue
            name: SplitName = "validation" if held_out else "train"
            self._digest.update(name.encode())
            self._digest.update(digests[32 * number : 32 * number + 32])
            writers[name].write(line, num_bytes=num_bytes)

    def _write_in_two(
        self, line: bytes, tail_bytes: int, writers: Mapping[SplitName, DocumentWriter]
    ) -> None:
        fields = orjson.loads(line)
        text = fields.pop("text")
        cut = cut_tail(text, num_bytes=tail_bytes)
        self._num_tails += 1
        parts: tuple[tuple[SplitName, str], ...] = (
            ("train", text[:cut]),
            ("validation", text[cut:]),
        )
        for name, part in parts:
            data = part.encode()
            self._digest.update(name.encode())
            self._digest.update(hashlib.sha256(data).digest())
            writers[name].write(document_line(part, **fields), num_bytes=len(data))

    def _note_duplicate(self, line: bytes) -> None:
        example = None
        if self._findings.wants_duplicates:
            fields = orjson.loads(line)
            example = Example(
                file=fields["file"], place=fields["place"], excerpt=excerpt(fields["text"])
            )
        self._findings.duplicate(example)

    def _count_lengths(self, num_bytes: NDArray[np.uint32]) -> None:
        bits = np.frexp(num_bytes.astype(np.float64))[1]
        self._lengths += np.bincount(bits, minlength=len(self._lengths))

    def _tell(self, ordinal: int, progress: ProgressCallback) -> None:
        before = _READING_SHARE + _DECIDING_SHARE
        fraction = before + (1 - before) * ordinal / self._spool.num_documents
        progress(Progress("writing", fraction, records=ordinal))


def _finish(
    directory: Path,
    *,
    files: Sequence[SourceFile],
    options: CorpusOptions,
    findings: Findings,
    split: Split,
    written: _Written,
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
    report = CorpusReport(
        digest=written.digest,
        stats=stats,
        stages=_stages(stats),
        dropped=dict(sorted(findings.dropped.items())),
        duplicates=findings.duplicates,
        bad_bytes=findings.bad_bytes_report,
        cut_files=tuple(findings.cut_files),
        lengths=tuple(
            LengthBin(from_bytes=2**bits // 2, to_bytes=2**bits, count=count)
            for bits, count in enumerate(written.lengths.tolist())
            if count
        ),
        languages=stats.languages,
        split=SplitReport(
            rule=_split_rule(split, written.num_tails, options),
            num_documents={name: part.num_documents for name, part in written.splits.items()},
            num_bytes={name: part.num_bytes for name, part in written.splits.items()},
        ),
        notes=_notes(findings),
    )
    write_durably(directory / REPORT_NAME, report.model_dump_json(indent=1).encode())
    sync_directory(directory)
    write_durably(directory / MANIFEST_NAME, manifest.model_dump_json(indent=1).encode())
    sync_directory(directory)
    return manifest


def _stages(stats: CorpusStats) -> tuple[StageReport, ...]:
    """What went in and out of each stage; the last comes out as documents."""
    reading = {r: n for r, n in stats.dropped.items() if r in _READ_DROPS}
    cleaning = {r: n for r, n in stats.dropped.items() if r not in _READ_DROPS}
    duplicates = {"duplicate": stats.num_duplicates} if stats.num_duplicates else {}
    stages: list[StageReport] = []
    num_in = stats.num_records
    for stage, removed in (
        ("read", reading),
        ("clean", cleaning),
        ("deduplicate", duplicates),
    ):
        num_out = num_in - sum(removed.values())
        stages.append(StageReport(stage=stage, num_in=num_in, num_out=num_out, removed=removed))
        num_in = num_out
    return tuple(stages)


def _split_rule(split: Split, num_tails: int, options: CorpusOptions) -> str:
    if num_tails:
        return (
            "No choice of whole documents is between 1 % and a tenth of the text, so the ends of "
            f"the {num_tails} longest documents are held out, cut at a paragraph: such a document "
            "counts once in num_documents and once in each split."
        )
    if split.threshold > int(options.validation_fraction * 2**64):
        return (
            f"By content: validation_fraction {options.validation_fraction} was raised until "
            "validation held a document and 1 % of the text, of a small corpus up to 5 %."
        )
    return f"By content, at validation_fraction {options.validation_fraction}."


def _notes(findings: Findings) -> tuple[str, ...]:
    if not findings.num_cut_files:
        return ()
    note = (
        f"{findings.num_cut_files} files are longer than {MAX_RECORD_BYTES} bytes and were cut at "
        "the ends of paragraphs; each piece is a record."
    )
    return (note,)


def _canonical(value: Any) -> bytes:  # noqa: ANN401  whatever JSON can write
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
