"""The pipeline alone on a folder of mixed real files; the whole service has it in tests/e2e."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.corpus_options import CorpusOptions
from corpora.documents import REPORT_NAME, iter_documents
from corpora.pipeline import build_corpus
from corpora.readers.source import SourceFile
from corpora.report import CorpusReport
from tests.mixed_folder import write_mixed_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[SourceFile]:
    paths = write_mixed_folder(tmp_path_factory.mktemp("mixed") / "folder")
    return [
        SourceFile(
            path=path,
            filename=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            id=f"file_{index}",
        )
        for index, path in enumerate(paths)
    ]


def build(files: Sequence[SourceFile], directory: Path, *, clean: str) -> CorpusReport:
    options = CorpusOptions.model_validate({"clean": clean, "deduplicate": "near"})
    scratch = directory.parent / "scratch"
    build_corpus(
        files, options=options, directory=directory, scratch=scratch, progress=lambda _: None
    )
    assert list(scratch.iterdir()) == []
    return CorpusReport.model_validate_json((directory / REPORT_NAME).read_bytes())


@pytest.mark.parametrize("clean", ["light", "web"])
def test_what_became_of_each_file_adds_up_to_the_byte(
    clean: str, files: list[SourceFile], tmp_path: Path
) -> None:
    report = build(files, tmp_path / "corpus", clean=clean)
    kept: Counter[str] = Counter()
    for split in ("train", "validation"):
        for document in iter_documents(tmp_path / "corpus", split):
            kept[document.file] += len(document.text.encode())
    told: Counter[str] = Counter()
    for file in report.files:
        told[file.file] += file.text_bytes
        assert file.num_records - file.num_dropped - file.num_duplicates == file.num_documents
        assert (
            file.record_bytes - file.dropped_bytes + file.changed_bytes - file.duplicate_bytes
            == file.text_bytes
        )
    assert +told == kept
    assert sum(kept.values()) == report.stats.num_bytes == report.stages[-1].bytes_out
    assert report.stages[0].bytes_in == sum(file.record_bytes for file in report.files)


def test_another_order_of_the_files_gives_the_same_bytes(
    files: list[SourceFile], tmp_path: Path
) -> None:
    for name, order in (("one", files), ("other", files[::-1])):
        build(order, tmp_path / name / "corpus", clean="light")
    one, other = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name / "corpus").rglob("*")
            if path.is_file()
        }
        for name in ("one", "other")
    )
    assert one == other
