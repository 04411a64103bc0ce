"""A folder of mixed real files goes in by every way, and what comes out adds up to the byte."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.e2e.service import Service, wait_until
from tests.mixed_folder import write_mixed_folder

pytestmark = pytest.mark.exhaustive

BUILD_SECONDS = 180
PART_BYTES = 20_000
OPTIONS = {"clean": "light", "deduplicate": "near", "validation_fraction": 0.05}

Upload = Callable[[Service, Path], str]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("mixed") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_mixed_folder(tmp_path_factory.mktemp("mixed") / "folder")


@pytest.fixture(scope="module")
def corpus(service: Service, folder: list[Path]) -> Any:
    """The folder as one corpus, each file having come by the next of the ways."""
    ways = cycle(WAYS)
    file_ids = [next(ways)(service, path) for path in folder]
    made = service.post("/v1/corpora", json={"files": file_ids, **OPTIONS})
    return ready(service, made)


def by_put(service: Service, path: Path) -> str:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    answer = service.client.put(
        f"/v1/files/{path.name}", content=content, headers={"x-sha256": digest}
    )
    return str(answer.raise_for_status().json()["id"])


def by_form(service: Service, path: Path) -> str:
    with path.open("rb") as content:
        file = service.post(
            "/v1/files", data={"purpose": "pretrain"}, files={"file": (path.name, content)}
        )
    return str(file["id"])


def by_parts(service: Service, path: Path) -> str:
    """Raw parts by number, the last one first, as a client does that was interrupted."""
    content = path.read_bytes()
    announced = {"filename": path.name, "bytes": len(content), "purpose": "pretrain"}
    upload = service.post("/v1/uploads", json={**announced, "mime_type": "text/plain"})
    part_ids = {}
    for number in reversed(range(-(-len(content) // PART_BYTES))):
        part = content[number * PART_BYTES : (number + 1) * PART_BYTES]
        answer = service.client.put(f"/v1/uploads/{upload['id']}/parts/{number + 1}", content=part)
        part_ids[number] = answer.raise_for_status().json()["id"]
    completed = service.post(
        f"/v1/uploads/{upload['id']}/complete",
        json={
            "part_ids": [part_ids[number] for number in sorted(part_ids)],
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    )
    return str(completed["file"]["id"])


def by_openai(service: Service, path: Path) -> str:
    with openai(service) as client:
        return client.files.create(file=path, purpose="user_data").id


def by_openai_in_parts(service: Service, path: Path) -> str:
    with openai(service) as client:
        upload = client.uploads.upload_file_chunked(
            file=path, mime_type="text/plain", purpose="user_data", part_size=PART_BYTES
        )
    assert upload.file is not None
    return upload.file.id


WAYS: Sequence[Upload] = (by_put, by_form, by_parts, by_openai, by_openai_in_parts)


def openai(service: Service) -> OpenAI:
    return OpenAI(base_url=f"{service.client.base_url}/v1", api_key="none", max_retries=0)


def ready(service: Service, corpus: Any) -> Any:
    """The corpus once it is ready."""

    def ended() -> Any:
        found = service.get(f"/v1/corpora/{corpus['id']}")
        return found if found["status"] in {"ready", "failed"} else None

    found = wait_until(ended, seconds=BUILD_SECONDS, what=f"the end of {corpus['id']}")
    assert found["status"] == "ready", found["error"]
    return found


def documents(service: Service, corpus: Any, split: str) -> Iterator[Any]:
    """Every document of a split, page by page."""
    query: dict[str, Any] = {"split": split, "limit": 100}
    while True:
        page = service.get(f"/v1/corpora/{corpus['id']}/documents", **query)
        yield from page["data"]
        if not page["has_more"]:
            return
        query["after"] = page["last_id"]


def test_every_stage_takes_up_where_the_one_before_it_ended(service: Service, corpus: Any) -> None:
    report = service.get(f"/v1/corpora/{corpus['id']}/report")
    stats, stages = report["stats"], report["stages"]
    assert stages[0]["num_in"] == stats["num_records"]
    for stage in stages:
        removed = stage["removed"].values()
        assert stage["num_in"] - sum(r["count"] for r in removed) == stage["num_out"]
        lost = sum(r["num_bytes"] for r in removed)
        assert stage["bytes_in"] - lost + stage["changed_bytes"] == stage["bytes_out"]
    for before, after in pairwise(stages):
        assert (before["num_out"], before["bytes_out"]) == (after["num_in"], after["bytes_in"])
    assert (
        stages[-1]["bytes_out"] == stats["num_bytes"] == sum(report["split"]["num_bytes"].values())
    )
    assert sum(stats["dropped"].values()) == sum(r["count"] for r in report["dropped"].values())
    assert report["split"]["leakage"] == {"num_exact": 0, "num_near": 0}
    assert (stats, report["digest"]) == (corpus["stats"], corpus["digest"])


def test_the_documents_are_those_of_the_report_to_the_byte(
    service: Service, corpus: Any, folder: list[Path]
) -> None:
    report = service.get(f"/v1/corpora/{corpus['id']}/report")
    by_file: Counter[str] = Counter()
    texts: dict[str, set[str]] = {}
    for split in ("train", "validation"):
        found = list(documents(service, corpus, split))
        texts[split] = {document["text"] for document in found}
        assert len(found) == report["split"]["num_documents"][split]
        num_bytes = sum(len(document["text"].encode()) for document in found)
        assert num_bytes == report["split"]["num_bytes"][split]
        for document in found:
            by_file[document["file"]] += len(document["text"].encode())
    assert texts["train"].isdisjoint(texts["validation"])

    told: Counter[str] = Counter()
    for file in report["files"]:
        told[file["file"]] += file["text_bytes"]
    assert +told == by_file
    stored = sorted((hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_size) for p in folder)
    assert sorted((file["sha256"], file["num_bytes"]) for file in report["files"]) == stored


def test_every_format_gives_documents_and_what_is_no_text_gives_a_reason(
    service: Service, corpus: Any
) -> None:
    report = service.get(f"/v1/corpora/{corpus['id']}/report")
    num_documents = {file["file"]: file["num_documents"] for file in report["files"]}
    at_least = {
        "topics.jsonl.zst": 70,
        "sources.tar.xz": 25,
        "more sources.zip": 25,
        "bare.html": 0,  # it or its copy
        "packed.html.gz": 1,
        "packed.html.xz": 1,
        "crawl.warc.gz": 6,
        "crawl.warc.wet.gz": 5,
        "docstrings.csv.xz": 100,
        "docstrings.parquet": 100,
        "utf16.txt": 1,
        "with bom.md": 1,
    }
    for name, number in at_least.items():
        assert num_documents[name] >= number, name
    assert num_documents["bare.html"] + num_documents["a copy of bare.html"] == 1
    assert num_documents["picture.png"] == num_documents["nothing.txt"] == 0
    assert {"bad_json", "no_text_field", "text_is_no_string", "empty", "not_text"} <= set(
        report["dropped"]
    )
    assert report["duplicates"]["num_exact"] > 0
    assert report["duplicates"]["num_near"] > 0
    damaged = {(place["file"], place["damage"]) for place in report["bad_bytes"]["places"]}
    assert ("latin1.txt", "undecodable") in damaged


def test_a_browser_is_shown_the_same_numbers(service: Service, corpus: Any) -> None:
    page = service.client.get(f"/v1/corpora/{corpus['id']}/report", headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert f"{corpus['stats']['num_bytes']:,} bytes" in page.text
    assert "does not hold" not in page.text


def test_the_same_files_in_another_order_and_in_one_call_give_the_same_digest(
    service: Service, corpus: Any, folder: list[Path]
) -> None:
    shuffled = random.Random(7).sample(folder, len(folder))
    with ExitStack() as stack:
        parts = [("file", (path.name, stack.enter_context(path.open("rb")))) for path in shuffled]
        fields = {name: str(value) for name, value in OPTIONS.items()}
        made = service.post("/v1/corpora", data=fields, files=parts)
    again = ready(service, made)
    assert again["digest"] == corpus["digest"]
    assert again["stats"] == corpus["stats"]
    assert again["splits"] == corpus["splits"]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_each_way_brings_the_same_bytes(way: Upload, service: Service, folder: list[Path]) -> None:
    path = max(folder, key=lambda path: path.stat().st_size)
    file = service.get(f"/v1/files/{way(service, path)}")
    assert (file["bytes"], file["filename"]) == (path.stat().st_size, path.name)
    assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
