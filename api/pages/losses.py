"""What a corpus lost on the way, and to what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from api.pages.blocks import record, section, table, tag
from api.pages.charts import Part, Passage, flow
from api.pages.html import NOTHING, Html, element, joined, visible
from api.pages.numbers import count, counted, signed, size
from api.pages.reasons import meaning_of, name_of
from corpora.report import BadPlace, CorpusReport, CutFile, DuplicateCluster, StageName
from corpora.split_names import SplitName

_COMES_OUT: Final[dict[StageName, str]] = {
    "read": "read",
    "clean": "cleaned",
    "deduplicate": "distinct",
}
_LOST_TO: Final[dict[StageName, str]] = {
    "read": "not readable",
    "clean": "cleaning",
    "deduplicate": "duplicates",
}
_KEPT_FOR: Final[dict[SplitName, str]] = {"train": "for training", "validation": "held out"}
_WHAT_A_STAGE_DOES: Final[dict[StageName, str]] = {
    "read": "Files are unpacked and decoded into records.",
    "clean": "Text is normalised, and what the filters reject is dropped.",
    "deduplicate": "Of documents that say the same, one is kept.",
    "split": "Some documents are held out, to measure with; none is lost.",
}


def where_bytes_went(report: CorpusReport) -> Html:
    """Draw the stream from what was found to what was kept, and the numbers of each stage."""
    passages = [
        Passage(
            name=_COMES_OUT[stage.stage],
            num_in=stage.bytes_in,
            num_out=stage.bytes_out,
            lost_to=_LOST_TO[stage.stage],
        )
        for stage in report.stages
        if stage.stage in _COMES_OUT
    ]
    parts = [
        Part(name=_KEPT_FOR[name], number=number, style=name)
        for name, number in sorted(report.split.num_bytes.items())
    ]
    columns = ("Stage", "Records in", "Records out", "Bytes in", "Changed by", "Removed",
               "Bytes out")  # fmt: skip
    rows = [
        (
            joined([
                element("b", stage.stage),
                element("br"),
                element("span", _WHAT_A_STAGE_DOES[stage.stage], class_="quiet"),
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
    return section(
        "Where the bytes went",
        "Bytes are those of the text as UTF-8, once it is unpacked.",
        flow(passages, parts) if passages else NOTHING,
        table(columns, rows),
    )


def dropped(report: CorpusReport) -> Html:
    """Say each reason with the first records that it applied to, the most frequent open."""
    if not report.dropped:
        return section("Dropped", "Nothing was dropped.")
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
                element("span", element("b", name_of(code)), " ", *map(tag, stages[code])),
                element("span", counted(reason.count, "record"), class_="number"),
                element("span", size(reason.num_bytes), class_="number"),
            ),
            element("p", meaning_of(code), " ", element("code", code), class_="quiet"),
            element("ul", *map(record, reason.examples), class_="records"),
            open="open" if index == 0 else None,
        )
        for index, (code, reason) in enumerate(most_first)
    ]
    total = sum(reason.count for reason in report.dropped.values())
    return section(
        "Dropped",
        f"{counted(total, 'record')} gave no document, for "
        f"{counted(len(most_first), 'reason')}. Each with the first records it applied to.",
        *entries,
    )


def duplicates(report: CorpusReport) -> Html:
    """Show clusters of documents that repeat each other, and which one stayed."""
    found = report.duplicates
    if not found.count:
        return section("Duplicates", "No document repeats another.")
    kinds = (
        f"{count(found.num_exact)} equal but for case and white space, "
        f"{count(found.num_near)} nearly equal"
    )
    return section(
        "Duplicates",
        f"{counted(found.count, 'document')} with {size(found.num_bytes)} repeat "
        f"another one: {kinds}. They form "
        f"{counted(found.num_clusters, 'cluster')}; of each, one document is kept.",
        *(_cluster(cluster, is_open=index == 0) for index, cluster in enumerate(found.clusters)),
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
            record(cluster.kept, style="kept", fate="kept"),
            *(record(example, style="removed", fate="removed") for example in cluster.removed),
            class_="records",
        ),
        element("p", f"and {count(hidden)} more", class_="quiet") if hidden > 0 else NOTHING,
        open="open" if is_open else None,
    )


def damage(report: CorpusReport) -> Html:
    """List where files were no text, and which were cut."""
    bad = report.bad_bytes
    if not bad.count and not report.cut_files:
        return section("Damaged text", "Every byte was good text.")
    kinds = ", ".join(
        f"{count(number)} {name_of(damage).lower()}" for damage, number in bad.by_damage.items()
    )
    return section(
        "Damaged text",
        f"What was no text was replaced or removed: {kinds}."
        if bad.count
        else "Every byte was good text.",
        _bad_places(bad.places),
        _cut_files(report.cut_files),
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
    return table(("File", "Place", "Damage", "Times"), rows, num_texts=3)


def _cut_files(cut: Sequence[CutFile]) -> Html:
    if not cut:
        return NOTHING
    rows = [(visible(file.file), count(file.num_records)) for file in cut]
    return joined([
        element("h3", "Too long for one record, and therefore cut at paragraphs"),
        table(("File", "Records"), rows),
    ])  # fmt: skip


def redactions(report: CorpusReport) -> Html:
    """Count what was replaced in documents, and which of their lines were taken out."""
    rows = [
        *(
            (f"{visible(kind)} replaced", count(number))
            for kind, number in report.redactions.items()
        ),
        *(
            (f"lines removed: {name_of(rule)}", count(number))
            for rule, number in report.removed_lines.items()
        ),
    ]
    if not rows:
        return NOTHING
    return section(
        "Changed within documents",
        "Addresses that a placeholder replaces, and lines that a filter takes out.",
        table(("What", "Times"), rows),
    )
