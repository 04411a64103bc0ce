from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
import zstandard

from core.errors import BadData
from corpora.readers.compression import compression_of, decompress
from corpora.readers.origin import DecompressionLimits, Origin
from corpora.readers.record import BadBytes, Notice

TEXT = "".join(f"{i} {i * i} some words\n" for i in range(200_000)).encode()
SHORT = TEXT[:100_000]


def zstd(data: bytes, **options: object) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)  # type: ignore[arg-type]


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": zstd,
    "xz": lambda data: lzma.compress(data, preset=0),
    "bz2": bz2.compress,
}
every_compression = pytest.mark.parametrize("compress", COMPRESSORS.values(), ids=COMPRESSORS)


def pieces_of(
    stored: bytes,
    *,
    piece_bytes: int = 2**20,
    notice: Notice = lambda _: None,
    **limits: int,
) -> Iterator[bytes]:
    origin = Origin("user.txt", num_bytes=len(stored), limits=DecompressionLimits(**limits))
    compression = compression_of(stored)
    assert compression is not None
    pieces = (stored[i : i + piece_bytes] for i in range(0, len(stored), piece_bytes))
    return decompress(pieces, compression, origin=origin, notice=notice)


def read(
    stored: bytes,
    *,
    piece_bytes: int = 2**20,
    notice: Notice = lambda _: None,
    **limits: int,
) -> bytes:
    return b"".join(pieces_of(stored, piece_bytes=piece_bytes, notice=notice, **limits))


@pytest.mark.parametrize(
    "stored",
    [
        gzip.compress(TEXT),
        zstd(TEXT),
        lzma.compress(TEXT, preset=0),
        bz2.compress(TEXT),
        gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:]),
        gzip.compress(TEXT) + bytes(512),
        zstd(TEXT[:1000]) + zstd(TEXT[1000:]),
        b"\x52\x2a\x4d\x18\x04\x00\x00\x00note" + zstd(TEXT),
        zstd(TEXT, level=19, write_checksum=True),
        lzma.compress(TEXT[:1000]) + bytes(8) + lzma.compress(TEXT[1000:]),
        bz2.compress(TEXT[:1000]) + bz2.compress(TEXT[1000:]),
    ],
    ids=[
        *("gz", "zst", "xz", "bz2", "gz members", "gz padded", "frames", "skippable"),
        *("checksum", "xz streams", "bz2 streams"),
    ],
)
def test_the_first_bytes_decide_how_bytes_are_decompressed(stored: bytes) -> None:
    assert read(stored) == TEXT


@every_compression
def test_how_the_input_is_cut_into_pieces_does_not_matter(
    compress: Callable[[bytes], bytes],
) -> None:
    stored = compress(SHORT) + compress(b"") + compress(SHORT)
    assert read(stored, piece_bytes=7) == SHORT + SHORT


@pytest.mark.parametrize(
    "data", [b"", b"text", b"BZh9 is how bzip2 begins", b"\x1f", b"PK\x03\x04", b"\x5d\0\0\x80\0"]
)
def test_what_is_not_compressed_is_not_taken_for_it(data: bytes) -> None:
    assert compression_of(data) is None


def test_thousands_of_tiny_members_take_no_longer_than_their_bytes() -> None:
    assert read(gzip.compress(b"word ") * 50_000) == b"word " * 50_000


@every_compression
@pytest.mark.parametrize("kept", [0.2, 0.999])
def test_a_stream_that_is_cut_off_names_its_file(
    compress: Callable[[bytes], bytes], kept: float
) -> None:
    stored = compress(SHORT)
    with pytest.raises(BadData, match=r"user\.txt cannot be read") as caught:
        read(stored[: int(len(stored) * kept)])
    assert caught.value.error_code == "file_damaged"


@every_compression
def test_damaged_compression_names_its_file(compress: Callable[[bytes], bytes]) -> None:
    stored = compress(SHORT)
    garbage = random.Random(0).randbytes(5000)
    with pytest.raises(BadData, match=r"user\.txt"):
        read(stored[: len(stored) // 2] + garbage)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress], ids=["gz", "bz2"])
@pytest.mark.parametrize("piece_bytes", [1, 2**20])
def test_a_little_of_something_else_behind_the_compressed_data_is_left_out_and_counted(
    compress: Callable[[bytes], bytes], piece_bytes: int
) -> None:
    noticed: list[BadBytes] = []
    stored = compress(SHORT[:500]) + bytes(9) + compress(SHORT[500:600]) + b"\x1eB\x1f\x8bBZh else"
    assert read(stored, piece_bytes=piece_bytes, notice=noticed.append) == SHORT[:600]
    assert noticed == [BadBytes("after the compressed data", "trailing", 12)]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress], ids=["gz", "bz2"])
def test_what_may_have_been_data_is_not_left_out_in_silence(
    compress: Callable[[bytes], bytes],
) -> None:
    stored = compress(SHORT)
    for behind in (b"x" * 70_000, stored[:1], stored[:100]):
        with pytest.raises(BadData, match=r"user\.txt cannot be read"):
            read(stored + behind)


@pytest.mark.parametrize("compress", [zstd, lzma.compress], ids=["zst", "xz"])
def test_xz_and_zstd_have_nothing_behind_them(compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(BadData, match=r"user\.txt cannot be read"):
        read(compress(SHORT) + b"and something else")


def test_a_wrong_checksum_names_its_file() -> None:
    with pytest.raises(BadData, match=r"user\.txt"):
        read(gzip.compress(SHORT)[:-8] + bytes(8))


@every_compression
def test_a_bomb_is_refused_while_it_unfolds_and_in_little_memory(
    compress: Callable[[bytes], bytes],
) -> None:
    bomb = compress(bytes(2**25 + 2**20))
    tracemalloc.start()
    with pytest.raises(BadData, match="times its own size") as caught:
        for _ in pieces_of(bomb):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.error_code == "decompression_bomb"
    assert peak < 2**26


def test_the_absolute_limit_holds_whatever_the_ratio() -> None:
    with pytest.raises(BadData, match="more than 1000 bytes"):
        read(gzip.compress(os.urandom(2000)), max_bytes=1000)


def test_a_zstd_frame_that_asks_for_a_huge_window_is_refused() -> None:
    exponent_of_2_gib = 31 - 10
    empty_last_block = b"\x01\x00\x00"
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, exponent_of_2_gib << 3]) + empty_last_block
    with pytest.raises(BadData, match=r"user\.txt cannot be read"):
        read(frame)


def test_an_xz_stream_that_asks_for_a_huge_dictionary_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**28}]
    with pytest.raises(BadData, match=r"user\.txt cannot be read: Memory usage limit"):
        read(lzma.compress(b"text", filters=filters))


def test_a_failing_reader_is_not_mistaken_for_damage() -> None:
    def failing() -> Iterator[bytes]:
        yield gzip.compress(SHORT)[:5000]
        raise OSError("the disk is gone")

    origin = Origin("user.txt", num_bytes=5000)
    with pytest.raises(OSError, match="the disk is gone"):
        list(decompress(failing(), "gzip", origin=origin))
