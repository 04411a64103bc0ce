from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from api.pages.frame import page_headers
from api.pages.report import report_page
from api.schemas.corpora import CorpusReportObject

EVIL = '"><img src=x onerror=alert(1)></style><script>alert(2)</script>'
VOID = {"meta", "br"}


class Seen(HTMLParser):
    """The tags, links and text of a page; fails where tags are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_tells_everything_that_the_report_knows(report: CorpusReportObject) -> None:
    text = Seen(report_page(report)).text
    for told in (
        "2 files with 10.0 kB of text in 100 records became 70 documents with 6.50 kB",
        "65.0 % of the text was kept",
        "Bad json", "line 7", "Every byte", "Twice told", "twice  told", "and 9 more",
        "Latin", "nl", "long.txt", "Nul", "By content.", "4.25", "One file was cut.", "cd" * 6,
        "ef" * 6, "email replaced3", "C4 javascript12",
    ):  # fmt: skip
        assert told.lower() in text.lower(), told


def test_the_page_needs_nothing_but_itself(report: CorpusReportObject) -> None:
    page = report_page(report)
    seen = Seen(page)
    links = [value for name, value in seen.attributes if name in {"href", "src"}]
    assert links == ["?format=json"]
    assert "script" not in seen.tags
    assert "url(" not in page
    assert not any(name == "style" or name.startswith("on") for name, _ in seen.attributes)


def test_its_policy_lets_nothing_in_but_its_own_style(report: CorpusReportObject) -> None:
    style = re.search(r"<style>(.*?)</style>", report_page(report), re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = page_headers()["content-security-policy"]
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_no_text_of_a_users_becomes_markup(
    make: Callable[..., CorpusReportObject], report: CorpusReportObject
) -> None:
    example = {"file": EVIL, "place": EVIL, "excerpt": EVIL}
    evil = make(
        name=EVIL,
        options={EVIL: EVIL},
        dropped={EVIL: {"count": 1, "num_bytes": 1, "examples": [example]}},
        duplicates={
            **report.duplicates.model_dump(mode="json"),
            "clusters": [
                {"num_members": 2, "num_bytes": 2, "kept": example, "removed": [example]}
            ],
        },
        redactions={EVIL: 1},
        cut_files=[{"file": EVIL, "num_records": 2}],
        languages={EVIL: 1},
        notes=[EVIL],
    )  # fmt: skip
    seen = Seen(report_page(evil))
    assert {"img", "script"}.isdisjoint(seen.tags)
    assert seen.text.count(EVIL) >= 12


def test_reasons_stand_in_the_order_of_their_numbers(report: CorpusReportObject) -> None:
    text = Seen(report_page(report)).text
    assert text.index("Empty") < text.index("Bad json")


def test_a_report_that_does_not_add_up_says_so(
    make: Callable[..., CorpusReportObject], report: CorpusReportObject
) -> None:
    assert "does not hold" not in report_page(report)
    stages = [stage.model_dump(mode="json") for stage in report.stages]
    stages[1]["changed_bytes"] += 1
    split = report.split.model_dump(mode="json")
    wrong: list[dict[str, Any]] = [
        {"stages": stages},
        {"stats": {**report.stats.model_dump(mode="json"), "num_documents": 71}},
        {"split": {**split, "num_bytes": {"train": 1, "validation": 1}}},
        {"split": {**split, "leakage": {"num_exact": 1, "num_near": 0}}},
    ]
    claims = set()
    for fields in wrong:
        seen = Seen(report_page(make(**fields)))
        [claim] = re.findall(r"✗ It does not hold that ([a-z ]+?)(?=✓|✗|Where)", seen.text)
        claims.add(claim)
    assert len(claims) == len(wrong)


def test_an_untroubled_corpus_has_a_quiet_page(make: Callable[..., CorpusReportObject]) -> None:
    nothing = {"count": 0, "num_bytes": 0, "num_exact": 0, "num_near": 0, "num_clusters": 0}
    page = report_page(
        make(
            tokenizer=None,
            dropped={},
            duplicates={**nothing, "clusters": []},
            redactions={},
            removed_lines={},
            bad_bytes={"count": 0, "by_damage": {}, "places": []},
            cut_files=[],
            lengths=[],
            languages={},
            characters={"num_characters": 0, "scripts": {}},
            notes=[],
        )
    )
    text = Seen(page).text
    assert "Nothing was dropped." in text
    assert "No document repeats another." in text
    assert "Every byte was good text." in text
    assert "Languages" not in text


def test_what_was_not_looked_for_is_not_called_absent(
    make: Callable[..., CorpusReportObject], report: CorpusReportObject
) -> None:
    leakage = {"num_exact": 0, "num_near": None}
    page = report_page(make(split={**report.split.model_dump(mode="json"), "leakage": leakage}))
    assert "0 equal, near-duplicates were not looked for." in page
    assert "0 equal, 0 nearly equal." in report_page(report)


@pytest.mark.parametrize("num_others", [0, 1, 30])
def test_long_tails_are_folded_into_one_row(
    make: Callable[..., CorpusReportObject], num_others: int
) -> None:
    languages = {f"x{index:02d}": 100 - index for index in range(20 + num_others)}
    text = Seen(report_page(make(languages=languages))).text
    assert (f"{num_others} others" in text) == (num_others > 0)
