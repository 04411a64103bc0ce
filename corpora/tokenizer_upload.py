"""Uploaded tokenizers: checked once, in a limited child, before anything else loads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import BadData
from corpora.sandbox import Sandbox, SandboxDied, SandboxLimits

MAX_FILE_BYTES: Final = 32 * 2**20
LIMITS: Final = SandboxLimits(memory_bytes=3 * 2**30, cpu_seconds=120, wall_seconds=600.0)
"""An honest file of that size takes 1 GB and some ten seconds."""

_CHILD: Final = "corpora.tokenizer_process"


@dataclass(frozen=True, slots=True)
class CheckedTokenizer:
    """An uploaded tokenizer, rebuilt with our special tokens."""

    json: bytes
    sha256: str
    algorithm: str
    vocab_size: int
    former_ids: Mapping[str, int]
    """The id that each token had in the upload, those that were left out too."""


def check_length(num_bytes: int) -> None:
    """Refuse a file that is too long to be read.

    Raises:
        BadData: it is.
    """
    if num_bytes > MAX_FILE_BYTES:
        raise BadData(
            f"The file has {num_bytes} bytes; a tokenizer.json may have {MAX_FILE_BYTES}.",
            code="tokenizer_too_large",
            param="file",
        )


def check_tokenizer(path: Path, *, limits: SandboxLimits = LIMITS) -> CheckedTokenizer:
    """Check a `tokenizer.json` and rebuild it as one of ours.

    Args:
        path: the file.
        limits: what the child that reads it may use.

    Raises:
        BadData: it is too long, no tokenizer, one that cannot be used here, or one that takes more
            memory or time than it may.
    """
    check_length(path.stat().st_size)
    try:
        with path.open("rb") as file, Sandbox(_CHILD, file=file, limits=limits) as child:
            answer: dict[str, Any] = json.loads(child.receive())
            tokenizer_json = b"" if "error" in answer else child.receive()
    except SandboxDied as error:
        raise BadData(
            "The tokenizer.json takes more memory or time to check than any should, or crashes "
            "the library that reads it.",
            code="tokenizer_not_supported",
            param="file",
        ) from error
    if "error" in answer:
        raise BadData(**answer["error"])
    return CheckedTokenizer(
        json=tokenizer_json, sha256=hashlib.sha256(tokenizer_json).hexdigest(), **answer
    )
