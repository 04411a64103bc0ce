from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from core.errors import BadData
from corpora.byte_pairs import learn_byte_pairs
from corpora.encoders.reference import ReferenceEncoder
from corpora.sandbox import SandboxLimits
from corpora.tokenizer import load_tokenizer
from corpora.tokenizer_file import serialise
from corpora.tokenizer_format import KNOWN_PATTERNS
from corpora.tokenizer_rebuilding import rebuild
from corpora.tokenizer_training import learn_tokenizer
from corpora.tokenizer_upload import MAX_FILE_BYTES, check_tokenizer
from corpora.vocabulary import SPECIAL_TOKENS, Vocabulary, byte_alphabet
from corpora.word_counts import WordCounter
from tests.tiny_text import documents

Description = dict[str, Any]


@pytest.fixture(scope="module")
def counts() -> dict[bytes, int]:
    counter = WordCounter()
    for text in documents()[:10]:
        counter.add(text)
    return counter.counts()


@pytest.fixture(scope="module", params=["bpe", "unigram", "wordpiece"])
def ours(request: pytest.FixtureRequest, counts: dict[bytes, int]) -> tuple[str, bytes]:
    tokenizer_json, _ = learn_tokenizer(counts, algorithm=request.param, vocab_size=512)
    return request.param, tokenizer_json


@pytest.fixture(scope="module")
def bpe(counts: dict[bytes, int]) -> bytes:
    return learn_tokenizer(counts, algorithm="bpe", vocab_size=512)[0]


