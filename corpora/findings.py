"""What was found while files were read and cleaned: gathered piece by piece, then put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeVar

from pydantic import Field

from core.frozen import Frozen
from corpora.readers.record import BadBytes, Dropped
from corpora.report import (
    NUM_BAD_PLACES,
    NUM_EXAMPLES,
    NUM_FILES,
    BadBytesReport,
    BadPlace,
    CutFile,
    Example,
    FileReport,
    Reason,
    Removed,
)

T = TypeVar("T")
DroppingStage = Literal["read", "clean"]

_COUNTS: Final = (
    "num_files",
    "num_records",
    "record_bytes",
    "changed_bytes",
    "num_cut_files",
)


class PieceFindings(Frozen):
    """What reading and cleaning found in one piece, or in several; bounded, whatever they hold."""

    num_files: int = 0
    num_records: int = 0
    record_bytes: int = 0
    changed_bytes: int = 0
    files: tuple[FileReport, ...] = ()
    """The first of them, without what only the whole corpus tells: duplicates and documents."""
    dropped: dict[DroppingStage, dict[str, Reason]] = Field(default={})
    redactions: dict[str, int] = Field(default={})
    removed_lines: dict[str, int] = Field(default={})
    bad_bytes: BadBytesReport = BadBytesReport()
    cut_files: tuple[CutFile, ...] = ()
    num_cut_files: int = 0

    @property
    def num_dropped(self) -> dict[str, int]:
        """Dropped records by reason, whichever stage dropped them."""
        return {reason: found.count for reason, found in self.all_dropped.items()}

    @property
    def all_dropped(self) -> dict[str, Reason]:
        """What was dropped, by reason, whichever stage dropped it."""
        merged: dict[str, Reason] = {}
        for reasons in self.dropped.values():
            _merge_reasons(merged, reasons)
        return dict(sorted(merged.items()))


def merge_findings(pieces: Iterable[PieceFindings]) -> PieceFindings:
    """What was found in all ``pieces`` together; where only the first are told, the first ones."""
    whole = _Sum()
    for piece in pieces:
        whole.add(piece)
    return whole.result()


class _Sum:
    """Adds findings up in place: there may be as many as there are files."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._files: list[FileReport] = []
        self._dropped: dict[DroppingStage, dict[str, Reason]] = {"read": {}, "clean": {}}
        self._redactions: Counter[str] = Counter()
        self._removed_lines: Counter[str] = Counter()
        self._by_damage: Counter[str] = Counter()
        self._bad_places: list[BadPlace] = []
        self._cut_files: list[CutFile] = []

    def add(self, piece: PieceFindings) -> None:
        self._counts.update({name: getattr(piece, name) for name in _COUNTS})
        _extend(self._files, piece.files, length=NUM_FILES)
        for stage, reasons in piece.dropped.items():
            _merge_reasons(self._dropped[stage], reasons)
        self._redactions.update(piece.redactions)
        self._removed_lines.update(piece.removed_lines)
        self._by_damage.update(piece.bad_bytes.by_damage)
        _extend(self._bad_places, piece.bad_bytes.places, length=NUM_BAD_PLACES)
        _extend(self._cut_files, piece.cut_files, length=NUM_BAD_PLACES)

    def result(self) -> PieceFindings:
        return PieceFindings(
            **{name: self._counts[name] for name in _COUNTS},
            files=tuple(self._files),
            dropped={
                stage: dict(sorted(reasons.items())) for stage, reasons in self._dropped.items()
            },
            redactions=dict(sorted(self._redactions.items())),
            removed_lines=dict(sorted(self._removed_lines.items())),
            bad_bytes=BadBytesReport(
                count=self._by_damage.total(),
                by_damage=dict(sorted(self._by_damage.items())),
                places=tuple(self._bad_places),
            ),
            cut_files=tuple(self._cut_files),
        )


def _extend(target: list[T], more: Sequence[T], *, length: int) -> None:
    target.extend(more[: max(0, length - len(target))])


def _merge_reasons(target: dict[str, Reason], more: Mapping[str, Reason]) -> None:
    for name, reason in more.items():
        target[name] = target[name].with_more(reason) if name in target else reason


