"""The files of an uploaded folder, alone or in an archive."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from core.errors import BadData
from corpora.folder_upload import MAX_TEXT_BYTES, check_names, unpack_folder, wanted_files

FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"weights"}


def tar(files: Mapping[str, bytes], *, mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def unpacked(tmp_path: Path, archive: bytes) -> dict[str, bytes]:
    path = tmp_path / "archive"
    path.write_bytes(archive)
    found = unpack_folder(path, filename="model.tar", directory=tmp_path / "out")
    assert all(file.parent == tmp_path / "out" for file in found.values())
    return {name: file.read_bytes() for name, file in found.items()}


@pytest.mark.parametrize(
    "archive",
    [tar(FILES), tar(FILES, mode="w:gz"), tar(FILES, mode="w:xz"), zipped(FILES)],
    ids=["tar", "tar.gz", "tar.xz", "zip"],
)
def test_a_folder_comes_out_of_any_archive(archive: bytes, tmp_path: Path) -> None:
    assert unpacked(tmp_path, archive) == FILES


def test_only_what_lies_beside_the_config_is_taken(tmp_path: Path) -> None:
    folder = {f"ckpt/{name}": data for name, data in FILES.items()}
    others = {
        "ckpt/README.md": b"#",
        "ckpt/training_state/optimizer.safetensors": b"o",
        "ckpt/onnx/config.json": b"[]",
        "model.safetensors": b"another",
    }
    assert unpacked(tmp_path, tar({**others, **folder})) == FILES


@pytest.mark.parametrize("name", ["../config.json", "/etc/config.json", "a/../../config.json"])
def test_names_that_lead_out_of_the_archive_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadData) as caught:
        unpacked(tmp_path, tar({**FILES, name: b"{}"}))
    assert caught.value.error_code == "unsafe_name"


def test_links_are_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        link = tarfile.TarInfo("config.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(BadData) as caught:
        unpacked(tmp_path, packed.getvalue())
    assert caught.value.error_code == "link"


@pytest.mark.parametrize(
    ("archive", "code"),
    [
        (b"", "archive_not_supported"),
        (b"no archive at all" * 100, "archive_not_supported"),
        (tar(FILES)[:700], "file_damaged"),
        (zipped(FILES)[:-30], "file_damaged"),
        (tar({"README.md": b"#"}), "file_missing"),
    ],
)
def test_an_archive_without_a_model_is_refused(archive: bytes, code: str, tmp_path: Path) -> None:
    with pytest.raises(BadData) as caught:
        unpacked(tmp_path, archive)
    assert caught.value.error_code == code


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["tokenizer.json", "model.safetensors"], "file_missing"),
        (["config.json", "model.safetensors"], "file_missing"),
        (["config.json", "tokenizer.json"], "weights_not_safetensors"),
        (["config.json", "tokenizer.json", "pytorch_model.bin"], "weights_not_safetensors"),
        (["config.json", "config.json", "tokenizer.json", "a.safetensors"], "file_name_twice"),
    ],
)
def test_files_that_are_no_model_are_refused_by_their_names(names: list[str], code: str) -> None:
    with pytest.raises(BadData) as caught:
        check_names(names)
    assert caught.value.error_code == code


def test_a_text_longer_than_any_honest_one_is_not_read(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in FILES}
    for path in files.values():
        path.touch()
    assert wanted_files({**files, "README.md": tmp_path / "config.json"}) == files
    with files["tokenizer.json"].open("wb") as file:
        file.truncate(MAX_TEXT_BYTES + 1)
    with pytest.raises(BadData) as caught:
        wanted_files(files)
    assert caught.value.error_code == "file_too_large"
