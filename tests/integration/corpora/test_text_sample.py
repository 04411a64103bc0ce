from __future__ import annotations

from pathlib import Path

import pytest

from core.cleaning_options import CleaningOptions
from core.corpus_options import CorpusOptions
from corpora.documents import iter_documents
from corpora.pipeline import SourceFile, build_corpus
from corpora.text_sample import sample_texts

NUM_LINES = 30_000


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two books of more than a megabyte, one document each."""
    root = tmp_path_factory.mktemp("books")
    files = []
    for name in ("first.txt", "second.txt"):
        path = root / name
        path.write_text(
            "".join(f"Line {n} of the {name} says {n * n}.\n" for n in range(NUM_LINES))
        )
        files.append(SourceFile(path, filename=name, sha256=name, id=f"file_{name}"))
    build_corpus(
        files,
        options=CorpusOptions(clean=CleaningOptions(profile="none"), deduplicate="none"),
        directory=root / "corpus",
        scratch=root / "scratch",
        progress=lambda _: None,
    )
    return root / "corpus"


def test_all_text_is_taken_where_there_is_room(books: Path) -> None:
    taken = "".join(sample.text for sample in sample_texts(books, "train", max_bytes=10**9))
    assert taken == "".join(document.text for document in iter_documents(books, "train"))


def test_a_sample_of_few_long_documents_has_something_of_each(books: Path) -> None:
    sampled = list(sample_texts(books, "train", max_bytes=1_000_000))
    num_bytes = sum(len(sample.text.encode()) for sample in sampled)
    assert 300_000 < num_bytes <= 1_000_000
    assert {sample.file for sample in sampled} == {"first.txt", "second.txt"}
    assert sampled == list(sample_texts(books, "train", max_bytes=1_000_000))
