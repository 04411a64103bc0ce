from __future__ import annotations

import hashlib
import json
import random
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from core.cleaning_options import CleaningOptions
from core.corpus_options import CorpusOptions
from core.errors import BadData, InvalidRequest
from core.tokenizer_algorithms import TOKENIZER_ALGORITHMS
from corpora.documents import iter_documents, read_manifest
from corpora.encode import encode_corpus
from corpora.encoders.reference import ReferenceEncoder
from corpora.pipeline import SourceFile, build_corpus
from corpora.progress import Progress
from corpora.shards import open_dataset
from corpora.split_names import SPLIT_NAMES
from corpora.tokenizer import decode_tokens, encode_text, load_tokenizer
from corpora.tokenizer_training import TrainedTokenizer, train_tokenizer
from corpora.vocabulary import END_OF_TEXT, SPECIAL_TOKENS, Vocabulary

ODD_TEXTS = [
    "It's 2026, and we'LL pay €1,234.50!\n\n\tIndented   text \r\n",
    "A document may say <|endoftext|> or [MASK] and go on.",
    "Ελληνικά, Русский, 漢字かな交じり文, العربية, हिन्दी, 🐎👩‍👩‍👧",
    "cafe\u0301 is not NFC",
    " leading and trailing ",
]


def a_text(number: int) -> str:
    generator = random.Random(number)
    syllables = [a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u", "an", "er")]
    words = ("".join(generator.choices(syllables, k=generator.randint(1, 3))) for _ in range(60))
    return f"Text {number}: " + " ".join(words) + ".\n"


def build(root: Path, num_texts: int) -> Path:
    texts = [*(a_text(i) for i in range(num_texts)), *ODD_TEXTS]
    path = root / "a.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    build_corpus(
        [SourceFile(path, filename="a.jsonl", sha256="a", id="file_1")],
        options=CorpusOptions(clean=CleaningOptions(profile="none")),
        directory=root / "corpus",
        scratch=root / "scratch",
        progress=lambda _: None,
    )
    return root / "corpus"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("corpus"), 600)


def train(corpus: Path, vocab_size: int | None = 1024, algorithm: str = "bpe") -> TrainedTokenizer:
    return train_tokenizer(
        corpus, vocab_size=vocab_size, algorithm=algorithm, progress=lambda _: None
    )


@pytest.fixture(scope="module", params=TOKENIZER_ALGORITHMS)
def trained(request: pytest.FixtureRequest, corpus: Path) -> TrainedTokenizer:
    """A tokenizer of each algorithm: every promise below holds for all of them."""
    return train(corpus, algorithm=request.param)


@pytest.fixture(scope="module")
def tokenizer(trained: TrainedTokenizer) -> Tokenizer:
    return load_tokenizer(trained.json)


def test_the_vocabulary_counts_everything_and_begins_with_the_special_tokens(
    trained: TrainedTokenizer, tokenizer: Tokenizer
) -> None:
    assert trained.vocab_size == tokenizer.get_vocab_size(with_added_tokens=True) == 1024
    assert [tokenizer.id_to_token(i) for i in range(64)] == list(SPECIAL_TOKENS)
    assert sorted(tokenizer.get_vocab().values()) == list(range(1024))
    assert Vocabulary.from_tokenizer(tokenizer).num_bytes.sum() > 256
    assert trained.sha256 == hashlib.sha256(trained.json).hexdigest()


@settings(max_examples=80)
@given(text=st.text(max_size=80))
def test_any_text_comes_back_as_it_was(tokenizer: Tokenizer, text: str) -> None:
    encoding = encode_text(tokenizer, text)
    assert decode_tokens(tokenizer, encoding.ids) == text
    assert len(encoding.pieces) == len(encoding.ids)
    assert not any(id_ < 64 for id_ in encoding.ids)


def test_pieces_say_what_each_token_stands_for(tokenizer: Tokenizer) -> None:
    text = "Text 12: bader kilo"
    assert "".join(encode_text(tokenizer, text).pieces) == text


