from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from api.schemas.corpora import CorpusReportObject


def example(text: str = "Once upon a time", *, file: str = "a.txt", place: str = "") -> Any:
    return {"file": file, "place": place, "excerpt": text}


@pytest.fixture
def report() -> CorpusReportObject:
    """The report of a corpus that lost something at every stage, and adds up."""
    return make_report(VALUES)


@pytest.fixture
def make() -> Callable[..., CorpusReportObject]:
    """Reports that differ from `report` in some fields."""

    def changed(**fields: Any) -> CorpusReportObject:
        return make_report({**VALUES, **fields})

    return changed


def make_report(values: dict[str, Any]) -> CorpusReportObject:
    return CorpusReportObject.model_validate_json(json.dumps(values))


VALUES: dict[str, Any] = {
    "corpus": "corpus_1",
    "name": "tales",
    "created_at": 1_800_000_000,
    "options": {"format": "auto", "clean": {"profile": "web"}, "deduplicate": "near"},
    "tokenizer": {
        "id": "tokenizer_1",
        "algorithm": "bpe",
        "vocab_size": 4096,
        "bytes_per_token": 4.25,
    },
    "digest": "ab" * 32,
    "sha256": "ef" * 32,
    "stats": {
        "num_files": 2,
        "num_records": 100,
        "num_documents": 70,
        "num_bytes": 6_500,
        "num_duplicates": 10,
        "dropped": {"bad_json": 5, "empty": 15},
    },
    "stages": [
        {
            "stage": "read",
            "num_in": 100,
            "num_out": 95,
            "bytes_in": 10_000,
            "bytes_out": 9_000,
            "removed": {"bad_json": {"count": 5, "num_bytes": 1_000}},
        },
        {
            "stage": "clean",
            "num_in": 95,
            "num_out": 80,
            "bytes_in": 9_000,
            "bytes_out": 7_500,
            "changed_bytes": -500,
            "removed": {"empty": {"count": 15, "num_bytes": 1_000}},
        },
        {
            "stage": "deduplicate",
            "num_in": 80,
            "num_out": 70,
            "bytes_in": 7_500,
            "bytes_out": 6_500,
            "removed": {"duplicate": {"count": 10, "num_bytes": 1_000}},
        },
    ],
    "files": [
        {
            "file": "a.txt",
            "sha256": "0" * 64,
            "num_bytes": 4_000,
            "num_records": 100,
            "record_bytes": 10_000,
        }
    ],
    "dropped": {
        "bad_json": {
            "count": 5,
            "num_bytes": 1_000,
            "examples": [example('{"text": ', place="line 7")],
        },
        "empty": {"count": 15, "num_bytes": 1_000, "examples": [example("")]},
    },
    "duplicates": {
        "count": 10,
        "num_bytes": 1_000,
        "num_exact": 8,
        "num_near": 2,
        "num_clusters": 1,
        "clusters": [
            {
                "num_members": 11,
                "num_bytes": 1_100,
                "kept": example("Twice told"),
                "removed": [example("twice  told", file="b.txt")],
            }
        ],
    },
    "redactions": {"email": 3},
    "removed_lines": {"c4_javascript": 12},
    "bad_bytes": {
        "count": 2,
        "by_damage": {"nul": 2},
        "places": [{"file": "a.txt", "place": "line 3", "damage": "nul", "count": 2}],
    },
    "cut_files": [{"file": "long.txt", "num_records": 4}],
    "lengths": [
        {"from_bytes": 64, "to_bytes": 128, "count": 60},
        {"from_bytes": 512, "to_bytes": 1024, "count": 10},
    ],
    "languages": {"en": 60, "nl": 10},
    "characters": {"num_characters": 6_400, "scripts": {"Latin": 6_000, "Common": 400}},
    "split": {
        "rule": "By content.",
        "num_documents": {"train": 69, "validation": 1},
        "num_bytes": {"train": 6_400, "validation": 100},
        "leakage": {"num_exact": 0, "num_near": 0},
    },
    "digests": dict.fromkeys(("corpus", "files", "options", "train", "validation"), "cd" * 32),
    "notes": ["One file was cut."],
}
