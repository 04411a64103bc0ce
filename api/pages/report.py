"""What became of every byte of a corpus, as one page that a person reads or prints.

The page is whole in itself: it loads nothing, runs nothing, and follows the reader's light or dark
theme. Every text of a user's in it is escaped by `api.pages.html`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

from api.pages.charts import Part, Passage, bar, flow, histogram
from api.pages.html import NOTHING, Html, element, joined, visible
from api.pages.numbers import count, counted, share, signed, size
from api.pages.reasons import meaning_of, name_of
from api.schemas.corpora import CorpusReportObject
from corpora.report import (
    BadPlace,
    CutFile,
    DuplicateCluster,
    Example,
    FileReport,
    StageReport,
)

_MOST_BARS: Final = 20
_COMES_OUT: Final = {"read": "read", "clean": "cleaned", "deduplicate": "distinct"}
_LOST_TO: Final = {"read": "not readable", "clean": "cleaning", "deduplicate": "duplicates"}
_WHAT_A_STAGE_DOES: Final = {
    "read": "Files are unpacked and decoded into records.",
    "clean": "Text is normalised, and what the filters reject is dropped.",
    "deduplicate": "Of documents that say the same, one is kept.",
    "split": "Some documents are held out, to measure with; none is lost.",
}


def report_page(report: CorpusReportObject) -> str:
    """The page of a corpus's report."""
    return "<!doctype html>\n" + element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", f"{visible(report.name)}: what became of every byte"),
            element("style", Html(_style())),
        ),
        element("body", element("main", *_content(report))),
        lang="en",
    )


