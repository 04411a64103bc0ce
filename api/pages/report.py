"""What became of every byte of a corpus, as one page that a person reads or prints.

The page is whole in itself: it loads nothing, runs nothing, and follows the reader's light or dark
theme. Every text of a user's in it is escaped by `api.pages.html`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from api.pages import losses, texts
from api.pages.blocks import facts, section, table
from api.pages.frame import framed
from api.pages.html import NOTHING, Html, element, visible
from api.pages.numbers import count, counted, share, size
from api.schemas.corpora import CorpusReportObject
from corpora.report import FileReport, LeakageReport, StageReport

_MOST_FILES: Final = 20
"""What is shown at first sight; the rest unfolds."""


def report_page(report: CorpusReportObject) -> str:
    """The page of a corpus's report."""
    return framed(f"{report.name}: what became of every byte", *_content(report))


def _content(report: CorpusReportObject) -> Iterable[Html]:
    """The page from top to bottom; a section without anything to tell is left out."""
    yield _head(report)
    yield _tiles(report)
    yield _checks(report)
    yield losses.where_bytes_went(report)
    yield losses.dropped(report)
    yield losses.duplicates(report)
    yield texts.lengths(report)
    yield element("div", texts.languages(report), texts.characters(report), class_="pair")
    yield losses.damage(report)
    yield losses.redactions(report)
    yield _split(report)
    yield _sources(report)
    yield _recipe(report)
    yield element(
        "footer",
        "The same, for programs: ",
        element("a", "this report as JSON", href="?format=json"),
        ".",
    )


def _head(report: CorpusReportObject) -> Html:
    stats = report.stats
    found = report.stages[0].bytes_in if report.stages else stats.num_bytes
    lead = (
        f"{counted(stats.num_files, 'file')} with {size(found)} of text in "
        f"{counted(stats.num_records, 'record')} became "
        f"{counted(stats.num_documents, 'document')} with {size(stats.num_bytes)}: "
        f"{share(stats.num_bytes, found)} of the text was kept."
    )
    made_at = datetime.fromtimestamp(report.created_at, UTC)
    return element(
        "header",
        element("p", "Corpus report", class_="kind"),
        element("h1", visible(report.name)),
        element("p", element("code", report.corpus), f", asked for {made_at:%d %B %Y, %H:%M} UTC",
                class_="quiet"),
        element("p", lead, class_="lead"),
    )  # fmt: skip


def _tiles(report: CorpusReportObject) -> Html:
    stats, held = report.stats, report.split.num_bytes
    num_dropped = sum(stats.dropped.values())
    tiles = [
        ("Documents", count(stats.num_documents), f"of {counted(stats.num_records, 'record')}"),
        ("Text", size(stats.num_bytes), f"{count(stats.num_bytes)} bytes"),
        ("Duplicates", count(stats.num_duplicates), share(stats.num_duplicates, stats.num_records)),
        ("Dropped", count(num_dropped), share(num_dropped, stats.num_records)),
        ("Held out", size(held.get("validation", 0)),
         share(held.get("validation", 0), stats.num_bytes)),
    ]  # fmt: skip
    tokenizer = report.tokenizer
    if tokenizer is not None and tokenizer.bytes_per_token:
        tiles.append((
            "Bytes per token",
            f"{tokenizer.bytes_per_token:.2f}",
            f"with {count(tokenizer.vocab_size or 0)} tokens",
        ))  # fmt: skip
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", number, element("small", note)))
            for name, number, note in tiles
        ),
        class_="tiles",
    )


def _checks(report: CorpusReportObject) -> Html:
    """What must hold of every report, worked out again from the numbers on the page."""
    stats, leakage = report.stats, report.split.leakage
    accounted = stats.num_documents + stats.num_duplicates + sum(stats.dropped.values())
    held = sum(report.split.num_bytes.values())
    checks = [
        (accounted == stats.num_records, "every record is accounted for"),
        (_adds_up(report.stages, stats.num_bytes), "every byte is accounted for"),
        (held == stats.num_bytes, "train and validation are all of it"),
        (
            not leakage.num_exact and not leakage.num_near,
            "nothing held out is trained on",
        ),
    ]
    return element(
        "ul",
        *(
            element(
                "li",
                f"✓ {claim}" if holds else f"✗ It does not hold that {claim}",
                class_=None if holds else "bad",
            )
            for holds, claim in checks
        ),
        class_="checks",
    )


def _adds_up(stages: Sequence[StageReport], num_bytes: int) -> bool:
    expected = stages[0].bytes_in if stages else num_bytes
    for stage in stages:
        lost = sum(removed.num_bytes for removed in stage.removed.values())
        if stage.bytes_in != expected or expected + stage.changed_bytes - lost != stage.bytes_out:
            return False
        expected = stage.bytes_out
    return expected == num_bytes


def _split(report: CorpusReportObject) -> Html:
    split = report.split
    total = sum(split.num_bytes.values())
    rows = [
        (
            name,
            count(split.num_documents.get(name, 0)),
            count(num_bytes),
            share(num_bytes, total),
        )
        for name, num_bytes in sorted(split.num_bytes.items())
    ]
    return section(
        "Training and validation",
        split.rule,
        table(("Split", "Documents", "Bytes", "Share"), rows),
        element("p", _leakage(split.leakage)),
    )


def _leakage(leakage: LeakageReport) -> str:
    near = (
        "near-duplicates were not looked for"
        if leakage.num_near is None
        else f"{count(leakage.num_near)} nearly equal"
    )
    return (
        f"Held-out documents whose text is also in the training split: {count(leakage.num_exact)} "
        f"equal, {near}."
    )


def _sources(report: CorpusReportObject) -> Html:
    if not report.files:
        return NOTHING
    first, others = report.files[:_MOST_FILES], report.files[_MOST_FILES:]
    hidden = report.stats.num_files - len(report.files)
    return section(
        "Files",
        "In the order of their digests, which is the order of their documents."
        + (f" {counted(hidden, 'more file is', 'more files are')} not shown." if hidden else ""),
        _table_of_files(first),
        element(
            "details",
            element("summary", element("b", counted(len(others), "more file"))),
            _table_of_files(others),
        )
        if others
        else NOTHING,
    )


def _table_of_files(files: Sequence[FileReport]) -> Html:
    columns = ("File", "sha256", "Stored", "Records", "Dropped", "Duplicates", "Documents",
               "Text found", "Text kept")  # fmt: skip
    return table(columns, map(_source, files), num_texts=2)


def _source(file: FileReport) -> Sequence[str]:
    return (
        visible(file.file),
        element("code", file.sha256[:12]),
        size(file.num_bytes),
        count(file.num_records),
        count(file.num_dropped),
        count(file.num_duplicates),
        count(file.num_documents),
        size(file.record_bytes),
        size(file.text_bytes),
    )


def _recipe(report: CorpusReportObject) -> Html:
    digests = [(f"sha256 of {name}", digest) for name, digest in report.digests]
    digests.append(("sha256 of this report", report.sha256))
    return section(
        "How to get the same again",
        "The same content with the same options gives the same digest, whatever the files are "
        "called and in whatever order they come.",
        facts(digests),
        element(
            "details",
            element("summary", element("b", "Options")),
            facts(_flat(report.options)),
            open="open",
        ),
        *(element("p", visible(note), class_="quiet") for note in report.notes),
    )


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """What is set, each by its path; what is off or was not given is left out."""
    for name, value in options.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}.")
        elif value == {}:
            yield path, "on"
        elif value is not None and value is not False and value != []:
            yield path, value if isinstance(value, str) else json.dumps(value)
