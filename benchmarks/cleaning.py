"""How fast texts are cleaned: each profile, and within ``web`` what each rule costs a document.

    python benchmarks/cleaning.py [--file text.jsonl.gz ...]

Without ``--file`` the texts are the documentation that Python carries. Texts longer than a page are
cut at their blank lines. One core; processor time, so that others on the machine count less.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from pydoc_data.topics import topics
from typing import TypeVar

from core.cleaning_options import CleaningOptions
from core.filters.base import QualityFilter
from corpora.cleaning import Cleaner
from corpora.language import LanguageIdentifier
from corpora.quality_rules import RULES, Rule
from corpora.readers.record import Dropped, Record
from corpora.text_view import TextView

T = TypeVar("T")
PAGE_CHARACTERS = 2500
PROFILES = ("none", "light", "code", "web")


def read_texts(paths: Sequence[Path]) -> Iterator[str]:
    """The texts of all files."""
    if not paths:
        yield from topics.values()
    for path in paths:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
            for line in file:
                yield json.loads(line)["text"]


def pages_of(text: str) -> Iterator[str]:
    """A text in pieces of at least a page, cut at blank lines."""
    page = ""
    for paragraph in text.split("\n\n"):
        page += f"{paragraph}\n\n"
        if len(page) >= PAGE_CHARACTERS:
            yield page
            page = ""
    if page.strip():
        yield page


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """What a call gives, and its processor time in seconds."""
    start = time.process_time()
    result = call()
    return result, time.process_time() - start


def clean_all(cleaner: Cleaner, pages: Sequence[str]) -> Counter[str]:
    """Clean every page; answers how many were dropped by which rule."""
    results = (cleaner.clean(Record("page", page), notice=lambda _: None) for page in pages)
    return Counter(result.reason for result in results if isinstance(result, Dropped))


def ask(rule: Rule, limits: QualityFilter, views: Sequence[TextView]) -> None:
    """Ask one rule about every text."""
    for view in views:
        rule(view, limits)


def print_profiles(pages: Sequence[str]) -> None:
    """Megabytes a second of each profile, and the share that telling the language has."""
    megabytes = sum(len(page.encode()) for page in pages) / 1e6
    print(f"{len(pages)} texts, {megabytes:.1f} MB")
    identifier = LanguageIdentifier()
    identifier.identify("the model is loaded now")
    _, identifying = timed(lambda: [identifier.identify(page) for page in pages])
    print(f"{'language':10}{megabytes / identifying:8.1f} MB/s (part of each of the following)")
    for profile in PROFILES:
        cleaner = Cleaner(CleaningOptions.model_validate({"profile": profile}))
        clean_all(cleaner, pages[:1])
        dropped, seconds = timed(partial(clean_all, cleaner, pages))
        print(
            f"{profile:10}{megabytes / seconds:8.1f} MB/s, language {identifying / seconds:.0%}, "
            f"dropped {dropped.total()}: {dict(dropped.most_common(5))}"
        )


def print_rules(pages: Sequence[str]) -> None:
    """Microseconds a text of each rule; the first that needs words or lines pays for them."""
    views = [TextView(page) for page in pages]
    filters = CleaningOptions.model_validate({"profile": "web"}).filters
    for name, limits in filters:
        if limits and name in RULES:
            _, seconds = timed(partial(ask, RULES[name], limits, views))
            print(f"{name:40}{seconds / len(views) * 1e6:8.1f} us")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--file", type=Path, action="append", default=[], help="jsonl with a text")
    texts = read_texts(parser.parse_args().file)
    pages = [page for text in texts for page in pages_of(text)]
    print_profiles(pages)
    print_rules(pages)


if __name__ == "__main__":
    main()
