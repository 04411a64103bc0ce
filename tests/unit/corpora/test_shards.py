from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from core.errors import BadData
from corpora.addressing import dataset_digest
from corpora.dataset_writer import DatasetWriter
from corpora.shard_writer import token_type
from corpora.shards import open_dataset

DOCUMENTS = [([5, 6, 7], 11), ([], 0), ([8], 3), ([9, 10, 11, 12, 13, 14], 20), ([15, 16], 4)]


def tokenizer_json(vocab_size: int = 100) -> bytes:
    vocabulary = {f"t{i}": i for i in range(vocab_size)}
    return Tokenizer(models.WordLevel(vocabulary, unk_token="t0")).to_str().encode()


def write(directory: Path, *, tokens_per_shard: int = 2**26, vocab_size: int = 100) -> None:
    with DatasetWriter(
        directory,
        corpus_digest="c" * 64,
        tokenizer_json=tokenizer_json(vocab_size),
        tokens_per_shard=tokens_per_shard,
    ) as writer:
        for token_ids, num_bytes in DOCUMENTS:
            writer.add("train", token_ids, num_bytes)
        writer.add("validation", [20, 21], 9)


def stream(documents: list[list[int]]) -> list[int]:
    return [token for document in documents for token in (0, *document)]


def test_what_was_added_is_read_back_with_end_of_text_before_each_document(tmp_path: Path) -> None:
    write(tmp_path)
    dataset = open_dataset(tmp_path)
    expected = stream([ids for ids, _ in DOCUMENTS])
    assert dataset.train.read(0, dataset.train.num_tokens).tolist() == expected
    assert dataset.validation.read(0, 3).tolist() == [0, 20, 21]
    assert (dataset.train.num_documents, dataset.train.num_bytes) == (5, 38)
    assert dataset.train.document_lengths().tolist() == [11, 0, 3, 20, 4]
    assert dataset.train.document(3).tolist() == [0, 9, 10, 11, 12, 13, 14]
    assert dataset.tokenizer_json == tokenizer_json()


def test_reading_crosses_shard_borders_at_every_place(tmp_path: Path) -> None:
    write(tmp_path, tokens_per_shard=5)
    split = open_dataset(tmp_path).train
    assert len(split.manifest.shards) == 3
    expected = stream([ids for ids, _ in DOCUMENTS])
    for start in range(split.num_tokens + 1):
        for count in range(split.num_tokens - start + 1):
            assert split.read(start, count).tolist() == expected[start : start + count]
    read = [split.document(i).tolist() for i in range(split.num_documents)]
    assert read == [[0, *ids] for ids, _ in DOCUMENTS]


@settings(max_examples=20)
@given(
    documents=st.lists(st.lists(st.integers(1, 99), max_size=9), max_size=12),
    tokens_per_shard=st.integers(1, 30),
)
def test_any_documents_in_any_shard_size_come_back(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]], tokens_per_shard: int
) -> None:
    directory = tmp_path_factory.mktemp("dataset")
    writer = DatasetWriter(
        directory,
        corpus_digest="c",
        tokenizer_json=tokenizer_json(),
        tokens_per_shard=tokens_per_shard,
    )
    for document in documents:
        writer.add("validation", np.array(document, dtype=np.int64), len(document))
    writer.close()
    split = open_dataset(directory).validation
    assert split.read(0, split.num_tokens).tolist() == stream(documents)


def test_the_same_documents_give_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a", tokens_per_shard=5)
    write(tmp_path / "b", tokens_per_shard=5)
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    second = {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert first == second


def test_a_vocabulary_beyond_16_bits_is_stored_in_32(tmp_path: Path) -> None:
    assert token_type(tokenizer_json(2**16)) == "uint16"
    assert token_type(tokenizer_json(2**16 + 1)) == "uint32"
    with DatasetWriter(
        tmp_path, corpus_digest="c", tokenizer_json=tokenizer_json(2**16 + 1)
    ) as writer:
        writer.add("train", [2**16], 1)
    assert open_dataset(tmp_path).train.read(0, 2).tolist() == [0, 2**16]


def test_ids_that_do_not_belong_in_a_document_are_refused(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path, corpus_digest="c", tokenizer_json=tokenizer_json())
    with pytest.raises(ValueError, match="does not fit"):
        writer.add("train", [70_000], 1)
    with pytest.raises(ValueError, match="endoftext"):
        writer.add("train", [5, 0, 6], 1)
    writer.close()


def test_reading_beyond_the_end_is_an_error(tmp_path: Path) -> None:
    write(tmp_path)
    split = open_dataset(tmp_path).train
    with pytest.raises(IndexError):
        split.read(split.num_tokens, 1)
    with pytest.raises(IndexError):
        split.read(-1, 1)
    with pytest.raises(IndexError):
        split.document(5)


def test_a_dataset_whose_writing_failed_cannot_be_opened(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with DatasetWriter(tmp_path, corpus_digest="c", tokenizer_json=tokenizer_json()) as writer:
            writer.add("train", [5], 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    with pytest.raises(BadData, match=r"manifest\.json: is missing"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    "name", ["train-00000.tokens.bin", "train-00000.ends.bin", "validation-00000.lengths.bin"]
)
def test_a_damaged_shard_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-1])
    with pytest.raises(BadData, match=name) as caught:
        open_dataset(tmp_path)
    assert caught.value.error_code == "dataset_damaged"
    (tmp_path / name).unlink()
    with pytest.raises(BadData, match="is missing"):
        open_dataset(tmp_path)


def test_another_tokenizer_in_the_directory_is_noticed(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_json(99))
    with pytest.raises(BadData, match="is not the tokenizer"):
        open_dataset(tmp_path)


def test_the_digest_follows_the_corpus_and_the_tokenizer() -> None:
    digests = {
        dataset_digest(corpus_digest=corpus, tokenizer_sha256=tokenizer)
        for corpus in ("a", "b")
        for tokenizer in ("c", "d")
    }
    assert len(digests) == 4
