from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.corpus_options import CorpusOptions
from core.errors import BadData
from corpora.documents import (
    CorpusManifest,
    Document,
    DocumentWriter,
    iter_documents,
    read_manifest,
)
from corpora.pipeline import SourceFile, build_corpus
from corpora.progress import Progress
from corpora.report import CorpusReport
from corpora.spool import document_line

Contents = Mapping[str, bytes]


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return lambda: tmp_path_factory.mktemp("corpus")


def build(
    root: Path,
    contents: Contents,
    *,
    reverse: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
    **options: Any,
) -> CorpusManifest:
    files = []
    for number, (filename, data) in enumerate(contents.items()):
        path = root / f"stored-{number}"
        path.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        files.append(SourceFile(path, filename=filename, sha256=sha256, id=f"file_{number}"))
    return build_corpus(
        files[::-1] if reverse else files,
        options=CorpusOptions(**options),
        directory=root / "corpus",
        scratch=root / "scratch",
        progress=progress,
    )


def documents(root: Path, split: str) -> list[Document]:
    return list(iter_documents(root / "corpus", split))  # type: ignore[arg-type]


def report(root: Path) -> CorpusReport:
    return CorpusReport.model_validate_json((root / "corpus" / "report.json").read_bytes())


def jsonl(texts: list[str]) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def assert_it_adds_up(root: Path, manifest: CorpusManifest) -> None:
    stats = manifest.stats
    dropped = sum(stats.dropped.values())
    assert stats.num_records == stats.num_documents + stats.num_duplicates + dropped
    for name, split in manifest.splits.items():
        stored = documents(root, name)
        assert split.num_documents == len(stored)
        assert split.num_bytes == sum(len(document.text.encode()) for document in stored)
    assert stats.num_bytes == sum(split.num_bytes for split in manifest.splits.values())
    told = report(root)
    assert told.stats == stats
    assert told.stages[0].num_in == stats.num_records
    assert told.stages[-1].num_out == stats.num_documents
    assert sum(length.count for length in told.lengths) == stats.num_documents
    assert {reason: found.count for reason, found in told.dropped.items()} == stats.dropped
    assert told.duplicates.count == stats.num_duplicates
    assert_every_byte_is_accounted_for(told)


def assert_every_byte_is_accounted_for(told: CorpusReport) -> None:
    for stage in told.stages:
        removed = stage.removed.values()
        assert stage.num_in - sum(part.count for part in removed) == stage.num_out
        removed_bytes = sum(part.num_bytes for part in removed)
        assert stage.bytes_in - removed_bytes + stage.changed_bytes == stage.bytes_out
    for stage, following in itertools.pairwise(told.stages):
        assert (stage.num_out, stage.bytes_out) == (following.num_in, following.bytes_in)
    assert told.stages[-1].bytes_out == told.stats.num_bytes == sum(told.split.num_bytes.values())
    for file in told.files:
        assert file.num_records - file.num_dropped - file.num_duplicates == file.num_documents
        kept_bytes = file.record_bytes - file.dropped_bytes - file.duplicate_bytes
        assert kept_bytes + file.changed_bytes == file.text_bytes
    assert sum(file.num_records for file in told.files) == told.stats.num_records
    assert sum(file.text_bytes for file in told.files) == told.stats.num_bytes


TEXTS = [f"Document number {i} says hello to document {i + 1}. " * 3 for i in range(300)]
MIXED: Contents = {
    "a.jsonl": jsonl(TEXTS[:150]) + b"broken\n" + jsonl([*TEXTS[:5], " "]),
    "b.jsonl.gz": gzip.compress(jsonl(TEXTS[100:250])),
    "c.md.zst": zstandard.ZstdCompressor().compress(TEXTS[260].encode()),
    "d.txt": b"",
    "e.txt": b"\x00\x01\x02" * 100,
    "f.txt": TEXTS[270].encode() + b"caf\xe9",
}


def test_every_record_becomes_a_document_a_duplicate_or_a_drop(
    fresh: Callable[[], Path],
) -> None:
    root = fresh()
    manifest = build(root, MIXED)
    assert_it_adds_up(root, manifest)
    assert manifest.stats.model_dump(exclude={"num_bytes", "languages"}) == {
        "num_files": 6,
        "num_records": 157 + 150 + 4,
        "num_documents": 252,
        "num_duplicates": 55,
        "dropped": {"bad_json": 1, "empty": 2, "not_text": 1},
    }
    told = report(root)
    assert told.dropped["bad_json"].examples[0].model_dump() == {
        "file": "a.jsonl",
        "place": "line 151",
        "excerpt": "broken",
    }
    assert [place.model_dump() for place in told.bad_bytes.places] == [
        {
            "file": "f.txt",
            "place": f"line 1, byte {len(TEXTS[270]) + 3}",
            "damage": "undecodable",
            "count": 1,
        }
    ]
    largest = told.duplicates.clusters[0]
    assert largest.num_members == 2
    assert len(largest.removed) == 1
    assert largest.kept.excerpt == largest.removed[0].excerpt


