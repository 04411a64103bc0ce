from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from core.errors import BadData
from corpora.readers.compression import DecompressionLimits, read_bytes

TEXT = "".join(f"{i} {i * i} some words\n" for i in range(200_000)).encode()


def zstd(data: bytes, **options: object) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)  # type: ignore[arg-type]


def read(path: Path, data: bytes, **limits: int) -> bytes:
    path.write_bytes(data)
    pieces = read_bytes(path, filename="user.txt", limits=DecompressionLimits(**limits))
    return b"".join(pieces)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stored"


@pytest.mark.parametrize(
    "stored",
    [
        TEXT,
        gzip.compress(TEXT),
        zstd(TEXT),
        gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:]),
        gzip.compress(TEXT) + bytes(512),
        zstd(TEXT[:1000]) + zstd(TEXT[1000:]),
        b"\x52\x2a\x4d\x18\x04\x00\x00\x00note" + zstd(TEXT),
        zstd(TEXT, level=19, write_checksum=True),
    ],
    ids=["bare", "gz", "zst", "gz members", "gz padded", "frames", "skippable", "checksum"],
)
def test_the_first_bytes_decide_how_a_file_is_read(path: Path, stored: bytes) -> None:
    assert read(path, stored) == TEXT


def test_an_empty_file_is_an_empty_stream(path: Path) -> None:
    assert read(path, b"") == b""


def test_bytes_read_are_counted_as_they_are_stored(path: Path) -> None:
    stored = gzip.compress(TEXT)
    path.write_bytes(stored)
    counted: list[int] = []
    list(read_bytes(path, filename="x", consumed=counted.append))
    assert sum(counted) == len(stored)


@pytest.mark.parametrize("compressed", [gzip.compress(TEXT), zstd(TEXT)], ids=["gz", "zst"])
@pytest.mark.parametrize("kept", [0.2, 0.999])
def test_a_stream_that_is_cut_off_names_its_file(
    path: Path, compressed: bytes, kept: float
) -> None:
    with pytest.raises(BadData, match=r"user\.txt cannot be decompressed") as caught:
        read(path, compressed[: int(len(compressed) * kept)])
    assert caught.value.error_code == "file_damaged"


@pytest.mark.parametrize(
    "stored",
    [
        gzip.compress(TEXT)[:5000] + os.urandom(5000),
        zstd(TEXT)[:5000] + os.urandom(5000),
        gzip.compress(TEXT) + b"and then something else",
        zstd(TEXT) + b"and then something else",
        gzip.compress(TEXT)[:-8] + bytes(8),
    ],
    ids=["gz", "zst", "after gz", "after zst", "gz checksum"],
)
def test_damaged_compression_names_its_file(path: Path, stored: bytes) -> None:
    with pytest.raises(BadData, match=r"user\.txt"):
        read(path, stored)


@pytest.mark.parametrize("compress", [gzip.compress, zstd], ids=["gz", "zst"])
def test_a_bomb_is_refused_while_it_unfolds_and_in_little_memory(
    path: Path, compress: object
) -> None:
    path.write_bytes(compress(bytes(2**27)))  # type: ignore[operator]
    tracemalloc.start()
    with pytest.raises(BadData, match="times its own size") as caught:
        for _ in read_bytes(path, filename="user.txt"):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.error_code == "decompression_bomb"
    assert peak < 2**26


def test_the_absolute_limit_holds_whatever_the_ratio(path: Path) -> None:
    with pytest.raises(BadData, match="more than 1000 bytes"):
        read(path, gzip.compress(os.urandom(2000)), max_bytes=1000)


def test_a_zstd_frame_that_asks_for_a_huge_window_is_refused(path: Path) -> None:
    exponent_of_2_gib = 31 - 10
    empty_last_block = b"\x01\x00\x00"
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, exponent_of_2_gib << 3]) + empty_last_block
    with pytest.raises(BadData, match=r"user\.txt cannot be decompressed"):
        read(path, frame)
