"""The report of a finished corpus, put together from what each stage found."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from core.corpus_options import CorpusOptions
from corpora.documents import CorpusStats
from corpora.findings import PieceFindings
from corpora.readers.record import MAX_RECORD_BYTES
from corpora.reading import PieceManifest
from corpora.report import (
    CharacterReport,
    CorpusReport,
    Digests,
    DuplicatesReport,
    FileReport,
    LeakageReport,
    LengthBin,
    Removed,
    SplitReport,
    StageName,
    StageReport,
)
from corpora.split import Split
from corpora.tally import Tally
from corpora.writing import Written

_CONVERT: Final = "Convert them (iconv -f LATIN1 -t UTF-8) and upload them again."


def compose_report(
    findings: PieceFindings,
    pieces: Sequence[PieceManifest],
    *,
    stats: CorpusStats,
    options: CorpusOptions,
    split: Split,
    written: Written,
    leakage: LeakageReport,
) -> CorpusReport:
    """What ``report.json`` says."""
    tally = written.tally
    return CorpusReport(
        digest=written.digest,
        stats=stats,
        stages=_stages(findings, tally),
        files=_files(findings, tally),
        dropped=findings.all_dropped,
        duplicates=DuplicatesReport(
            count=tally.exact.count + tally.near.count,
            num_bytes=tally.exact.num_bytes + tally.near.num_bytes,
            num_exact=tally.exact.count,
            num_near=tally.near.count,
            num_clusters=written.num_clusters,
            clusters=written.clusters,
        ),
        redactions=findings.redactions,
        removed_lines=findings.removed_lines,
        bad_bytes=findings.bad_bytes,
        cut_files=findings.cut_files,
        lengths=tuple(
            LengthBin(from_bytes=2**bits // 2, to_bytes=2**bits, count=count)
            for bits, count in enumerate(tally.lengths.tolist())
            if count
        ),
        languages=stats.languages,
        characters=CharacterReport(num_characters=written.num_characters, scripts=written.scripts),
        split=SplitReport(
            rule=_split_rule(split, written.num_tails, options),
            num_documents={name: part.num_documents for name, part in written.splits.items()},
            num_bytes={name: part.num_bytes for name, part in written.splits.items()},
            leakage=leakage,
        ),
        digests=Digests(
            corpus=written.digest,
            files=_digest_of_files(pieces),
            options=written.options_digest,
            train=written.split_digests["train"],
            validation=written.split_digests["validation"],
        ),
        notes=notes_on(findings),
    )


def notes_on(findings: PieceFindings) -> tuple[str, ...]:
    """What else there is to know of what was read, and what to do about it."""
    notes: list[str] = []
    if findings.num_cut_files:
        notes.append(
            f"{findings.num_cut_files} files are longer than {MAX_RECORD_BYTES} bytes and were cut "
            "at the ends of paragraphs; each piece is a record."
        )
    if unread := findings.num_dropped.get("not_utf8"):
        notes.append(
            f"{unread} files look like text that is neither UTF-8 nor UTF-16 with its mark, and "
            f"were dropped. {_CONVERT}"
        )
    if replaced := findings.bad_bytes.by_damage.get("undecodable"):
        notes.append(
            f"{replaced} characters were no UTF-8 and stand in the corpus as U+FFFD; bad_bytes "
            f"names their files. Where these are text of another encoding: {_CONVERT}"
        )
    return tuple(notes)


def _stages(findings: PieceFindings, tally: Tally) -> tuple[StageReport, ...]:
    """What went in and out of each stage; what the last gives are the splits."""
    duplicates = {"exact_duplicate": tally.exact, "near_duplicate": tally.near}
    removed_by: dict[StageName, Mapping[str, Removed]] = {
        "read": findings.dropped.get("read", {}),
        "clean": findings.dropped.get("clean", {}),
        "deduplicate": {reason: removed for reason, removed in duplicates.items() if removed.count},
        "split": {},
    }
    stages: list[StageReport] = []
    num_in, bytes_in = findings.num_records, findings.record_bytes
    for stage, reasons in removed_by.items():
        removed = {
            reason: Removed(count=found.count, num_bytes=found.num_bytes)
            for reason, found in reasons.items()
        }
        changed = findings.changed_bytes if stage == "clean" else 0
        num_out = num_in - sum(found.count for found in removed.values())
        bytes_out = bytes_in + changed - sum(found.num_bytes for found in removed.values())
        stages.append(
            StageReport(
                stage=stage,
                num_in=num_in,
                num_out=num_out,
                bytes_in=bytes_in,
                bytes_out=bytes_out,
                removed=removed,
                changed_bytes=changed,
            )
        )
        num_in, bytes_in = num_out, bytes_out
    return tuple(stages)


def _files(findings: PieceFindings, tally: Tally) -> tuple[FileReport, ...]:
    """The files' rows, with what only the whole corpus tells."""
    return tuple(
        file.model_copy(
            update={
                "num_duplicates": tally.removed_by_file[index].count,
                "duplicate_bytes": tally.removed_by_file[index].num_bytes,
                "num_documents": tally.kept_by_file[index].count,
                "text_bytes": tally.kept_by_file[index].num_bytes,
            }
        )
        for index, file in enumerate(findings.files)
    )


def _digest_of_files(pieces: Sequence[PieceManifest]) -> str:
    digests = sorted(source.sha256 for piece in pieces for source in piece.sources)
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


def _split_rule(split: Split, num_tails: int, options: CorpusOptions) -> str:
    if split.is_inherited:
        return (
            "By content, as in the corpus that this one extends: what was held out there is held "
            "out here, and its threshold decides on the new documents."
        )
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