def gpt_2(counts: dict[bytes, int]) -> Tokenizer:
    """A tokenizer in the manner of GPT-2: bytes first, its one special token last."""
    alphabet = {byte: letter for letter, byte in byte_alphabet().items()}
    learned = learn_byte_pairs(
        counts, first_tokens=tuple(bytes([byte]) for byte in range(256)), vocab_size=400
    )
    written = ["".join(alphabet[byte] for byte in token) for token in learned.tokens]
    tokenizer = Tokenizer(
        models.BPE(
            {token: id_ for id_, token in enumerate([*written, "<|endoftext|>"])},
            [(written[left], written[right]) for left, right in learned.merges],
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def put(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(data)
    return path


def test_one_of_ours_comes_out_of_the_child_as_it_went_in(
    ours: tuple[str, bytes], tmp_path: Path
) -> None:
    algorithm, tokenizer_json = ours
    checked = check_tokenizer(put(tmp_path, tokenizer_json))
    assert checked.json == tokenizer_json
    assert (checked.algorithm, checked.vocab_size) == (algorithm, 512)


def test_another_vocabulary_follows_our_special_tokens_and_cuts_text_as_before(
    counts: dict[bytes, int],
) -> None:
    theirs = gpt_2(counts)
    tokenizer_json, algorithm = rebuild(theirs.to_str().encode())
    rebuilt = load_tokenizer(tokenizer_json)
    assert algorithm == "bpe"
    assert [rebuilt.id_to_token(id_) for id_ in range(64)] == list(SPECIAL_TOKENS)
    assert rebuilt.get_vocab_size() == 64 + 400
    text = "It's 2026, and the dictionary is not\n\n empty: <|pad|> 漢字"
    assert [id_ - 64 for id_ in rebuilt.encode(text).ids] == theirs.encode(text).ids
    vocabulary = Vocabulary.from_tokenizer(rebuilt)
    assert b"".join(map(vocabulary.token_bytes, rebuilt.encode(text).ids)) == text.encode()


def test_composition_is_left_to_cleaning(bpe: bytes) -> None:
    tokenizer = Tokenizer.from_str(bpe.decode())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer_json, _ = rebuild(tokenizer.to_str().encode())
    assert tokenizer_json == bpe
    [ids] = ReferenceEncoder(tokenizer_json).encode_batch(["cafe\u0301"])
    assert load_tokenizer(tokenizer_json).decode(ids.tolist()) == "cafe\u0301"


def test_what_is_written_is_the_same_every_time(bpe: bytes) -> None:
    assert serialise(Tokenizer.from_str(bpe.decode())) == bpe


def _set(path: str, value: Any) -> Callable[[Description], None]:
    def change(description: Description) -> None:
        *parents, last = path.split(".")
        place: Any = description
        for name in parents:
            place = place[int(name) if name.isdigit() else name]
        place[int(last) if last.isdigit() else last] = value

    return change


def _without(token: str) -> Callable[[Description], None]:
    return lambda description: description["model"]["vocab"].pop(token)


POISON: dict[str, tuple[Callable[[Description], None], str]] = {
    "a pattern that takes forever": (
        _set("pre_tokenizer.pretokenizers.0.pattern.Regex", r"(a+)+$"), "not a known one",
    ),
    "an unknown pre-tokenizer": (
        _set("pre_tokenizer", {"type": "Whitespace"}), "pre_tokenizer: .*Whitespace",
    ),
    "text that is thrown away": (
        _set("pre_tokenizer.pretokenizers.0.behavior", "Removed"), "behavior: .*Isolated",
    ),
    "a space before everything": (
        _set("pre_tokenizer.pretokenizers.1.add_prefix_space", True), "add_prefix_space",
    ),
    "no bytes": (
        _set("pre_tokenizer.pretokenizers.1", {"type": "Digits", "individual_digits": True}),
        "has to be ByteLevel",
    ),
    "a normaliser that loses letters": (
        _set("normalizer", {"type": "Lowercase"}), "normalizer: .*Lowercase",
    ),
    "a normaliser with a table": (
        _set("normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}), "normalizer",
    ),
    "an unknown model": (_set("model.type", "WordLevel"), "model: .*WordLevel"),
    "chance": (_set("model.dropout", 0.5), "dropout"),
    "negative ids": (_set("model.vocab.a", -1), "different and not negative"),
    "one id twice": (_set("model.vocab.a", 70), "different and not negative"),
    "no ids": (_set("model.vocab.a", "70"), "model.BPE.vocab.a"),
    "a token that is no bytes": (_set("model.vocab.漢", 99999), "'漢' is not 1 to"),
    "a token without end": (_set(f"model.vocab.{'a' * 5000}", 99999), "is not 1 to 1024"),
    "a byte that is missing": (_without("a"), "1 of the 256 single bytes are missing"),
    "no tokens": (_set("model.vocab", {}), "256 of the 256 single bytes are missing"),
    "merges of what is not there": (_set("model.merges.0", ["a", "Ġq"]), "model"),
    "merges that are none": (_set("model.merges", 7), "merges"),
    "unknown fields": (_set("model.surprise", 1), "surprise"),
    "no model": (_set("model", None), "model"),
}  # fmt: skip


@pytest.mark.parametrize("name", POISON)
def test_poison_is_refused_with_its_place(bpe: bytes, name: str) -> None:
    change, message = POISON[name]
    description = json.loads(bpe)
    change(description)
    with pytest.raises(BadData, match=message) as caught:
        rebuild(json.dumps(description).encode())
    assert caught.value.error_code == "tokenizer_not_supported"
    assert caught.value.param == "file"
    assert len(caught.value.message) < 600


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"\x00\xff", b"[" * 200_000, b'{"a":' * 200_000, b"NaN", b"null", b"7",
        b"[]", b'{"model": {"type": "BPE", "vocab": {"a": 1e999}, "merges": []}}',
        b"1" * 10_000, b'"\\ud800"',
    ],
)  # fmt: skip
def test_what_is_no_tokenizer_is_refused(data: bytes) -> None:
    with pytest.raises(BadData) as caught:
        rebuild(data)
    assert caught.value.error_code in {"tokenizer_damaged", "tokenizer_not_supported"}
    assert caught.value.message.isprintable()


def test_an_infinite_score_is_refused(counts: dict[bytes, int]) -> None:
    tokenizer_json, _ = learn_tokenizer(counts, algorithm="unigram", vocab_size=400)
    description = json.loads(tokenizer_json)
    description["model"]["vocab"][70][1] = float("-inf")
    with pytest.raises(BadData, match="finite"):
        rebuild(json.dumps(description).encode())


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = put(tmp_path, b"")
    with path.open("r+b") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(BadData) as caught:
        check_tokenizer(path)
    assert caught.value.error_code == "tokenizer_too_large"


def test_the_child_tells_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no tokenizer\.json") as caught:
        check_tokenizer(put(tmp_path, b"{"))
    assert caught.value.error_code == "tokenizer_damaged"


def test_a_tokenizer_that_takes_too_much_memory_ends_its_child_alone(tmp_path: Path) -> None:
    vocabulary = {f"{'a' * 500}{number}": number for number in range(40_000)}
    data = json.dumps({"model": {"type": "BPE", "vocab": vocabulary, "merges": []}}).encode()
    limits = SandboxLimits(memory_bytes=300 * 2**20, cpu_seconds=20)
    with pytest.raises(BadData) as caught:
        check_tokenizer(put(tmp_path, data), limits=limits)
    assert caught.value.error_code in {"tokenizer_damaged", "tokenizer_not_supported"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", KNOWN_PATTERNS)
def test_every_known_pattern_gives_a_tokenizer_that_loses_nothing(bpe: bytes, name: str) -> None:
    for pattern in KNOWN_PATTERNS[name]:
        description = json.loads(bpe)
        _set("pre_tokenizer.pretokenizers.0.pattern.Regex", pattern)(description)
        tokenizer_json, _ = rebuild(json.dumps(description).encode())
        split = json.loads(tokenizer_json)["pre_tokenizer"]["pretokenizers"][0]
        assert split["pattern"]["Regex"] == pattern