def test_special_tokens_are_decoded_by_name_and_unknown_ids_refused(tokenizer: Tokenizer) -> None:
    assert decode_tokens(tokenizer, [END_OF_TEXT, 2]) == "<|endoftext|>[MASK]"
    for wrong in (1024, -1):
        with pytest.raises(InvalidRequest) as caught:
            decode_tokens(tokenizer, [5, wrong])
        assert caught.value.param == "tokens.1"


def test_training_twice_in_two_processes_gives_the_same_bytes(
    corpus: Path, trained: TrainedTokenizer
) -> None:
    code = (
        "import sys, pathlib; from corpora.tokenizer_training import train_tokenizer;"
        "print(train_tokenizer(pathlib.Path(sys.argv[1]), vocab_size=1024,"
        " algorithm=sys.argv[2], progress=lambda _: None).sha256)"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(corpus), trained.algorithm],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert child.stdout.strip() == trained.sha256


@pytest.mark.parametrize("algorithm", TOKENIZER_ALGORITHMS)
def test_by_default_the_text_decides_and_more_than_it_gives_is_refused(
    tmp_path: Path, algorithm: str
) -> None:
    corpus = build(tmp_path, 40)
    default = train(corpus, None, algorithm)
    assert 320 < default.vocab_size < 4096
    assert default.vocab_size % 64 == 0
    assert default.stats.largest_vocab_size == default.vocab_size
    with pytest.raises(BadData, match=f"the largest possible is {default.vocab_size}") as caught:
        train(corpus, default.vocab_size + 64, algorithm)
    assert caught.value.error_code == "vocabulary_too_large"
    assert caught.value.param == "vocab_size"
    largest = train(corpus, default.vocab_size, algorithm)
    assert largest.json == default.json


@pytest.mark.parametrize("algorithm", TOKENIZER_ALGORITHMS)
def test_a_size_that_is_asked_for_need_not_be_a_multiple_of_64(
    corpus: Path, algorithm: str
) -> None:
    assert train(corpus, 500, algorithm).vocab_size == 500


@pytest.mark.parametrize("algorithm", TOKENIZER_ALGORITHMS)
@pytest.mark.parametrize("text", ["a", "hello"])
def test_even_the_smallest_text_gives_a_tokenizer_and_a_dataset(
    tmp_path: Path, text: str, algorithm: str
) -> None:
    (tmp_path / "a.txt").write_text(text)
    build_corpus(
        [SourceFile(tmp_path / "a.txt", filename="a.txt", sha256="a", id="file_1")],
        options=CorpusOptions(),
        directory=tmp_path / "corpus",
        scratch=tmp_path / "scratch",
        progress=lambda _: None,
    )
    smallest = train(tmp_path / "corpus", None, algorithm)
    assert smallest.vocab_size == 320
    encode_corpus(
        tmp_path / "corpus",
        tokenizer_json=smallest.json,
        directory=tmp_path / "dataset",
        progress=lambda _: None,
    )
    dataset = open_dataset(tmp_path / "dataset")
    assert dataset.train.num_tokens == 1 + len(text)
    assert dataset.validation.num_tokens == 0


def test_what_cannot_be_a_tokenizer_is_refused(corpus: Path) -> None:
    with pytest.raises(InvalidRequest, match="known: bpe, unigram, wordpiece"):
        train_tokenizer(corpus, vocab_size=None, algorithm="lzw", progress=lambda _: None)
    with pytest.raises(InvalidRequest, match="make 320"):
        train(corpus, 256)


def test_how_well_it_fits_is_measured_on_held_out_text(
    corpus: Path, trained: TrainedTokenizer, tokenizer: Tokenizer
) -> None:
    texts = [document.text for document in iter_documents(corpus, "validation")]
    ids = [id_ for text in texts for id_ in tokenizer.encode(text, add_special_tokens=False).ids]
    num_bytes = sum(len(text.encode()) for text in texts)
    num_words = sum(len(re.findall(r"[^\W_]+", text)) for text in texts)
    stats = trained.stats
    assert stats.num_measured_bytes == num_bytes
    assert stats.bytes_per_token == pytest.approx(num_bytes / len(ids), abs=1e-4)
    assert stats.bytes_per_token > 2
    assert stats.fertility == pytest.approx(len(ids) / num_words, abs=1e-4)
    assert stats.unused_share == pytest.approx(1 - len(set(ids)) / (1024 - 64), abs=1e-4)


