import errno
import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from core.errors import CheckpointDamaged
from corpora.durable import HashedFile
from training.checkpoint import (
    TensorFile,
    load_tensors,
    read_manifest,
    save_checkpoint,
    verify_checkpoint,
)

TENSORS = {
    "b": torch.arange(6, dtype=torch.float32).view(2, 3),
    "a": torch.tensor(3.0),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "empty": torch.empty(0, 4),
}


def save(out: Path, *, fence: int = 7, step: int = 1000) -> Path:
    return save_checkpoint(
        out,
        step=step,
        tokens=4096,
        fence=fence,
        spec_sha256="ab" * 32,
        metrics={"validation/loss": 2.5},
        files={
            "config.json": b"{}",
            "model.safetensors": TensorFile(TENSORS, {"format": "pt"}),
            "training_state/state.json": b"[1]",
        },
    )


def test_a_checkpoint_holds_what_its_manifest_lists(tmp_path: Path) -> None:
    path = save(tmp_path)
    manifest = verify_checkpoint(path)
    assert path == tmp_path / "step-00001000-f7"
    assert (manifest.step, manifest.tokens, manifest.fence) == (1000, 4096, 7)
    assert manifest.metrics == {"validation/loss": 2.5}
    for file in manifest.files:
        content = (path / file.name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
    on_disk = {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}
    assert on_disk == {file.name for file in manifest.files} | {"manifest.json"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["step-00001000-f7"]


def test_tensors_are_read_back_by_the_safetensors_library(tmp_path: Path) -> None:
    path = save(tmp_path) / "model.safetensors"
    for read in (load_file(path), load_tensors(path)):
        assert read.keys() == TENSORS.keys()
        assert all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_equal_tensors_give_equal_bytes_whatever_their_order(tmp_path: Path) -> None:
    digests = set()
    for fence, names in enumerate((sorted(TENSORS), sorted(TENSORS, reverse=True))):
        tensors = TensorFile({name: TENSORS[name].clone() for name in names}, {"format": "pt"})
        path = save_checkpoint(
            tmp_path, step=1, tokens=1, fence=fence, spec_sha256="", metrics={},
            files={"model.safetensors": tensors},
        )  # fmt: skip
        digests.add(verify_checkpoint(path).files[0].sha256)
    assert len(digests) == 1


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "training_state/state.json", "manifest.json"]
)
@pytest.mark.parametrize("damage", [flip_a_bit, truncate, Path.unlink])
def test_any_damaged_file_is_noticed(name: str, damage: object, tmp_path: Path) -> None:
    path = save(tmp_path)
    if name == "manifest.json" and damage is flip_a_bit:
        (path / name).write_text((path / name).read_text().replace('"bytes": 2', '"bytes": 3'))
    elif name == "manifest.json" and damage is truncate:
        (path / name).write_text((path / name).read_text()[:-3])
    else:
        damage(path / name)  # type: ignore[operator]
    with pytest.raises(CheckpointDamaged, match=r"step-00001000-f7"):
        verify_checkpoint(path)


def test_a_manifest_cannot_point_out_of_its_checkpoint(tmp_path: Path) -> None:
    path = save(tmp_path)
    manifest = json.loads((path / "manifest.json").read_text())
    (tmp_path / "other").write_bytes(b"")
    manifest["files"] = [{"name": "../other", "bytes": 0, "sha256": hashlib.sha256().hexdigest()}]
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointDamaged, match="not a name inside"):
        verify_checkpoint(path)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def fills_up(self: HashedFile, data: bytes) -> None:
        written.append((self.path.name, len(data)))
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(HashedFile, "write", fills_up)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_saved_step_is_never_overwritten_by_the_same_owner(tmp_path: Path) -> None:
    path = save(tmp_path)
    before = read_manifest(path)
    with pytest.raises(FileExistsError):
        save(tmp_path)
    assert verify_checkpoint(path) == before
    assert save(tmp_path, fence=8) != path


def test_a_file_that_is_no_safetensors_file_is_damage(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(CheckpointDamaged):
        load_tensors(tmp_path / "model.safetensors")
