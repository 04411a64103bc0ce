"""Downloading a checkpoint, and checking that it is what the service says it is."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, Final

from cli.demo.client import Client
from cli.demo.failure import require

_MANIFEST: Final = "manifest.json"
_TRAINING_STATE: Final = "training_state/"
_CHUNK_BYTES: Final = 1 << 20


def download_archive(client: Client, checkpoint_id: str, target: Path) -> int:
    """Download the folder as one tar, without what only resumes training, and check it.

    Returns the number of files whose digest was checked.

    Raises:
        DemoFailed: a file is missing, unannounced or damaged.
    """
    checkpoint = client.get(f"/v1/checkpoints/{checkpoint_id}")
    archive = target.with_suffix(".tar")
    client.download(f"/v1/checkpoints/{checkpoint_id}/archive", archive)
    _unpack(archive, target, inside=checkpoint_id)
    archive.unlink()
    announced = [
        file for file in checkpoint["files"] if not file["name"].startswith(_TRAINING_STATE)
    ]
    return _check(target, announced)


def download_files(client: Client, checkpoint_id: str, target: Path) -> int:
    """Download every file by itself, and check it; as :func:`download_archive`."""
    announced = client.get(f"/v1/checkpoints/{checkpoint_id}")["files"]
    for file in announced:
        client.download(file["url"], target / _safe(file["name"]))
    return _check(target, announced)


def _unpack(archive: Path, target: Path, *, inside: str) -> None:
    """Write the files of the archive's folder ``inside`` into ``target``.

    Plain files alone: ``extractall`` would obey whatever else the archive says.
    """
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            path = target / _safe(member.name.removeprefix(f"{inside}/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                while chunk := content.read(_CHUNK_BYTES):
                    file.write(chunk)


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    require(
        not path.is_absolute() and ".." not in path.parts and bool(path.parts),
        f"A checkpoint has a file that would lie outside of it: {name!r}",
    )
    return path


def _check(folder: Path, announced: list[dict[str, Any]]) -> int:
    names = {file["name"] for file in announced}
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    require(found == names, f"Files announced but not sent, or sent unasked: {found ^ names}")
    manifest = json.loads((folder / _MANIFEST).read_text())
    by_manifest = {file["name"]: file["sha256"] for file in manifest["files"]}
    require(
        names - {_MANIFEST} <= set(by_manifest),
        f"Files that the manifest does not know: {names - {_MANIFEST} - set(by_manifest)}",
    )
    for file in announced:
        name = file["name"]
        seen = _sha256(folder / name)
        require(seen == file["sha256"], f"{name} has sha256 {seen}; the API says {file['sha256']}")
        if name != _MANIFEST:
            require(seen == by_manifest[name], f"{name} has sha256 {seen}; the manifest differs")
    return len(announced)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
