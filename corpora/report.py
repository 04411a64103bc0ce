"""What became of every record: kept, duplicate or dropped, why, and a few examples of each."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from core.spec import Frozen
from corpora.documents import CorpusStats
from corpora.readers.record import BadBytes, Dropped
from corpora.split_names import SplitName

NUM_EXAMPLES: Final = 5
NUM_BAD_PLACES: Final = 50


class Example(Frozen):
    """One record: where it is and how it begins."""

    file: str
    place: str
    excerpt: str


class Reason(Frozen):
    """How many records met one fate, and the first of them."""

    count: int = 0
    examples: tuple[Example, ...] = ()

    def another(self, example: Example) -> Reason:
        """One more."""
        examples = self.examples
        if len(examples) < NUM_EXAMPLES:
            examples = (*examples, example)
        return Reason(count=self.count + 1, examples=examples)


class BadPlace(Frozen):
    """A place in a file that was no text."""

    file: str
    place: str
    damage: str
    count: int


class BadBytesReport(Frozen):
    """Bytes that were replaced (undecodable, lone surrogates) or removed (NUL)."""

    count: int
    by_damage: dict[str, int]
    places: tuple[BadPlace, ...] = Field(default=(), description="The first of them")


class CutFile(Frozen):
    """A file too long for one record."""

    file: str
    num_records: int


class LengthBin(Frozen):
    """Documents of at least ``from_bytes`` and fewer than ``to_bytes``."""

    from_bytes: int
    to_bytes: int
    count: int


class StageReport(Frozen):
    """How many records went into a stage of the pipeline, and how many came out."""

    stage: str
    num_in: int
    num_out: int
    removed: dict[str, int]


class SplitReport(Frozen):
    """The split as it came out, and the rule that made it."""

    rule: str
    num_documents: dict[SplitName, int]
    num_bytes: dict[SplitName, int]


class CorpusReport(Frozen):
    """``report.json``."""

    digest: str
    stats: CorpusStats
    stages: tuple[StageReport, ...]
    dropped: dict[str, Reason]
    duplicates: Reason
    bad_bytes: BadBytesReport
    cut_files: tuple[CutFile, ...]
    lengths: tuple[LengthBin, ...]
    languages: dict[str, int]
    split: SplitReport
    notes: tuple[str, ...]


class Findings:
    """Gathers what a report tells while records stream by; bounded, whatever the corpus."""

    def __init__(self) -> None:
        self.num_records = 0
        self.dropped: dict[str, Reason] = {}
        self.num_duplicates = 0
        self._duplicates: list[Example] = []
        self.cut_files: list[CutFile] = []
        self.num_cut_files = 0
        self._by_damage: dict[str, int] = {}
        self._bad_places: list[BadPlace] = []

    def drop(self, file: str, dropped: Dropped) -> None:
        """A record gave no document."""
        example = Example(file=file, place=dropped.place, excerpt=dropped.excerpt)
        reason = self.dropped.get(dropped.reason, Reason())
        self.dropped[dropped.reason] = reason.another(example)

    def duplicate(self, example: Example | None) -> None:
        """A document repeats an earlier one; an example is not needed once there are enough."""
        self.num_duplicates += 1
        if example is not None:
            self._duplicates.append(example)

    @property
    def wants_duplicates(self) -> bool:
        """Whether examples of duplicates are still of use."""
        return len(self._duplicates) < NUM_EXAMPLES

    @property
    def duplicates(self) -> Reason:
        """All duplicates so far."""
        return Reason(count=self.num_duplicates, examples=tuple(self._duplicates))

    def bad_bytes(self, file: str, bad: BadBytes) -> None:
        """A place of a file was no text."""
        self._by_damage[bad.damage] = self._by_damage.get(bad.damage, 0) + bad.count
        if len(self._bad_places) < NUM_BAD_PLACES:
            place = BadPlace(file=file, place=bad.place, damage=bad.damage, count=bad.count)
            self._bad_places.append(place)

    def cut(self, file: str, num_records: int) -> None:
        """A file was cut into several records."""
        self.num_cut_files += 1
        if len(self.cut_files) < NUM_BAD_PLACES:
            self.cut_files.append(CutFile(file=file, num_records=num_records))

    @property
    def num_dropped(self) -> dict[str, int]:
        """Dropped records by reason."""
        return {reason: found.count for reason, found in sorted(self.dropped.items())}

    @property
    def bad_bytes_report(self) -> BadBytesReport:
        """All bad bytes so far."""
        return BadBytesReport(
            count=sum(self._by_damage.values()),
            by_damage=dict(sorted(self._by_damage.items())),
            places=tuple(self._bad_places),
        )
