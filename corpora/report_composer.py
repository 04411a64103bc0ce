"""The report of a finished corpus, put together from what each stage found."""

from __future__ import annotations

from core.corpus_options import CorpusOptions
from corpora.documents import CorpusStats
from corpora.readers.record import MAX_RECORD_BYTES
from corpora.report import CorpusReport, Findings, LengthBin, SplitReport, StageReport
from corpora.split import Split
from corpora.writing import Written

_READ_DROPS = ("bad_json", "no_text_field", "text_is_no_string", "line_too_long")


def compose_report(
    findings: Findings,
    *,
    stats: CorpusStats,
    options: CorpusOptions,
    split: Split,
    written: Written,
) -> CorpusReport:
    """What ``report.json`` says."""
    return CorpusReport(
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
