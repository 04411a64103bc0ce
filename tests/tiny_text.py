"""A little text that every Python carries, a tokenizer trained on it, and streams of tokens."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from core.spec import JobSpec
from corpora.dataset_writer import DatasetWriter
from corpora.shards import Dataset, open_dataset
from corpora.vocabulary import END_OF_TEXT, SPECIAL_TOKENS, Vocabulary

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Stream:
    """Tokens in memory that read like a split."""

    def __init__(self, tokens: list[int] | NDArray[np.int64]) -> None:
        self._tokens = np.asarray(tokens, dtype=np.int64)

    @property
    def num_tokens(self) -> int:
        return len(self._tokens)

    def read(self, start: int, count: int) -> NDArray[np.int64]:
        assert start >= 0
        assert start + count <= len(self._tokens)
        return self._tokens[start : start + count]


@cache
def documents() -> tuple[str, ...]:
    return tuple(topics[name] for name in sorted(topics)[:40])


@cache
def tokenizer() -> Tokenizer:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(documents(), trainer)
    trained.encode_special_tokens = True
    return trained


@cache
def vocabulary() -> Vocabulary:
    return Vocabulary.from_tokenizer(tokenizer())


def encode(text: str) -> list[int]:
    ids: list[int] = tokenizer().encode(text, add_special_tokens=False).ids
    return ids


def stream_of(*texts: str) -> Stream:
    return Stream([id_ for text in texts for id_ in (END_OF_TEXT, *encode(text))])


@cache
def stream() -> Stream:
    return stream_of(*documents())


def words_in_a_row() -> tuple[Stream, NDArray[np.int64]]:
    """The words of all documents, and which word each token is of by `tokenizers`; -1: of none."""
    text = " ".join(word for document in documents() for word in document.split() if word.isalpha())
    encoding = tokenizer().encode(text, add_special_tokens=False)
    # the first token of the stream is the `<|endoftext|>`
    words = np.array([-1, *encoding.word_ids])
    # a space that is no part of the word's first token is no part of the word
    words[1:][np.array(encoding.ids) == encode(" ")[0]] = -1
    return stream_of(text), words


def write_dataset(directory: Path, *, train: list[str], validation: list[str]) -> Dataset:
    with DatasetWriter(
        directory, corpus_digest="c" * 64, tokenizer_json=tokenizer().to_str().encode()
    ) as writer:
        for text in train:
            writer.add("train", encode(text), len(text.encode()))
        for text in validation:
            writer.add("validation", encode(text), len(text.encode()))
    return open_dataset(directory)


def job_spec(
    architecture: str,
    *,
    context_length: int = 32,
    max_tokens: int = 131_072,
    prompts: tuple[str, ...] = (),
    blanks: tuple[str, ...] = (),
    objective: str | list[str] | None = None,
) -> JobSpec:
    return JobSpec.model_validate(
        {
            "corpus": "corpus_1",
            "tokenizer": "tokenizer_1",
            "model": {
                "architecture": architecture,
                "layers": 1,
                "width": 16,
                "heads": 2,
                "kv_heads": 2,
                "ffn_width": 16,
                "context_length": context_length,
                "vocab_size": vocabulary().size,
            },
            "objective": objective or ("masked" if architecture == "encoder" else "causal"),
            "budget": {"steps": 1},
            "batch_tokens": context_length,
            "optimizer": {"name": "adamw", "learning_rate": 0.001},
            "evaluation": {
                "every_steps": 1,
                "prompts": prompts,
                "blanks": blanks,
                "max_tokens": max_tokens,
            },
            "checkpoints": {"every_steps": 1},
        }
    )