def page_headers() -> dict[str, str]:
    """What a browser may do with the page: show it, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }


@cache
def _style() -> str:
    return (files(__package__) / "report.css").read_text("utf-8")


def _content(report: CorpusReportObject) -> Iterable[Html]:
    """The page from top to bottom; a section without anything to tell is left out."""
    yield _head(report)
    yield _tiles(report)
    yield _checks(report)
    yield _where_bytes_went(report)
    yield _dropped(report)
    yield _duplicates(report)
    yield _lengths(report)
    yield element("div", _languages(report), _characters(report), class_="pair")
    yield _damage(report)
    yield _redactions(report)
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
            leakage.num_exact == 0 and leakage.num_near == 0,
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


def _where_bytes_went(report: CorpusReportObject) -> Html:
    passages = [
        Passage(
            name=_COMES_OUT.get(stage.stage, stage.stage),
            num_in=stage.bytes_in,
            num_out=stage.bytes_out,
            lost_to=_LOST_TO.get(stage.stage, stage.stage),
        )
        for stage in report.stages
        if stage.stage in _COMES_OUT
    ]
    parts = [
        Part(name=f"kept for {name}", number=number, style=name)
        for name, number in sorted(report.split.num_bytes.items())
    ]
    columns = ("Stage", "Records in", "Records out", "Bytes in", "Changed by", "Removed",
               "Bytes out")  # fmt: skip
    rows = [
        (
            joined([
                element("b", stage.stage),
                element("br"),
                element("span", _WHAT_A_STAGE_DOES.get(stage.stage, ""), class_="quiet"),
            ]),
            count(stage.num_in),
            count(stage.num_out),
            count(stage.bytes_in),
            signed(stage.changed_bytes),
            signed(-sum(removed.num_bytes for removed in stage.removed.values())),
            count(stage.bytes_out),
        )
        for stage in report.stages
    ]  # fmt: skip
    return _section(
        "Where the bytes went",
        "Bytes are those of the text as UTF-8, once it is unpacked.",
        flow(passages, parts) if passages else NOTHING,
        _table(columns, rows),
    )


def _dropped(report: CorpusReportObject) -> Html:
    if not report.dropped:
        return _section("Dropped", "Nothing was dropped.")
    most_first = sorted(report.dropped.items(), key=lambda item: (-item[1].count, item[0]))
    stages = {
        code: [stage.stage for stage in report.stages if code in stage.removed]
        for code in report.dropped
    }
    entries = [
        element(
            "details",
            element(
                "summary",
                element("span", element("b", name_of(code)), " ", *map(_tag, stages[code])),
                element("span", counted(reason.count, "record"), class_="number"),
                element("span", size(reason.num_bytes), class_="number"),
            ),
            element("p", meaning_of(code), " ", element("code", code), class_="quiet"),
            _records(reason.examples),
            open="open" if index == 0 else None,
        )
        for index, (code, reason) in enumerate(most_first)
    ]
    total = sum(reason.count for reason in report.dropped.values())
    return _section(
        "Dropped",
        f"{counted(total, 'record')} gave no document, for "
        f"{counted(len(most_first), 'reason')}. Each with the first records it applied to.",
        *entries,
    )


def _records(examples: Sequence[Example], *, style: str | None = None) -> Html:
    return element("ul", *(_record(example, style=style) for example in examples), class_="records")


def _record(example: Example, *, style: str | None = None, tag: str | None = None) -> Html:
    place = f"{visible(example.file)}, {visible(example.place)}" if example.place else example.file
    return element(
        "li",
        element("span", _tag(tag), place, class_="place"),
        element("q", visible(example.excerpt), dir="auto"),
        class_=style,
    )


def _tag(text: str | None) -> Html:
    return element("span", text, class_="tag") if text else NOTHING


def _duplicates(report: CorpusReportObject) -> Html:
    duplicates = report.duplicates
    if not duplicates.count:
        return _section("Duplicates", "No document repeats another.")
    kinds = (
        f"{count(duplicates.num_exact)} equal but for case and white space, "
        f"{count(duplicates.num_near)} nearly equal"
    )
    return _section(
        "Duplicates",
        f"{counted(duplicates.count, 'document')} with {size(duplicates.num_bytes)} repeat "
        f"another one: {kinds}. They form "
        f"{counted(duplicates.num_clusters, 'cluster')}; of each, one document is kept.",
        *(
            _cluster(cluster, is_open=index == 0)
            for index, cluster in enumerate(duplicates.clusters)
        ),
    )


def _cluster(cluster: DuplicateCluster, *, is_open: bool) -> Html:
    hidden = cluster.num_members - 1 - len(cluster.removed)
    begins = visible(" ".join(cluster.kept.excerpt.split()))[:70]
    return element(
        "details",
        element(
            "summary",
            element("span", begins or "(empty)", dir="auto"),
            element("span", counted(cluster.num_members, "document"), class_="number"),
            element("span", size(cluster.num_bytes), class_="number"),
        ),
        element(
            "ul",
            _record(cluster.kept, style="kept", tag="kept"),
            *(_record(example, style="removed", tag="removed") for example in cluster.removed),
            class_="records",
        ),
        element("p", f"and {count(hidden)} more", class_="quiet") if hidden > 0 else NOTHING,
        open="open" if is_open else None,
    )


def _lengths(report: CorpusReportObject) -> Html:
    if not report.lengths:
        return NOTHING
    known = {length.from_bytes: length for length in report.lengths}
    first, last = min(known), max(known)
    bins: list[tuple[str, int]] = []
    start = first
    while start <= last:
        bins.append((_power_of_two(start), known[start].count if start in known else 0))
        start = max(1, 2 * start)
    return _section(
        "How long documents are",
        "Documents by their bytes: each column goes from its number to twice that.",
        histogram(bins, title="Documents by length"),
    )


def _power_of_two(num_bytes: int) -> str:
    for unit, amount in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if num_bytes >= amount:
            return f"{num_bytes // amount} {unit}"
    return str(num_bytes)


def _languages(report: CorpusReportObject) -> Html:
    if not report.languages:
        return NOTHING
    return _section(
        "Languages",
        "Documents by the language that they begin in; und is undetermined.",
        _bars("Language", report.languages, unit="Documents"),
    )


def _characters(report: CorpusReportObject) -> Html:
    characters = report.characters
    if not characters.scripts:
        return NOTHING
    return _section(
        "Scripts",
        f"{counted(characters.num_characters, 'character')}; Common is digits, spaces and signs.",
        _bars("Script", characters.scripts, unit="Characters"),
    )


def _bars(noun: str, numbers: Mapping[str, int], *, unit: str) -> Html:
    most_first = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    shown, others = most_first[:_MOST_BARS], most_first[_MOST_BARS:]
    if others:
        shown.append((f"{len(others)} others", sum(number for _, number in others)))
    total = sum(numbers.values())
    most = max(number for _, number in shown)
    rows = [
        element(
            "tr",
            element("td", visible(name)),
            element("td", bar(number, most), class_="wide"),
            element("td", count(number), class_="number"),
            element("td", share(number, total), class_="number"),
        )
        for name, number in shown
    ]
    head = element(
        "tr",
        element("th", noun),
        element("th"),
        element("th", unit, class_="number"),
        element("th", "Share", class_="number"),
    )
    return element("table", element("thead", head), element("tbody", *rows))


def _damage(report: CorpusReportObject) -> Html:
    bad = report.bad_bytes
    if not bad.count and not report.cut_files:
        return _section("Damaged text", "Every byte was good text.")
    kinds = ", ".join(
        f"{count(number)} {name_of(damage).lower()}" for damage, number in bad.by_damage.items()
    )
    return _section(
        "Damaged text",
        f"{counted(bad.count, 'place')} were no text: {kinds}. They were replaced or removed."
        if bad.count
        else "Every byte was good text.",
        _bad_places(bad.places),
        _cut_files(report.cut_files),
    )


def _redactions(report: CorpusReportObject) -> Html:
    if not report.redactions:
        return NOTHING
    return _section(
        "Replaced",
        "Pieces of text that were replaced by a placeholder, as the options ask.",
        _table(
            ("Kind", "Times"),
            [(visible(kind), count(number)) for kind, number in report.redactions.items()],
        ),
    )


def _bad_places(places: Sequence[BadPlace]) -> Html:
    if not places:
        return NOTHING
    rows = [
        (
            visible(place.file),
            visible(place.place),
            name_of(place.damage),
            count(place.count),
        )
        for place in places
    ]
    return _table(("File", "Place", "Damage", "Times"), rows, num_texts=3)


def _cut_files(cut: Sequence[CutFile]) -> Html:
    if not cut:
        return NOTHING
    rows = [(visible(file.file), count(file.num_records)) for file in cut]
    return joined([
        element("h3", "Too long for one record, and therefore cut at paragraphs"),
        _table(("File", "Records"), rows),
    ])  # fmt: skip


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
    leakage = split.leakage
    return _section(
        "Training and validation",
        split.rule,
        _table(("Split", "Documents", "Bytes", "Share"), rows),
        element(
            "p",
            f"Held-out documents whose text is also in the training split: "
            f"{count(leakage.num_exact)} equal, {count(leakage.num_near)} nearly equal.",
        ),
    )


def _sources(report: CorpusReportObject) -> Html:
    if not report.files:
        return NOTHING
    hidden = report.stats.num_files - len(report.files)
    columns = ("File", "sha256", "Stored", "Records", "Dropped", "Duplicates", "Documents",
               "Text found", "Text kept")  # fmt: skip
    return _section(
        "Files",
        "In the order of their digests, which is the order of their documents."
        + (f" {counted(hidden, 'more file is', 'more files are')} not shown." if hidden else ""),
        element("div", _table(columns, map(_source, report.files), num_texts=2), class_="scroll"),
    )


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
    return _section(
        "How to get the same again",
        "The same content with the same options gives the same digest, whatever the files are "
        "called and in whatever order they come.",
        _facts(digests),
        element(
            "details",
            element("summary", element("b", "Options")),
            _facts(_flat(report.options)),
            open="open",
        ),
        *(element("p", visible(note), class_="quiet") for note in report.notes),
    )


def _facts(facts: Iterable[tuple[str, str]]) -> Html:
    return element(
        "dl",
        *(
            joined([element("dt", visible(name)), element("dd", element("code", visible(value)))])
            for name, value in facts
        ),
        class_="facts",
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


def _section(title: str, lead: str, *content: Html) -> Html:
    return element("section", element("h2", title), element("p", lead, class_="quiet"), *content)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, num_texts: int = 1) -> Html:
    """A table whose first columns are text and whose others are numbers."""

    def cells(tag: str, values: Sequence[str]) -> Html:
        return element(
            "tr",
            *(
                element(tag, value, class_="text" if index < num_texts else "number")
                for index, value in enumerate(values)
            ),
        )

    return element(
        "table",
        element("thead", cells("th", columns)),
        element("tbody", *(cells("td", row) for row in rows)),
    )
