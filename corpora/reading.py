"""Files to what is known of their documents: one piece of a corpus, read and cleaned.

::

    manifest.json     written last
    texts.jsonl.zst   the documents, as a corpus stores them
    facts.bin         a row of ``corpora.spool.FACTS_DTYPE`` for each
    signatures.bin    for near deduplication alone: the MinHash signature of each
    findings.json     what was found on the way

Pieces are read apart from each other, in any order and by anyone: equal files and options give
equal bytes. What only the whole corpus tells comes later, in ``corpora.pipeline``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from core.corpus_options import CorpusOptions
from core.frozen import Frozen
from corpora.cleaning import Cleaner
from corpora.decontamination import Evaluation
from corpora.durable import HashedFile, sync_directory, write_durably
from corpora.findings import Findings, PieceFindings
from corpora.progress import Progress, ProgressCallback
from corpora.readers.children import Children
from corpora.readers.record import Dropped, Record
from corpora.readers.source import SourceFile, read_records
from corpora.spool import SpoolWriter, piece_damaged

MANIFEST_NAME: Final = "manifest.json"
FINDINGS_NAME: Final = "findings.json"


class PieceFile(Frozen):
    """One file of a piece's directory."""

    name: str
    num_bytes: int = Field(ge=0)
    sha256: str


class PieceSource(Frozen):
    """A file that a piece was read from."""

    filename: str
    sha256: str
    num_bytes: int = Field(ge=0)


class PieceManifest(Frozen):
    """What a piece holds; ``num_bytes`` counts the UTF-8 of its documents."""

    format: Literal[1] = 1
    num_records: int = Field(ge=0)
    num_documents: int = Field(ge=0)
    num_bytes: int = Field(ge=0)
    sources: tuple[PieceSource, ...]
    evaluation_sha256: str | None = None
    """The file whose text was kept out of the documents."""
    files: tuple[PieceFile, ...]


