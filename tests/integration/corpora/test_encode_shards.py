"""A corpus is encoded shard by shard, by anyone and in any order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from core.corpus_options import CorpusOptions
from core.errors import BadData
from corpora.documents import DocumentWriter, iter_documents, read_manifest
from corpora.encode import TokenShardManifest, encode_corpus, encode_shard, join_dataset
from corpora.pipeline import SourceFile, build_corpus
from corpora.progress import Progress
from corpora.shards import open_dataset
from corpora.split_names import SPLIT_NAMES
from corpora.spool import document_line
from corpora.tokenizer import load_tokenizer
from tests.tiny_text import tokenizer as tiny_tokenizer

NUM_SHARDS = 6
TOKENIZER = tiny_tokenizer().to_str().encode()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of five shards of training text and one that is held out."""
    root = tmp_path_factory.mktemp("corpus")
    path = root / "a.jsonl"
    texts = [f"This is text number {number}, and it says {number} again.\n" for number in range(60)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    build_corpus(
        [SourceFile(path, filename="a.jsonl", sha256="a", id="file_1")],
        options=CorpusOptions(validation_fraction=0.1),
        directory=root / "corpus",
        scratch=root / "scratch",
        progress=lambda _: None,
    )
    _store_in_small_shards(root / "corpus")
    return root / "corpus"


def _store_in_small_shards(corpus: Path) -> None:
    manifest = read_manifest(corpus)
    lines = [
        (document_line(d.text, file=d.file, place=d.place, record=d.record), len(d.text.encode()))
        for d in iter_documents(corpus, "train")
    ]
    total = sum(len(line) for line, _ in lines)
    writer = DocumentWriter(corpus / "documents", "train", bytes_per_shard=total // 5)
    for line, num_bytes in lines:
        writer.write(line, num_bytes=num_bytes)
    changed = manifest.model_copy(update={"splits": {**manifest.splits, "train": writer.close()}})
    (corpus / "manifest.json").write_text(changed.model_dump_json())


def shard_names(corpus: Path) -> list[str]:
    splits = read_manifest(corpus).splits
    return [shard.name for split in SPLIT_NAMES for shard in splits[split].shards]


def encode(corpus: Path, names: Iterable[str], directory: Path) -> list[TokenShardManifest]:
    return [
        encode_shard(
            corpus, name, tokenizer_json=TOKENIZER, directory=directory, progress=lambda _: None
        )
        for name in names
    ]


def test_shards_in_any_order_make_the_dataset_that_the_corpus_makes(
    corpus: Path, tmp_path: Path
) -> None:
    names = shard_names(corpus)
    assert len(names) == NUM_SHARDS
    parts = encode(corpus, names[::-1], tmp_path / "apart")
    join_dataset(corpus, parts, tokenizer_json=TOKENIZER, directory=tmp_path / "apart")
    encode_corpus(
        corpus,
        tokenizer_json=TOKENIZER,
        directory=tmp_path / "whole",
        progress=lambda _: None,
    )
    stored = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("apart", "whole")
    ]
    assert stored[0] == stored[1]
    dataset = open_dataset(tmp_path / "apart")
    tokenizer = load_tokenizer(TOKENIZER)
    for split, tokens in zip(SPLIT_NAMES, (dataset.train, dataset.validation), strict=True):
        for index, document in enumerate(iter_documents(corpus, split)):
            assert tokenizer.decode(tokens.document(index)[1:].tolist()) == document.text
        assert tokens.num_bytes == read_manifest(corpus).splits[split].num_bytes


def test_a_shard_needs_the_manifest_and_itself_alone(corpus: Path, tmp_path: Path) -> None:
    name = shard_names(corpus)[2]
    alone = tmp_path / "alone"
    (alone / "documents").mkdir(parents=True)
    (alone / "manifest.json").write_bytes((corpus / "manifest.json").read_bytes())
    (alone / "documents" / name).write_bytes((corpus / "documents" / name).read_bytes())
    assert encode(alone, [name], tmp_path / "a") == encode(corpus, [name], tmp_path / "b")
    with pytest.raises(BadData, match="train-00003"):
        encode(alone, [shard_names(corpus)[3]], tmp_path / "a")


@pytest.mark.parametrize("change", ["one lacks", "another tokenizer", "another corpus"])
def test_parts_that_do_not_make_this_dataset_are_refused(
    corpus: Path, tmp_path: Path, change: str
) -> None:
    parts = encode(corpus, shard_names(corpus), tmp_path)
    match change:
        case "one lacks":
            parts = parts[1:]
        case "another tokenizer":
            parts[1] = parts[1].model_copy(update={"tokenizer_sha256": "0" * 64})
        case _:
            parts[1] = parts[1].model_copy(update={"corpus_digest": "0" * 64})
    with pytest.raises(ValueError, match="token shard"):
        join_dataset(corpus, parts, tokenizer_json=TOKENIZER, directory=tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_progress_rises_over_all_shards(corpus: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    encode_corpus(corpus, tokenizer_json=TOKENIZER, directory=tmp_path, progress=told.append)
    fractions = [progress.fraction for progress in told]
    assert len(fractions) >= NUM_SHARDS
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
