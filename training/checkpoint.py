"""Checkpoints on disk: whole, or not there.

The protocol: a hidden temporary directory; every file hashed while it is written and synced; the
manifest last; the directory synced; renamed; the parent synced. Tensors are safetensors, the rest
is JSON and Markdown; nothing is ever pickled.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.errors import CheckpointDamaged
from corpora.durable import HashedFile, sync_directory

FORMAT: Final = 1
MANIFEST_NAME: Final = "manifest.json"
_COPIED_AT_ONCE: Final = 1 << 22
_DTYPE_NAMES: Final = {
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.uint8: "U8",
}


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """One file of a checkpoint."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a checkpoint is and which files make it; the manifest does not list itself."""

    step: int
    tokens: int
    fence: int
    spec_sha256: str
    metrics: Mapping[str, float]
    files: tuple[CheckpointFile, ...]
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class TensorFile:
    """Tensors that become one safetensors file."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


def checkpoint_name(*, step: int, fence: int) -> str:
    """The directory's name: ``step-00001000-f7``."""
    return f"step-{step:08d}-f{fence}"


def save_checkpoint(
    out: Path,
    *,
    step: int,
    tokens: int,
    fence: int,
    spec_sha256: str,
    metrics: Mapping[str, float],
    files: Mapping[str, bytes | TensorFile | Path],
) -> Path:
    """Write a checkpoint into ``out``; when this returns it survives a power cut.

    Args:
        out: The directory of checkpoints; must exist.
        step: Optimizer steps behind these weights.
        tokens: Tokens behind these weights.
        fence: Which owner of the job writes it.
        spec_sha256: The digest of the spec, see :func:`spec_digest`.
        metrics: What is known about these weights.
        files: By name, which may have directories in it; a path is copied.

    Returns:
        The checkpoint's directory, ``step-00001000-f7``.

    Raises:
        FileExistsError: this owner has saved this step already.
        OSError: the disk is full or broken; nothing is left behind.
    """
    final = out / checkpoint_name(step=step, fence=fence)
    if final.exists():
        raise FileExistsError(f"{final} exists already")
    temporary = out / f".tmp-{final.name}-{secrets.token_hex(4)}"
    temporary.mkdir()
    try:
        written = tuple(_write(temporary, name, files[name]) for name in sorted(files))
        manifest = Manifest(step, tokens, fence, spec_sha256, dict(metrics), written)
        text = json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n"
        _write(temporary, MANIFEST_NAME, text.encode())
        for directory in (*(path for path in temporary.rglob("*") if path.is_dir()), temporary):
            sync_directory(directory)
        temporary.rename(final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(out)
    return final


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a checkpoint, without looking at the files.

    Raises:
        CheckpointDamaged: there is none, or it makes no sense.
    """
    try:
        raw = json.loads((directory / MANIFEST_NAME).read_bytes())
        files = tuple(CheckpointFile(**entry) for entry in raw.pop("files"))
        manifest = Manifest(**raw, files=files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointDamaged(f"{directory.name}: no readable {MANIFEST_NAME}: {error}") from None
    if manifest.format != FORMAT:
        raise CheckpointDamaged(f"{directory.name}: format {manifest.format} is not {FORMAT}")
    return manifest


def verify_checkpoint(directory: Path) -> Manifest:
    """Read every byte of a checkpoint and compare it with its manifest.

    Raises:
        CheckpointDamaged: a file is missing, has another length, or other bytes.
    """
    manifest = read_manifest(directory)
    for file in manifest.files:
        if PurePosixPath(file.name).is_absolute() or ".." in PurePosixPath(file.name).parts:
            raise CheckpointDamaged(f"{directory.name}: {file.name!r} is not a name inside it")
        path = directory / file.name
        try:
            num_bytes, sha256 = path.stat().st_size, _sha256(path)
        except OSError as error:
            raise CheckpointDamaged(f"{directory.name}/{file.name}: {error.strerror}") from None
        if num_bytes != file.bytes:
            raise CheckpointDamaged(
                f"{directory.name}/{file.name}: {num_bytes} bytes, the manifest says {file.bytes}"
            )
        if sha256 != file.sha256:
            raise CheckpointDamaged(
                f"{directory.name}/{file.name}: sha256 {sha256}, the manifest says {file.sha256}"
            )
    return manifest


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, on the CPU.

    Raises:
        CheckpointDamaged: the file is not one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except (OSError, SafetensorError) as error:
        raise CheckpointDamaged(f"{path.parent.name}/{path.name}: {error}") from None


def load_json(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """A JSON file of a checkpoint.

    Raises:
        CheckpointDamaged: the file is not one.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointDamaged(f"{path.parent.name}/{path.name}: {error}") from None


def _write(directory: Path, name: str, content: bytes | TensorFile | Path) -> CheckpointFile:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with HashedFile(path) as file:
        if isinstance(content, bytes):
            file.write(content)
        elif isinstance(content, Path):
            with content.open("rb") as original:
                for part in iter(partial(original.read, _COPIED_AT_ONCE), b""):
                    file.write(part)
        else:
            for piece in _safetensors(content):
                file.write(piece)
    return CheckpointFile(name, file.num_bytes, file.sha256)


def _safetensors(file: TensorFile) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file, a tensor at a time, sorted by name.

    Equal tensors give equal bytes, and no second copy of the model is ever in memory
    (https://github.com/huggingface/safetensors#format).
    """
    header: dict[str, Any] = {"__metadata__": dict(file.metadata)}
    names = sorted(file.tensors)
    end = 0
    for name in names:
        tensor = file.tensors[name]
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    if not file.metadata:
        del header["__metadata__"]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8, as the format asks
    yield struct.pack("<Q", len(text))
    yield text
    for name in names:
        flat = file.tensors[name].detach().to("cpu").contiguous().reshape(-1)
        yield flat.view(torch.uint8).numpy().data  # the format is little-endian, as we are


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def spec_digest(spec_json: Mapping[str, Any]) -> str:
    """The sha256 of a spec's canonical JSON."""
    text = json.dumps(spec_json, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
