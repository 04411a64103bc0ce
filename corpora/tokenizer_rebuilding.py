"""A stranger's `tokenizer.json` as one of ours: the same words, our special tokens before them."""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from pydantic import ValidationError
from tokenizers import Tokenizer

from core.errors import BadData
from core.spec import MAX_VOCAB_SIZE
from corpora.encoders.trials import trial_texts
from corpora.tokenizer import SHORT_PATTERN, load_tokenizer
from corpora.tokenizer_file import serialise
from corpora.tokenizer_format import (
    KNOWN_PATTERNS,
    MAX_TOKEN_LETTERS,
    BpeModel,
    ByteLevel,
    Split,
    TokenizerFile,
    UnigramModel,
    WordPieceModel,
)
from corpora.vocabulary import NUM_SPECIAL_TOKENS, SPECIAL_TOKENS, Vocabulary, byte_alphabet

Algorithm = Literal["bpe", "unigram", "wordpiece"]
_ALGORITHMS: Final[dict[str, Algorithm]] = {
    "BPE": "bpe",
    "Unigram": "unigram",
    "WordPiece": "wordpiece",
}
_MAX_SHOWN = 80


def rebuild(data: bytes) -> tuple[bytes, Algorithm]:
    """Check a `tokenizer.json` and rebuild it.

    Its own tokens keep their order and follow our 64 special ones; its added tokens, its normaliser
    (which can only be NFC), post-processor and decoder are left out. One of ours comes out as it
    was.

    Raises:
        BadData: it is no tokenizer that can be used here; the message says what is wrong where.
    """
    file = _read(data)
    _check_pre_tokenizer(file)
    tokens = _own_tokens(file)
    tokenizer_json = _serialised(file, tokens)
    _check_round_trips(tokenizer_json)
    return tokenizer_json, _ALGORITHMS[file.model.type]


def former_ids(data: bytes) -> dict[str, int]:
    """The id of each token of a `tokenizer.json` that :func:`rebuild` has taken, added ones too."""
    file = _read(data)
    model = file.model
    if isinstance(model, UnigramModel):
        known = {token: id_ for id_, (token, _) in enumerate(model.vocab)}
    else:
        known = dict(model.vocab)
    return known | {token.content: token.id for token in file.added_tokens}


def _refused(what: str) -> BadData:
    return BadData(
        f"This tokenizer.json cannot be used: {what}", code="tokenizer_not_supported", param="file"
    )


def _read(data: bytes) -> TokenizerFile:
    try:
        return TokenizerFile.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise BadData(
                f"The file is no tokenizer.json: {first['msg'][:300]}.",
                code="tokenizer_damaged",
                param="file",
            ) from error
        place = ".".join(str(part)[:_MAX_SHOWN] for part in first["loc"]) or "the file"
        raise _refused(f"{place}: {first['msg'][:300]}.") from error


def _check_pre_tokenizer(file: TokenizerFile) -> None:
    one = file.pre_tokenizer
    parts = [one] if isinstance(one, ByteLevel) else one.pretokenizers
    if not isinstance(parts[-1], ByteLevel) or sum(isinstance(p, ByteLevel) for p in parts) > 1:
        raise _refused("the last pre-tokenizer, and no other, has to be ByteLevel.")
    patterns = [part.pattern.regex for part in parts if isinstance(part, Split)]
    known = {pattern for same in KNOWN_PATTERNS.values() for pattern in same}
    for pattern in patterns:
        if pattern not in known:
            raise _refused(
                f"the split pattern {pattern[:_MAX_SHOWN]!r} is not a known one; known are those "
                f"of {', '.join(KNOWN_PATTERNS)}."
            )
    if isinstance(file.model, WordPieceModel) and SHORT_PATTERN not in patterns:
        raise _refused("a WordPiece model needs the pre-tokenizer of those trained here.")