def test_each_source_has_figures_of_its_own(tmp_path: Path) -> None:
    files = {"a.txt": "\n".join(map(a_text, range(80))), "b.txt": "1 2 3 , . ; \n" * 900}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    build_corpus(
        [SourceFile(tmp_path / name, filename=name, sha256=name, id=name) for name in files],
        options=CorpusOptions(validation_fraction=0),
        directory=tmp_path / "corpus",
        scratch=tmp_path / "scratch",
        progress=lambda _: None,
    )
    stats = train(tmp_path / "corpus", None).stats
    assert {source.file for source in stats.sources} == set(files)
    of_words, of_signs = sorted(stats.sources, key=lambda source: source.file)
    assert of_words.bytes_per_token > of_signs.bytes_per_token
    assert sum(source.num_bytes for source in stats.sources) == stats.num_measured_bytes


def test_the_tokens_of_a_word_can_be_told_from_the_next(tokenizer: Tokenizer) -> None:
    text = "Text 17: kilobader isn't ab12cd, été-漢字 (lo) na_ma\n"
    words = Vocabulary.from_tokenizer(tokenizer)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    starts = [
        place
        for place, id_ in enumerate(ids)
        if place == 0
        or not (words.ends_with_word_byte[ids[place - 1]] and words.begins_with_word_byte[id_])
    ]
    groups = [ids[start:end] for start, end in pairwise([*starts, len(ids)])]
    spoken = [b"".join(map(words.token_bytes, group)).decode() for group in groups]
    assert "".join(spoken) == text
    for word in re.findall(r"[^\W_]+", text):
        assert any(word in group for group in spoken), word


def test_a_dataset_holds_every_document_of_its_corpus_in_order(
    corpus: Path, trained: TrainedTokenizer, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    told: list[Progress] = []
    manifest = encode_corpus(
        corpus, tokenizer_json=trained.json, directory=tmp_path, progress=told.append
    )
    dataset = open_dataset(tmp_path)
    assert dataset.manifest == manifest
    assert manifest.corpus_digest == read_manifest(corpus).digest
    assert told[-1].fraction == 1
    for name in SPLIT_NAMES:
        split = {"train": dataset.train, "validation": dataset.validation}[name]
        documents = list(iter_documents(corpus, name))
        assert split.num_documents == len(documents)
        assert split.num_bytes == sum(len(document.text.encode()) for document in documents)
        for document in documents:
            ids = split.document(document.index).tolist()
            assert ids[0] == END_OF_TEXT
            assert tokenizer.decode(ids[1:]) == document.text


def test_a_text_of_many_windows_has_the_ids_of_the_whole(
    trained: TrainedTokenizer, tokenizer: Tokenizer
) -> None:
    text = "".join(a_text(i) for i in range(1500))
    [ids] = ReferenceEncoder(trained.json).encode_batch([text])
    assert len(text) > 2**18
    assert ids.tolist() == tokenizer.encode(text, add_special_tokens=False).ids


def _random_texts(number: int) -> list[str]:
    generator = random.Random(7)
    texts = [a_text(700), *(text for text in ODD_TEXTS if "<|" not in text)]
    while len(texts) < number:
        codes = (generator.choice((0x7F, 0x2FF, 0xFFFF, 0x1FFFF)) for _ in range(20))
        characters = (chr(generator.randint(1, code)) for code in codes)
        texts.append("".join(c for c in characters if not "\ud800" <= c <= "\udfff"))
    return texts


@pytest.mark.slow
@pytest.mark.parametrize("num_texts", [1000, pytest.param(10_000, marks=pytest.mark.exhaustive)])
def test_transformers_gives_the_same_ids(
    trained: TrainedTokenizer, tokenizer: Tokenizer, tmp_path: Path, num_texts: int
) -> None:
    import transformers  # noqa: PLC0415 - takes seconds, for this test alone

    (tmp_path / "tokenizer.json").write_bytes(trained.json)
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps(
            {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        )
    )
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    texts = _random_texts(num_texts)
    ours = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    assert theirs(texts, add_special_tokens=False)["input_ids"] == ours
    assert [theirs.decode(ids) for ids in ours[:50]] == texts[:50]