def read_piece(
    files: Sequence[SourceFile],
    *,
    options: CorpusOptions,
    evaluation: Evaluation | None = None,
    directory: Path,
    progress: ProgressCallback,
) -> PieceManifest:
    """Read and clean every record of ``files``; whole once this has returned.

    Args:
        files: in any order; they are read in canonical order.
        options: what to do with them.
        evaluation: what ``options.clean.decontaminate`` names; read once for many pieces.
        directory: where the piece goes; made if it is missing, and should otherwise be empty.
        progress: told how far it is.

    Raises:
        BadData: a file is damaged or a bomb; the message names it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    cleaner = Cleaner(options.clean, evaluation=evaluation)
    reading = _Reading(
        files,
        options=options,
        cleaner=cleaner,
        spool=SpoolWriter(directory, with_signatures=options.deduplicate == "near"),
        scratch=directory,
        progress=progress,
    )
    findings, written = reading.run()
    with HashedFile(directory / FINDINGS_NAME) as findings_file:
        findings_file.write(findings.model_dump_json(indent=1).encode())
    written.append(findings_file)
    sync_directory(directory)
    manifest = PieceManifest(
        num_records=findings.num_records,
        num_documents=reading.num_documents,
        num_bytes=reading.num_bytes,
        sources=tuple(reading.sources),
        evaluation_sha256=evaluation.sha256 if evaluation else None,
        files=tuple(
            PieceFile(name=file.path.name, num_bytes=file.num_bytes, sha256=file.sha256)
            for file in written
        ),
    )
    write_durably(directory / MANIFEST_NAME, manifest.model_dump_json(indent=1).encode())
    sync_directory(directory)
    return manifest


def read_piece_manifest(directory: Path) -> PieceManifest:
    """The manifest of a piece, once its files are there in full.

    Raises:
        BadData: something is missing or cut short; the message names the file.
    """
    path = directory / MANIFEST_NAME
    try:
        manifest = PieceManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise piece_damaged(path, "is missing") from error
    except ValidationError as error:
        raise piece_damaged(path, "is no manifest of a piece") from error
    for file in manifest.files:
        stored = directory / file.name
        if not stored.is_file():
            raise piece_damaged(stored, "is missing")
        if (num_bytes := stored.stat().st_size) != file.num_bytes:
            raise piece_damaged(stored, f"has {num_bytes} bytes instead of {file.num_bytes}")
    return manifest


def read_findings(directory: Path) -> PieceFindings:
    """What was found while a piece was read.

    Raises:
        BadData: it is missing or damaged.
    """
    path = directory / FINDINGS_NAME
    try:
        return PieceFindings.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise piece_damaged(path, "is missing") from error
    except ValidationError as error:
        raise piece_damaged(path, "holds no findings") from error


class _Reading:
    """The files of one piece on their way into its spool."""

    def __init__(
        self,
        files: Sequence[SourceFile],
        *,
        options: CorpusOptions,
        cleaner: Cleaner,
        spool: SpoolWriter,
        scratch: Path,
        progress: ProgressCallback,
    ) -> None:
        self._files = sorted(files, key=lambda file: (file.sha256, file.filename))
        self._options = options
        self._cleaner = cleaner
        self._spool = spool
        self._scratch = scratch
        self._progress = progress
        self._findings = Findings()
        self.sources = [
            PieceSource(
                filename=file.filename, sha256=file.sha256, num_bytes=file.path.stat().st_size
            )
            for file in self._files
        ]
        self._num_stored_bytes = max(1, sum(source.num_bytes for source in self.sources))
        self._num_files_read = 0
        self._num_stored_bytes_read = 0
        self.num_bytes = 0

    @property
    def num_documents(self) -> int:
        return self._spool.num_documents

    def run(self) -> tuple[PieceFindings, list[HashedFile]]:
        """Read them all; answers what was found and the files that were written."""
        with Children() as children, closing(self._spool):
            for index, (file, source) in enumerate(zip(self._files, self.sources, strict=True)):
                self._findings.begin_file(
                    file.filename, sha256=file.sha256, num_bytes=source.num_bytes
                )
                self._read_file(file, index, children)
                self._num_files_read += 1
            return self._findings.result(), self._spool.finish()

    def _consumed(self, num_bytes: int) -> None:
        self._num_stored_bytes_read += num_bytes
        self._progress(
            Progress(
                "reading",
                min(1.0, self._num_stored_bytes_read / self._num_stored_bytes),
                files=self._num_files_read,
                records=self._findings.num_records,
                bytes=self._num_stored_bytes_read,
            )
        )

    def _read_file(self, file: SourceFile, index: int, children: Children) -> None:
        num_parts = 0
        records = read_records(
            file,
            options=self._options,
            notice=self._findings.bad_bytes,
            consumed=self._consumed,
            children=children,
            scratch=self._scratch,
        )
        for number, record in enumerate(records):
            if isinstance(record, Dropped):
                self._findings.drop(record, stage="read", num_bytes=record.num_bytes)
                continue
            num_parts += record.is_part
            self._clean(record, number=number, file=file.filename, index=index)
        if num_parts:
            self._findings.cut(num_parts)

    def _clean(self, record: Record, *, number: int, file: str, index: int) -> None:
        num_bytes = utf8_length(record.text)
        cleaned = self._cleaner.clean(record, notice=self._findings.bad_bytes)
        if isinstance(cleaned, Dropped):
            self._findings.drop(cleaned, stage="clean", num_bytes=num_bytes)
            return
        cleaned_bytes = self._spool.add(
            cleaned.text,
            file=file,
            place=record.place,
            record=number,
            file_index=index,
            language=cleaned.language,
        )
        self._findings.keep(
            num_bytes,
            cleaned_bytes=cleaned_bytes,
            redactions=cleaned.redactions,
            removed_lines=cleaned.removed_lines,
        )
        self.num_bytes += cleaned_bytes


def utf8_length(text: str) -> int:
    """The bytes of ``text`` in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