def test_the_order_of_the_files_changes_nothing(fresh: Callable[[], Path]) -> None:
    roots = [fresh(), fresh()]
    manifests = [
        build(root, MIXED, reverse=reverse)
        for root, reverse in zip(roots, (False, True), strict=True)
    ]
    assert manifests[0] == manifests[1]
    stored = [
        {
            path.relative_to(root): path.read_bytes()
            for path in (root / "corpus").rglob("*")
            if path.is_file()
        }
        for root in roots
    ]
    assert stored[0] == stored[1]


def test_the_digest_follows_content_and_options_alone(fresh: Callable[[], Path]) -> None:
    content = jsonl(TEXTS)
    first = build(fresh(), {"a.jsonl": content}).digest
    assert build(fresh(), {"renamed.jsonl": content}).digest == first
    assert build(fresh(), {"a.jsonl.gz": gzip.compress(content)}).digest == first
    assert build(fresh(), {"a.jsonl": content}, clean="none").digest != first
    assert build(fresh(), {"a.jsonl": jsonl(TEXTS[1:])}).digest != first


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    lines=st.lists(
        st.one_of(
            st.text(max_size=30).map(lambda text: json.dumps({"text": text})),
            st.sampled_from(
                ["", "{", "[]", '{"text": 1}', '{"text": "\\ud800"}', '{"text":"same"}']
            ),
        ),
        max_size=40,
    ),
    files=st.integers(1, 3),
    deduplicate=st.sampled_from(["none", "exact"]),
    clean=st.sampled_from(["none", "light"]),
)
def test_the_numbers_add_up_for_any_lines(
    fresh: Callable[[], Path], lines: list[str], files: int, deduplicate: str, clean: str
) -> None:
    root = fresh()
    contents = {
        f"{i}.jsonl": "\n".join(lines[i::files]).encode(errors="replace") for i in range(files)
    }
    try:
        manifest = build(root, contents, deduplicate=deduplicate, clean=clean)
    except BadData as error:
        assert error.error_code == "corpus_empty"  # noqa: PT017  both outcomes are right
        return
    assert_it_adds_up(root, manifest)


@pytest.mark.parametrize("deduplicate", ["none", "exact"])
def test_equal_documents_never_straddle_the_splits(
    fresh: Callable[[], Path], deduplicate: str
) -> None:
    root = fresh()
    build(root, {"a.jsonl": jsonl(TEXTS * 2)}, deduplicate=deduplicate, validation_fraction=0.3)
    train = {document.text for document in documents(root, "train")}
    validation = {document.text for document in documents(root, "validation")}
    assert not train & validation
    assert train | validation == set(TEXTS)


def test_one_book_loses_its_tail_to_validation_and_the_report_says_so(
    fresh: Callable[[], Path],
) -> None:
    root = fresh()
    book = "".join(f"Paragraph {i} of a book, told at length.\n\n" for i in range(600))
    manifest = build(root, {"book.txt": book.encode()})
    assert_it_adds_up(root, manifest)
    assert manifest.stats.num_documents == manifest.stats.num_records == 1
    [train], [validation] = documents(root, "train"), documents(root, "validation")
    assert train.text + validation.text == book
    assert train.text.endswith("\n\n")
    assert 0.01 <= manifest.splits["validation"].num_bytes / len(book) <= 0.1
    assert "longest documents are held out" in report(root).split.rule


def test_copies_of_one_book_that_are_kept_are_all_cut_alike(fresh: Callable[[], Path]) -> None:
    root = fresh()
    book = "".join(f"Paragraph {i} of a book, told at length.\n\n" for i in range(600)).encode()
    build(root, {"a.txt": book, "b.txt": book}, deduplicate="none")
    train, validation = documents(root, "train"), documents(root, "validation")
    assert len({document.text for document in train}) == 1
    assert len({document.text for document in validation}) == 1
    assert validation[0].text not in train[0].text


@pytest.mark.parametrize("text", ["x" * 30_000, "short words " * 2000, "\n\n" * 9000 + "ab" * 3000])
def test_validation_is_never_empty_beyond_20_kb(fresh: Callable[[], Path], text: str) -> None:
    manifest = build(fresh(), {"a.txt": text.encode()})
    assert manifest.splits["validation"].num_bytes > 0
    assert manifest.splits["train"].num_bytes > 0


def test_a_huge_one_line_file_becomes_records_of_bounded_size(fresh: Callable[[], Path]) -> None:
    root = fresh()
    manifest = build(root, {"a.txt": b"many words and no newline " * 800_000})
    assert_it_adds_up(root, manifest)
    assert manifest.stats.num_records == 3
    assert all(len(document.text) <= 2**23 for document in documents(root, "train"))
    told = report(root)
    assert [cut.model_dump() for cut in told.cut_files] == [{"file": "a.txt", "num_records": 3}]
    assert "cut at the ends of paragraphs" in told.notes[0]


@pytest.mark.parametrize(
    "contents",
    [{"a.txt": b""}, {"a.jsonl": b"{}\n[]\n"}, {"a.bin": bytes(100)}, {"a.txt": b" \n"}, {}],
)
def test_a_corpus_in_which_nothing_is_left_is_refused(
    fresh: Callable[[], Path], contents: Contents
) -> None:
    root = fresh()
    with pytest.raises(BadData, match="no document is left") as caught:
        build(root, contents)
    assert caught.value.error_code == "corpus_empty"
    assert not (root / "corpus" / "manifest.json").exists()
    assert not list((root / "scratch").iterdir())


