"""Pieces to a corpus: find duplicates, split, write.

Two passes over the text: the first (``corpora.reading``) reads and cleans every record, piece by
piece; the second writes what is kept. Between them, on small facts alone, duplicates are found and
the split is chosen. Files are read in the order of their digests, so that equal content gives equal
corpora.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from core.corpus_options import CorpusOptions
from core.errors import BadData
from corpora.clusters import ClusterExamples
from corpora.decontamination import read_evaluation
from corpora.deduplicate import Duplicates, find_repeats, no_duplicates
from corpora.documents import (
    DOCUMENTS_NAME,
    MANIFEST_NAME,
    REPORT_NAME,
    CorpusManifest,
    CorpusStats,
)
from corpora.durable import sync_directory, write_durably
from corpora.findings import PieceFindings, merge_findings
from corpora.leakage import count_leaks
from corpora.near_duplicates import Inheritance, find_near_duplicates
from corpora.plan import SourceSize, plan_pieces
from corpora.progress import Progress, ProgressCallback, ShareCallback, part_of
from corpora.readers.source import SourceFile
from corpora.reading import PieceManifest, read_findings, read_piece, read_piece_manifest
from corpora.report import CorpusReport
from corpora.report_composer import compose_report, notes_on
from corpora.split import Split, choose_split
from corpora.spool import Spool
from corpora.tally import Tally
from corpora.writing import DocumentSorter

__all__ = ["SourceFile", "assemble_corpus", "build_corpus"]

_READING_SHARE: Final = 0.6
_DECIDING_SHARE: Final = 0.1


def build_corpus(
    files: Sequence[SourceFile],
    *,
    options: CorpusOptions,
    directory: Path,
    scratch: Path,
    progress: ProgressCallback,
    evaluation_file: SourceFile | None = None,
) -> CorpusManifest:
    """Make a corpus of ``files`` in this process; whole once this has returned.

    Args:
        files: in any order.
        options: what to do with them.
        directory: where the corpus goes; made if it is missing, and should otherwise be empty.
        scratch: where what is read may lie meanwhile, compressed; cleared again.
        progress: told how far it is.
        evaluation_file: the one that ``options.clean.decontaminate`` names.

    Raises:
        BadData: a file is damaged or a bomb (the message names it), or nothing at all is left.
    """
    with _room_in(scratch) as room:
        evaluation = (
            read_evaluation(evaluation_file, options=options, scratch=room)
            if evaluation_file
            else None
        )
        pieces: list[Path] = []
        for planned, part in _planned(files, progress):
            pieces.append(room / f"piece-{len(pieces):05d}")
            read_piece(
                planned,
                options=options,
                evaluation=evaluation,
                directory=pieces[-1],
                progress=part,
            )
        return assemble_corpus(
            pieces,
            options=options,
            directory=directory,
            scratch=room,
            progress=part_of(progress, _READING_SHARE, 1.0),
        )


def _planned(
    files: Sequence[SourceFile], progress: ProgressCallback
) -> Iterator[tuple[list[SourceFile], ProgressCallback]]:
    """The files of each piece, and what reading them tells how far it is."""
    by_id = {file.id: file for file in files}
    sizes = {file.id: file.path.stat().st_size for file in files}
    planned = plan_pieces(
        [SourceSize(file.id, file.filename, file.sha256, sizes[file.id]) for file in files]
    )
    num_bytes = max(1, sum(sizes.values()))
    done = 0
    for ids in planned:
        start, done = done, done + sum(sizes[id_] for id_ in ids)
        share = _READING_SHARE / num_bytes
        yield [by_id[id_] for id_ in ids], part_of(progress, share * start, share * done)


def assemble_corpus(
    pieces: Sequence[Path],
    *,
    options: CorpusOptions,
    directory: Path,
    scratch: Path,
    progress: ProgressCallback,
    base: CorpusManifest | None = None,
) -> CorpusManifest:
    """Make a corpus of pieces that were read; whole once this has returned.

    Args:
        pieces: their directories; the documents keep this order.
        options: those that they were read with.
        directory: where the corpus goes; made if it is missing, and should otherwise be empty.
        scratch: where tables may lie meanwhile; cleared again.
        progress: told how far it is.
        base: the corpus that this one extends; its pieces come first, its split is inherited.

    Raises:
        BadData: a piece is damaged, or nothing at all is left.
    """
    assembly = _Assembly(pieces, options=options, base=base)
    (directory / DOCUMENTS_NAME).mkdir(parents=True, exist_ok=True)
    with _room_in(scratch) as room:
        assembly.run(directory / DOCUMENTS_NAME, scratch=room, progress=progress)
    report = assembly.report()
    report_sha256 = write_durably(
        directory / REPORT_NAME, report.model_dump_json(indent=1).encode()
    )
    manifest = assembly.manifest(report_sha256=report_sha256)
    sync_directory(directory)
    write_durably(directory / MANIFEST_NAME, manifest.model_dump_json(indent=1).encode())
    sync_directory(directory)
    stats = manifest.stats
    progress(Progress("writing", 1.0, stats.num_files, stats.num_records, stats.num_bytes))
    return manifest


class _Assembly:
    """Pieces on their way to a corpus: decided upon and written, then told of."""

    def __init__(
        self, pieces: Sequence[Path], *, options: CorpusOptions, base: CorpusManifest | None
    ) -> None:
        self._options = options
        self._pieces = [read_piece_manifest(piece) for piece in pieces]
        self._findings = merge_findings(read_findings(piece) for piece in pieces)
        self._spool = Spool(pieces)
        if not self._spool.num_documents:
            raise _nothing_left(self._findings)
        self._inherited = Split.inherited(base.split_rule) if base else None
        earlier = base.split_rule.num_documents if base else ()
        assert not earlier or earlier[-1] <= self._spool.num_documents, "the base's pieces lack"
        self._versions = (*earlier, self._spool.num_documents)

    def run(self, directory: Path, *, scratch: Path, progress: ProgressCallback) -> None:
        """Find what repeats, choose the split, write the documents and look for leaks."""
        spool, findings, options = self._spool, self._findings, self._options

        def deduplicated(share: float) -> None:
            fraction = _DECIDING_SHARE * share
            progress(Progress("deduplicating", fraction, findings.num_files, findings.num_records))

        deduplicated(0.0)
        duplicates = self._find_duplicates(scratch, deduplicated)
        self._split = self._inherited or choose_split(
            spool, duplicates, fraction=options.validation_fraction
        )
        sorter = DocumentSorter(
            spool,
            duplicates,
            self._split,
            tally=Tally(first_files=_first_files(self._pieces)),
            examples=ClusterExamples(spool, duplicates, scratch=scratch),
        )
        self._written = sorter.run(
            directory,
            options=_canonical_options(options, self._pieces),
            progress=part_of(progress, _DECIDING_SHARE, 1.0),
        )
        self._leakage = count_leaks(
            spool,
            duplicates,
            self._split,
            parts=self._written.parts,
            knows_near=options.deduplicate == "near",
            scratch=scratch,
        )

    def _find_duplicates(self, scratch: Path, told: ShareCallback) -> Duplicates:
        match self._options.deduplicate:
            case "none":
                return no_duplicates(self._spool, scratch=scratch)
            case "exact":
                return find_repeats(self._spool, scratch=scratch, told=told)
            case "near":
                return find_near_duplicates(
                    self._spool, scratch=scratch, inheritance=self._inheritance, told=told
                )

    @property
    def _inheritance(self) -> Inheritance | None:
        if self._inherited is None:
            return None
        return Inheritance(
            num_documents=self._versions[:-1],
            threshold=self._inherited.threshold,
            pinned=frozenset(self._inherited.tails),
        )

    @cached_property
    def _stats(self) -> CorpusStats:
        tally = self._written.tally
        return CorpusStats(
            num_files=self._findings.num_files,
            num_records=self._findings.num_records,
            num_documents=tally.kept.count,
            num_bytes=tally.kept.num_bytes,
            num_duplicates=tally.exact.count + tally.near.count,
            dropped=self._findings.num_dropped,
            languages=tally.languages,
        )

    def report(self) -> CorpusReport:
        """What became of everything."""
        return compose_report(
            self._findings,
            self._pieces,
            stats=self._stats,
            options=self._options,
            split=self._split,
            written=self._written,
            leakage=self._leakage,
        )

    def manifest(self, *, report_sha256: str) -> CorpusManifest:
        """What the corpus holds."""
        return CorpusManifest(
            digest=self._written.digest,
            options=self._options,
            stats=self._stats,
            splits=self._written.splits,
            split_rule=self._split.rule(self._versions),
            report_sha256=report_sha256,
        )


@contextmanager
def _room_in(scratch: Path) -> Iterator[Path]:
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="corpus-") as room:
        yield Path(room)


def _nothing_left(findings: PieceFindings) -> BadData:
    reasons = ", ".join(f"{count} {reason}" for reason, count in findings.num_dropped.items())
    left = f"no document is left of {findings.num_records} records (dropped: {reasons or 'none'})"
    return BadData(
        ". ".join((left, *notes_on(findings))),
        code="corpus_empty",
        param="files",
    )


def _canonical_options(
    options: CorpusOptions, pieces: Sequence[PieceManifest]
) -> Mapping[str, Any]:
    """The options by which a corpus's content is known: a file among them by its digest."""
    dumped = options.model_dump(mode="json")
    if dumped["clean"].get("decontaminate") is not None:
        dumped["clean"]["decontaminate"] = pieces[0].evaluation_sha256
    return dumped


def _first_files(pieces: Sequence[PieceManifest]) -> list[int]:
    """How many files there are before each piece."""
    return list(accumulate((len(piece.sources) for piece in pieces[:-1]), initial=0))