def _own_tokens(file: TokenizerFile) -> list[str]:
    """The tokens of the model itself, in the order of their ids."""
    model = file.model
    if isinstance(model, UnigramModel):
        known = [token for token, _ in model.vocab]
    else:
        ids = set(model.vocab.values())
        if len(ids) != len(model.vocab) or any(id_ < 0 for id_ in ids):
            raise _refused("model.vocab: ids have to be different and not negative.")
        known = sorted(model.vocab, key=model.vocab.__getitem__)
    left_out = _left_out(file)
    tokens = [token for token in known if token not in left_out]
    _check_tokens(tokens)
    return tokens


def _left_out(file: TokenizerFile) -> set[str]:
    return {*SPECIAL_TOKENS, *(token.content for token in file.added_tokens)}


def _check_tokens(tokens: list[str]) -> None:
    if len(set(tokens)) != len(tokens):
        raise _refused("model.vocab: a token stands there twice.")
    if NUM_SPECIAL_TOKENS + len(tokens) > MAX_VOCAB_SIZE:
        raise _refused(
            f"model.vocab: {len(tokens)} tokens; at most {MAX_VOCAB_SIZE - NUM_SPECIAL_TOKENS}."
        )
    letters = set(byte_alphabet())
    for token in tokens:
        if not token or len(token) > MAX_TOKEN_LETTERS or not letters.issuperset(token):
            raise _refused(
                f"model.vocab: {token[:_MAX_SHOWN]!r} is not 1 to {MAX_TOKEN_LETTERS} bytes "
                "written as byte-level tokenizers write them."
            )
    missing = letters - set(tokens)
    if missing:
        raise _refused(
            f"model.vocab: {len(missing)} of the 256 single bytes are missing, so there is text "
            "that it cannot write."
        )


def _serialised(file: TokenizerFile, tokens: list[str]) -> bytes:
    description: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": file.pre_tokenizer.model_dump(by_alias=True),
        "post_processor": None,
        "decoder": None,
        "model": _model(file, tokens),
    }
    try:
        return serialise(Tokenizer.from_str(json.dumps(description)))
    except Exception as error:  # the library raises nothing narrower
        raise _refused(f"model: {str(error)[:300]}") from error


def _model(file: TokenizerFile, tokens: list[str]) -> dict[str, Any]:
    vocabulary = {token: id_ for id_, token in enumerate((*SPECIAL_TOKENS, *tokens))}
    model = file.model
    match model:
        case BpeModel():
            left_out = _left_out(file)
            merges = [
                pair if isinstance(pair, tuple) else tuple(pair.split(" ", 1))
                for pair in model.merges
            ]
            return {
                "type": "BPE",
                "ignore_merges": model.ignore_merges,
                "vocab": vocabulary,
                "merges": [pair for pair in merges if "".join(pair) not in left_out],
            }
        case UnigramModel():
            scores = dict(model.vocab)
            specials = [(token, 0.0) for token in SPECIAL_TOKENS]
            return {
                "type": "Unigram",
                "unk_id": None,
                "byte_fallback": False,
                "vocab": [*specials, *((token, scores[token]) for token in tokens)],
            }
        case WordPieceModel():
            return {
                **model.model_dump(include={"type", "max_input_chars_per_word"}),
                "unk_token": "[UNK]",
                "continuing_subword_prefix": "",
                "vocab": vocabulary,
            }


def _check_round_trips(tokenizer_json: bytes) -> None:
    """Any text comes back as it was, and no text is a special token."""
    tokenizer = load_tokenizer(tokenizer_json)
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    for text in trial_texts():
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        spoken = b"".join(vocabulary.token_bytes(id_) for id_ in ids)
        if spoken != text.encode() or tokenizer.decode(ids, skip_special_tokens=False) != text:
            raise _refused(f"the text {text[:_MAX_SHOWN]!r} does not come back as it was.")
        if ids and min(ids) < NUM_SPECIAL_TOKENS:
            raise _refused(f"the text {text[:_MAX_SHOWN]!r} becomes a special token.")