def test_text_of_another_encoding_is_told_how_to_come_in(fresh: Callable[[], Path]) -> None:
    root, legacy = fresh(), "Größe und Übermaß ".encode("latin-1") * 100
    with pytest.raises(BadData, match=r"1 not_utf8.*Convert them \(iconv"):
        build(root, {"a.txt": legacy})
    nearly = b"Mostly plain text that is in Latin-1, says the caf\xe9 here.\n"
    build(root, {"a.txt": legacy, "b.txt": nearly})
    dropped, replaced = report(root).notes
    assert dropped.startswith("1 files look like text")
    assert replaced.startswith("1 characters were no UTF-8")


def test_a_damaged_file_fails_the_corpus_by_its_name(fresh: Callable[[], Path]) -> None:
    compressed = gzip.compress(jsonl(TEXTS))
    contents = {"good.txt": b"fine text", "bad.jsonl.gz": compressed[:-100]}
    with pytest.raises(BadData, match=r"bad\.jsonl\.gz"):
        build(fresh(), contents)


def test_documents_can_be_read_from_any_place_on(fresh: Callable[[], Path]) -> None:
    root = fresh()
    build(root, {"a.jsonl": jsonl(TEXTS)})
    everything = documents(root, "train")
    assert [document.index for document in everything] == list(range(len(everything)))
    for after in (0, 1, 100, len(everything), len(everything) + 5):
        assert list(iter_documents(root / "corpus", "train", after=after)) == everything[after:]


def test_reading_on_skips_whole_shards(fresh: Callable[[], Path]) -> None:
    root = fresh()
    build(root, {"a.jsonl": jsonl(TEXTS)})
    directory = root / "corpus" / "documents"
    writer = DocumentWriter(directory, "train", bytes_per_shard=500)
    for number in range(40):
        line = document_line(f"text {number} " * 8, file="a", place="line 1", record=number)
        writer.write(line, num_bytes=1)
    split = writer.close()
    assert len(split.shards) > 5
    manifest = read_manifest(root / "corpus")
    changed = manifest.model_copy(update={"splits": {**manifest.splits, "train": split}})
    (root / "corpus" / "manifest.json").write_text(changed.model_dump_json())
    (directory / split.shards[0].name).unlink()
    found = iter_documents(root / "corpus", "train", after=20)
    assert [document.record for document in found] == list(range(20, 40))


@pytest.mark.parametrize("damage", ["cut", "gone", "flipped"])
def test_a_damaged_corpus_file_is_named(fresh: Callable[[], Path], damage: str) -> None:
    root = fresh()
    build(root, {"a.jsonl": jsonl(TEXTS)})
    path = root / "corpus" / "documents" / "train-00000.jsonl.zst"
    data = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        path.write_bytes(b"\0" + data[1:])
    with pytest.raises(BadData, match=r"train-00000\.jsonl\.zst") as caught:
        documents(root, "train")
    assert caught.value.error_code == "corpus_damaged"


@pytest.mark.parametrize("method", ["exact", "near"])
def test_progress_rises_from_stage_to_stage(fresh: Callable[[], Path], method: str) -> None:
    told: list[Progress] = []
    build(fresh(), {"a.jsonl": jsonl(TEXTS * 60)}, progress=told.append, deduplicate=method)
    assert list(dict.fromkeys(p.stage for p in told)) == ["reading", "deduplicating", "writing"]
    fractions = [p.fraction for p in told]
    assert fractions == sorted(fractions)
    assert fractions[0] >= 0
    assert fractions[-1] == 1
    assert len({p.fraction for p in told if p.stage == "deduplicating"}) > 2


MEASURE_MEMORY = """
import resource, sys
from pathlib import Path
from core.corpus_options import CorpusOptions
from corpora.pipeline import SourceFile, build_corpus

root, num_lines = Path(sys.argv[1]), int(sys.argv[2])

def build(name, num_lines):
    path = root / name
    with path.open("w") as file:
        for i in range(num_lines):
            text = " ".join(f"w{i * 7919 + j}" for j in range(60))
            file.write('{"text": "%s"}\\n' % text)
    source = SourceFile(path=path, filename="a.jsonl", sha256=name, id=name)
    build_corpus([source], options=CorpusOptions(), directory=root / f"corpus-{name}",
                 scratch=root / "scratch", progress=lambda _: None)
    return path.stat().st_size

build("warm", num_lines // 10)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
num_bytes = build("big", num_lines)
print(num_bytes, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.exhaustive
def test_memory_does_not_grow_with_the_corpus(fresh: Callable[[], Path]) -> None:
    child = subprocess.run(
        [sys.executable, "-c", MEASURE_MEMORY, str(fresh()), "130000"],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    num_bytes, growth = map(int, child.stdout.split())
    assert num_bytes > 60_000_000
    assert growth < 24 * 2**20
