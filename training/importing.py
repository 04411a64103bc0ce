"""An uploaded Hugging Face folder as a checkpoint in our layout: checked, renumbered, written.

What strangers wrote as JSON is parsed in limited children; this process reads numbers alone, a
tensor at a time. Tokens get the ids of our tokenizers (``corpora.tokenizer_rebuilding``): our
special ones first, so that every objective fits, and the rows of the embedding move with them.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from core.errors import BadData
from core.spec import ModelShape
from corpora.sandbox import Sandbox, SandboxDied, SandboxLimits
from corpora.tokenizer_upload import CheckedTokenizer, check_tokenizer
from corpora.vocabulary import CLS, END_OF_TEXT, MASK, PAD, SEP, SPECIAL_TOKENS
from models.folder import INDEX_NAME
from models.huggingface import CONFIG_NAME, WEIGHTS_METADATA, WEIGHTS_NAME, hugging_face_files
from models.model_card import uploaded_model_card
from models.safetensors_header import LENGTH_BYTES, MAX_HEADER_BYTES, StoredTensor
from models.tensor_shapes import TABLES
from models.token_roles import ROLE_FILES
from training.checkpoint import TensorFile, save_checkpoint

MOST_SPARE_ROWS: Final = 512
"""An embedding may have a few rows more than there are tokens: it is rounded up for speed."""
TOKENIZER_NAME: Final = "tokenizer.json"

_CHILD: Final = "training.folder_process"
_LIMITS: Final = SandboxLimits(memory_bytes=2 * 2**30, cpu_seconds=60, wall_seconds=300.0)
_DTYPES: Final = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_ROLES: Final = {
    END_OF_TEXT: "eos_token",
    PAD: "pad_token",
    MASK: "mask_token",
    CLS: "cls_token",
    SEP: "sep_token",
}
"""What Hugging Face calls the parts that our special tokens play."""
_NEEDED: Final = {"decoder": (END_OF_TEXT,), "encoder": (MASK, CLS, SEP)}


@dataclass(frozen=True, slots=True)
class ImportedFolder:
    """What has come of an uploaded folder."""

    checkpoint: Path
    """In our layout, at step 0, without anything that resumes training."""
    shape: ModelShape
    tokenizer: CheckedTokenizer


def import_folder(files: Mapping[str, Path], *, out: Path, fence: int) -> ImportedFolder:
    """Make a checkpoint of the files of a folder.

    Args:
        files: By their names in the folder; see ``corpora.folder_upload``.
        out: The directory for the checkpoint; must exist.
        fence: Which owner of the work writes it.

    Raises:
        BadData: a file is damaged, of a model that cannot be trained here, or does not fit the
            others.
        OSError: the disk is full or broken; nothing is left behind.
    """
    plan = _plan(files)
    shape = ModelShape.model_validate(plan["shape"])
    tokenizer = check_tokenizer(files[TOKENIZER_NAME])
    rows = _rows(shape, tokenizer, roles=_role_ids(plan, tokenizer))
    ours = shape.model_copy(update={"vocab_size": tokenizer.vocab_size})
    tensors = _Tensors(
        files,
        {name: _Place.of(entry) for name, entry in plan["tensors"].items()},
        rows=None if rows == list(range(shape.vocab_size)) else rows,
        tables=TABLES[shape.architecture],
    )
    checkpoint = save_checkpoint(
        out,
        step=0,
        tokens=0,
        fence=fence,
        spec_sha256="",
        metrics={},
        files={
            **hugging_face_files(ours, tokenizer_json=tokenizer.json),
            WEIGHTS_NAME: TensorFile(tensors, WEIGHTS_METADATA),
            "README.md": uploaded_model_card(ours, digests=_digests(files)).encode(),
        },
    )
    return ImportedFolder(checkpoint, ours, tokenizer)


def _plan(files: Mapping[str, Path]) -> dict[str, Any]:
    """What a limited child reads in the descriptions; see ``training.folder_process``."""
    weights = sorted(name for name in files if name.endswith(".safetensors"))
    told: dict[str, Any] = {
        "has_index": INDEX_NAME in files,
        "weights": {name: files[name].stat().st_size for name in weights},
        "roles": [name for name in ROLE_FILES if name in files],
    }
    try:
        with Sandbox(_CHILD, limits=_LIMITS) as child:
            child.send(json.dumps(told).encode())
            child.send(files[CONFIG_NAME].read_bytes())
            if INDEX_NAME in files:
                child.send(files[INDEX_NAME].read_bytes())
            for name in weights:
                child.send(_header(files[name], name))
            for name in told["roles"]:
                child.send(files[name].read_bytes())
            answer: dict[str, Any] = json.loads(child.receive())
    except SandboxDied as error:
        raise BadData(
            "The folder's config, index or headers take more memory or time to read than any "
            "should.",
            code="weights_damaged",
        ) from error
    if "error" in answer:
        raise BadData(**answer["error"])
    return answer


def _header(path: Path, name: str) -> bytes:
    """The description at the beginning of a safetensors file, unread."""
    with path.open("rb") as file:
        length = file.read(LENGTH_BYTES)
        num_bytes = struct.unpack("<Q", length)[0] if len(length) == LENGTH_BYTES else 0
        if not 0 < num_bytes <= MAX_HEADER_BYTES:
            raise BadData(f"{name} cannot be read: it is no safetensors.", code="weights_damaged")
        header = file.read(num_bytes)
    if len(header) < num_bytes:
        raise BadData(f"{name} cannot be read: it is cut off.", code="weights_damaged")
    return header


def _role_ids(plan: Mapping[str, Any], tokenizer: CheckedTokenizer) -> dict[str, int]:
    """The ids of the tokens that have a role: as the tokenizer's files say, or else the config."""
    former = tokenizer.former_ids
    named = {role: former[text] for role, text in plan["roles"].items() if text in former}
    return {**plan["token_ids"], **named}


