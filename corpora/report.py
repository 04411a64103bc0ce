"""What ``report.json`` says: what became of every record and every byte, why, and examples."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from core.frozen import Frozen
from corpora.documents import CorpusStats
from corpora.readers.record import Damage
from corpora.split_names import SplitName

NUM_EXAMPLES: Final = 5
NUM_BAD_PLACES: Final = 50
NUM_FILES: Final = 1000

StageName = Literal["read", "clean", "deduplicate", "split"]


class Example(Frozen):
    """One record: where it is and how it begins."""

    file: str = Field(description="The name under which the file was uploaded")
    place: str = Field(description="Where in the file: a line, a row, a member of an archive")
    excerpt: str = Field(description="How its text begins, on one line")


class Removed(Frozen):
    """How many records met one fate, and their text."""

    count: int = Field(default=0, description="Records")
    num_bytes: int = Field(default=0, description="Their text in UTF-8 as it was when they left")

    def __add__(self, other: Removed) -> Removed:
        """Both together."""
        return Removed(count=self.count + other.count, num_bytes=self.num_bytes + other.num_bytes)


class Reason(Removed):
    """How many records met one fate, and the first of them."""

    examples: tuple[Example, ...] = Field(default=(), description="The first few")

    def with_more(self, other: Reason) -> Reason:
        """Both together; of the examples the first few."""
        return Reason(
            count=self.count + other.count,
            num_bytes=self.num_bytes + other.num_bytes,
            examples=(*self.examples, *other.examples)[:NUM_EXAMPLES],
        )


class BadPlace(Frozen):
    """A place in a file that was no text."""

    file: str = Field(description="The name under which the file was uploaded")
    place: str = Field(description="The line, and the byte where it is known")
    damage: Damage = Field(description="What was wrong with the bytes there")
    count: int = Field(description="How many there were")


class BadBytesReport(Frozen):
    """Bytes that were replaced (undecodable, lone surrogates) or removed (NUL, trailing ones)."""

    count: int = Field(default=0, description="All of them")
    by_damage: dict[str, int] = Field(default={}, description="The same by what was wrong")
    places: tuple[BadPlace, ...] = Field(default=(), description="The first of them")


class CutFile(Frozen):
    """A file too long for one record."""

    file: str = Field(description="The name under which the file was uploaded")
    num_records: int = Field(description="How many records it became")


class LengthBin(Frozen):
    """Documents of at least ``from_bytes`` and fewer than ``to_bytes``."""

    from_bytes: int = Field(description="The shortest that counts here")
    to_bytes: int = Field(description="The shortest that no longer does")
    count: int = Field(description="Documents")


class StageReport(Frozen):
    """What went into a stage of the pipeline and what came out; the next takes just that.

    ``num_in - sum(removed.count) = num_out``, and
    ``bytes_in - sum(removed.num_bytes) + changed_bytes = bytes_out``.
    """

    stage: StageName = Field(description="Which")
    num_in: int = Field(description="Records")
    num_out: int = Field(description="Records that were left")
    bytes_in: int = Field(description="Their text in UTF-8")
    bytes_out: int = Field(description="The text that was left")
    removed: dict[str, Removed] = Field(description="What was not, by reason")
    changed_bytes: int = Field(
        default=0, description="By how much the texts that stayed grew; below zero they shrank"
    )


class FileReport(Frozen):
    """What became of one file.

    ``record_bytes - dropped_bytes + changed_bytes - duplicate_bytes = text_bytes``, and
    ``num_records - num_dropped - num_duplicates = num_documents``.
    """

    file: str = Field(description="The name under which it was uploaded")
    sha256: str = Field(description="Of its bytes as they were uploaded")
    num_bytes: int = Field(description="Those bytes, compressed if they are")
    num_records: int = Field(description="What its reader found in it")
    record_bytes: int = Field(description="The text of its records in UTF-8")
    num_dropped: int = Field(default=0, description="Records that gave no document")
    dropped_bytes: int = Field(default=0, description="Their text")
    dropped: dict[str, Removed] = Field(default={}, description="The same by reason")
    changed_bytes: int = Field(default=0, description="By how much cleaning made its texts longer")
    num_duplicates: int = Field(default=0, description="Documents that repeat another")
    duplicate_bytes: int = Field(default=0, description="Their text")
    num_documents: int = Field(default=0, description="Documents that were kept")
    text_bytes: int = Field(default=0, description="Their text: what the corpus has of this file")


class DuplicateCluster(Frozen):
    """Documents that are the same but for little, of which one was kept."""

    num_members: int = Field(description="With the one that was kept")
    num_bytes: int = Field(description="The text of all of them")
    kept: Example = Field(description="The longest; of equally long ones the first")
    removed: tuple[Example, ...] = Field(description="The first few of the others")


class DuplicatesReport(Frozen):
    """Documents that were removed because they repeat another."""

    count: int = Field(description="Exact and near ones")
    num_bytes: int = Field(description="Their text")
    num_exact: int = Field(description="Equal but for case and white space to an earlier one")
    num_near: int = Field(description="Sharing most of their words with one that was kept")
    num_clusters: int = Field(description="Groups of documents of which all but one were removed")
    clusters: tuple[DuplicateCluster, ...] = Field(description="The largest few")


class CharacterReport(Frozen):
    """What the kept text is written in."""

    num_characters: int = Field(description="Of every document that was kept")
    scripts: dict[str, int] = Field(
        description="Characters by script, the most frequent first; Common is digits, spaces, "
        "punctuation and symbols"
    )


class LeakageReport(Frozen):
    """Held-out documents whose like stands in the training split; counted, and always none."""

    num_exact: int = Field(description="Held-out documents that equal a training document")
    num_near: int | None = Field(
        description="Held-out documents in one cluster with a training document; null where only "
        "exact duplicates were looked for"
    )


class SplitReport(Frozen):
    """The split as it came out, and the rule that made it."""

    rule: str = Field(description="How the documents that are held out were chosen")
    num_documents: dict[SplitName, int] = Field(description="By split")
    num_bytes: dict[SplitName, int] = Field(description="Their text in UTF-8, by split")
    leakage: LeakageReport = Field(description="How well the splits are kept apart")


class Digests(Frozen):
    """SHA-256 of what went in and what came out, in hexadecimal."""

    corpus: str = Field(description="Of the options and of both splits' texts in their order")
    files: str = Field(description="Of the files' digests, sorted, a line each")
    options: str = Field(description="Of the options as canonical JSON")
    train: str = Field(description="Of the digests of the training texts")
    validation: str = Field(description="Of the digests of the held-out texts")


class CorpusReport(Frozen):
    """``report.json``."""

    digest: str = Field(description="That of the corpus")
    stats: CorpusStats = Field(description="The sums")
    stages: tuple[StageReport, ...] = Field(description="The way through the pipeline")
    files: tuple[FileReport, ...] = Field(
        description=f"The first {NUM_FILES} files in the order of their digests"
    )
    dropped: dict[str, Reason] = Field(description="Records that gave no document, by reason")
    duplicates: DuplicatesReport = Field(description="Documents that repeat another")
    redactions: dict[str, int] = Field(description="Pieces of text that were replaced, by kind")
    removed_lines: dict[str, int] = Field(
        description="Lines that were taken out of documents, by filter"
    )
    bad_bytes: BadBytesReport = Field(description="Where files were no text")
    cut_files: tuple[CutFile, ...] = Field(description="The first files that were cut")
    lengths: tuple[LengthBin, ...] = Field(description="How long documents are")
    languages: dict[str, int] = Field(description="Documents by language, most first")
    characters: CharacterReport = Field(description="What the documents are written in")
    split: SplitReport = Field(description="What is trained on, and what is held out")
    digests: Digests = Field(description="Of everything")
    notes: tuple[str, ...] = Field(description="What else there is to know")