class Findings:
    """Gathers what is found while the records of one file after another stream by."""

    def __init__(self) -> None:
        self.num_records = 0
        self._whole = _Sum()
        self._file: _FileFindings | None = None

    def begin_file(self, filename: str, *, sha256: str, num_bytes: int) -> None:
        """What follows is of this file; ``num_bytes`` as it is stored."""
        self._finish_file()
        self._file = _FileFindings(filename, sha256=sha256, num_bytes=num_bytes)

    def keep(
        self,
        num_bytes: int,
        *,
        cleaned_bytes: int,
        redactions: Mapping[str, int],
        removed_lines: Mapping[str, int],
    ) -> None:
        """A record of ``num_bytes`` became a document of ``cleaned_bytes``."""
        self.num_records += 1
        self._current.num_records += 1
        self._current.record_bytes += num_bytes
        self._current.changed_bytes += cleaned_bytes - num_bytes
        if redactions:
            self._current.redactions.update(redactions)
        if removed_lines:
            self._current.removed_lines.update(removed_lines)

    def drop(self, dropped: Dropped, *, stage: DroppingStage, num_bytes: int) -> None:
        """A record gave no document; ``num_bytes`` of text went with it."""
        self.num_records += 1
        self._current.num_records += 1
        self._current.record_bytes += num_bytes
        self._current.drop(dropped, stage=stage, num_bytes=num_bytes)

    def bad_bytes(self, bad: BadBytes) -> None:
        """A place of the file was no text."""
        self._current.by_damage[bad.damage] += bad.count
        if len(self._current.bad_places) < NUM_BAD_PLACES:
            self._current.bad_places.append(bad)

    def cut(self, num_records: int) -> None:
        """The file was cut into several records."""
        self._current.num_parts = num_records

    def result(self) -> PieceFindings:
        """Everything; nothing is to be added afterwards."""
        self._finish_file()
        return self._whole.result()

    @property
    def _current(self) -> _FileFindings:
        assert self._file is not None
        return self._file

    def _finish_file(self) -> None:
        if self._file is not None:
            self._whole.add(self._file.result())
            self._file = None


class _FileFindings:
    """Plain counters for one file: they are touched for every record."""

    def __init__(self, filename: str, *, sha256: str, num_bytes: int) -> None:
        self._filename = filename
        self._sha256 = sha256
        self._num_bytes = num_bytes
        self.num_records = 0
        self.record_bytes = 0
        self.changed_bytes = 0
        self.num_parts = 0
        self.redactions: Counter[str] = Counter()
        self.removed_lines: Counter[str] = Counter()
        self.by_damage: Counter[str] = Counter()
        self.bad_places: list[BadBytes] = []
        self._counts: dict[DroppingStage, Counter[str]] = {"read": Counter(), "clean": Counter()}
        self._sizes: dict[DroppingStage, Counter[str]] = {"read": Counter(), "clean": Counter()}
        self._examples: dict[tuple[DroppingStage, str], list[Example]] = {}

    def drop(self, dropped: Dropped, *, stage: DroppingStage, num_bytes: int) -> None:
        self._counts[stage][dropped.reason] += 1
        self._sizes[stage][dropped.reason] += num_bytes
        examples = self._examples.setdefault((stage, dropped.reason), [])
        if len(examples) < NUM_EXAMPLES:
            examples.append(
                Example(file=self._filename, place=dropped.place, excerpt=dropped.excerpt)
            )

    def result(self) -> PieceFindings:
        dropped = {
            stage: {reason: self._reason(stage, reason) for reason in sorted(counts)}
            for stage, counts in self._counts.items()
        }
        by_reason: dict[str, Reason] = {}
        for reasons in dropped.values():
            _merge_reasons(by_reason, reasons)
        return PieceFindings(
            num_files=1,
            num_records=self.num_records,
            record_bytes=self.record_bytes,
            changed_bytes=self.changed_bytes,
            files=(self._report(by_reason),),
            dropped=dropped,
            redactions=dict(self.redactions),
            removed_lines=dict(self.removed_lines),
            bad_bytes=BadBytesReport(
                count=self.by_damage.total(),
                by_damage=dict(sorted(self.by_damage.items())),
                places=tuple(
                    BadPlace(
                        file=self._filename, place=bad.place, damage=bad.damage, count=bad.count
                    )
                    for bad in self.bad_places
                ),
            ),
            cut_files=(
                (CutFile(file=self._filename, num_records=self.num_parts),)
                if self.num_parts
                else ()
            ),
            num_cut_files=1 if self.num_parts else 0,
        )

    def _reason(self, stage: DroppingStage, reason: str) -> Reason:
        return Reason(
            count=self._counts[stage][reason],
            num_bytes=self._sizes[stage][reason],
            examples=tuple(self._examples[stage, reason]),
        )

    def _report(self, dropped: Mapping[str, Reason]) -> FileReport:
        return FileReport(
            file=self._filename,
            sha256=self._sha256,
            num_bytes=self._num_bytes,
            num_records=self.num_records,
            record_bytes=self.record_bytes,
            num_dropped=sum(reason.count for reason in dropped.values()),
            dropped_bytes=sum(reason.num_bytes for reason in dropped.values()),
            dropped={
                name: Removed(count=reason.count, num_bytes=reason.num_bytes)
                for name, reason in dropped.items()
            },
            changed_bytes=self.changed_bytes,
        )