def _rows(
    shape: ModelShape, tokenizer: CheckedTokenizer, *, roles: Mapping[str, int]
) -> list[int | None]:
    """For each token of the rebuilt tokenizer, the row of the uploaded embedding; None: a new one.

    A special token of ours is theirs of the same name, or else of the same role.

    Raises:
        BadData: the tokenizer is another model's, or has no token for what the model is trained on.
    """
    former = tokenizer.former_ids
    highest = max(former.values())
    if highest >= shape.vocab_size or highest + MOST_SPARE_ROWS < shape.vocab_size - 1:
        raise BadData(
            f"The tokenizer's ids go up to {highest}, and the embedding has {shape.vocab_size} "
            "rows: they are not of the same model.",
            code="tokenizer_does_not_match",
        )
    rows = [former.get(token) for token in _tokens(tokenizer)]
    for special, role in _ROLES.items():
        if rows[special] is None and roles.get(role, shape.vocab_size) < shape.vocab_size:
            rows[special] = roles[role]
    for special in _NEEDED[shape.architecture]:
        if rows[special] is None:
            raise BadData(
                f"The tokenizer has no {_ROLES[special]} (nor a token "
                f"{SPECIAL_TOKENS[special]!r}), which this model is trained with.",
                code="special_token_missing",
            )
    return rows


def _tokens(tokenizer: CheckedTokenizer) -> list[str]:
    """The tokens of a rebuilt tokenizer, in the order of their ids."""
    vocabulary = json.loads(tokenizer.json)["model"]["vocab"]
    if isinstance(vocabulary, list):
        return [token for token, _ in vocabulary]
    return sorted(vocabulary, key=vocabulary.__getitem__)


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    found = {}
    for name in sorted(files):
        with files[name].open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor lies."""

    file: str
    tensor: StoredTensor

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> _Place:
        """As the child told it."""
        return cls(
            entry["file"],
            StoredTensor(entry["dtype"], tuple(entry["shape"]), entry["start"], entry["num_bytes"]),
        )


class _Tensors(Mapping[str, Tensor]):
    """The tensors of a folder in fp32, each read when it is asked for."""

    def __init__(
        self,
        files: Mapping[str, Path],
        places: Mapping[str, _Place],
        *,
        rows: Sequence[int | None] | None,
        tables: Sequence[str],
    ) -> None:
        """``rows`` of the ``tables`` are taken, in that order; None: all as they are."""
        self._files = files
        self._places = places
        self._rows = rows
        self._tables = tables

    def __getitem__(self, name: str) -> Tensor:
        """Read a tensor.

        Raises:
            BadData: it holds infinities or what is no number.
        """
        place = self._places[name]
        tensor = place.tensor
        with self._files[place.file].open("rb") as file:
            file.seek(tensor.start)
            data = bytearray(file.read(tensor.num_bytes))
        values = torch.frombuffer(data, dtype=_DTYPES[tensor.dtype]).reshape(tensor.shape).float()
        if not bool(values.isfinite().all()):
            raise BadData(
                f"Tensor {name!r} holds infinities or what is no number.", code="weights_not_finite"
            )
        if self._rows is None or name not in self._tables:
            return values
        return _renumbered(values, self._rows)

    def __iter__(self) -> Iterator[str]:
        """Their names."""
        return iter(self._places)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._places)


def _renumbered(table_V: Tensor, rows: Sequence[int | None]) -> Tensor:
    """The rows of a table in another order; new tokens get the mean of those that are kept.

    So they are as likely as any, and disturb nothing
    (https://nlp.stanford.edu/~johnhew/vocab-expansion.html).
    """
    kept = [row for row in rows if row is not None]
    mean = table_V[torch.tensor(kept)].mean(dim=0, keepdim=True)
    spare = table_V.shape[0]
    index = torch.tensor([spare if row is None else row for row in rows])
    return torch.cat([table_V, mean])[index]
