"""The event files that TensorBoard reads, as bytes.

A file is a row of records, each a protocol buffer of the type ``tensorflow.Event`` in the frame
that TFRecord gives it: length, checksum of the length, the buffer, checksum of the buffer
(https://www.tensorflow.org/tutorials/load_data/tfrecord). The fields that are written here have
their numbers from ``tensorboard/compat/proto/{event,summary,tensor,tensor_shape}.proto``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from functools import cache
from typing import Final

_CASTAGNOLI: Final = 0x82F63B78
"""The polynomial of CRC-32C, its bits reversed (RFC 3720, appendix B.4)."""
_MASK_DELTA: Final = 0xA282EAD8
_UINT32: Final = 0xFFFFFFFF

_VARINT, _DOUBLE, _LENGTH_DELIMITED, _FLOAT = 0, 1, 2, 5
_DT_STRING: Final = 7
_LONGEST_TAG: Final = 60
"""Characters of a text that name it."""


def event_file_name(*, created_at: float, writer: str) -> str:
    """A name that TensorBoard knows an event file by; files of one folder are read in its order.

    Args:
        created_at: Unix seconds.
        writer: Who wrote it; keeps files of the same second apart.
    """
    return f"events.out.tfevents.{int(created_at):010d}.{writer}"


def file_version(*, created_at: float) -> bytes:
    """The record that a file begins with."""
    return _record(_event(created_at) + _bytes(3, b"brain.Event:2"))


def scalars(values: Mapping[str, float], *, step: int, created_at: float) -> bytes:
    """A record of numbers at a step; ``a/b`` is shown as ``b`` in the group ``a``."""
    summary = b"".join(
        _bytes(1, _bytes(1, name.encode()) + _key(2, _FLOAT) + _float(value))
        for name, value in values.items()
    )
    return _record(_event(created_at, step) + _bytes(5, summary))


def text(name: str, markdown: str, *, step: int, created_at: float) -> bytes:
    """A record of a text at a step."""
    plugin = _bytes(1, _bytes(1, b"text"))
    one_string = _bytes(2, _bytes(2, _number(1, 1)))
    tensor = _number(1, _DT_STRING) + one_string + _bytes(8, markdown.encode())
    value = _bytes(1, name.encode()) + _bytes(8, tensor) + _bytes(9, plugin)
    return _record(_event(created_at, step) + _bytes(5, _bytes(1, value)))


def probe(given: str, made: str, *, step: int, created_at: float) -> bytes:
    """A record of what a model made of a fixed text, in the group ``probes``."""
    # indented by four, Markdown shows text as it is
    shown = "".join(f"    {line}\n" for line in f"{given}\n→\n{made}".splitlines())
    return text(f"probes/{given[:_LONGEST_TAG]}", shown, step=step, created_at=created_at)


def _event(created_at: float, step: int = 0) -> bytes:
    return _key(1, _DOUBLE) + struct.pack("<d", created_at) + _number(2, step)


def _record(event: bytes) -> bytes:
    length = struct.pack("<Q", len(event))
    return length + _checksum(length) + event + _checksum(event)


def _checksum(content: bytes) -> bytes:
    """CRC-32C, rotated and moved, so that a checksum of checksums does not go wrong."""
    table, crc = _table(), _UINT32
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= _UINT32
    masked = ((crc >> 15 | crc << 17) + _MASK_DELTA) & _UINT32
    return struct.pack("<I", masked)


@cache
def _table() -> tuple[int, ...]:
    remainders = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
        remainders.append(crc)
    return tuple(remainders)


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _key(field, _LENGTH_DELIMITED) + _varint(len(content)) + content


def _float(value: float) -> bytes:
    """In 32 bits; what is too large for them is infinite, as in any conversion."""
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", math.copysign(math.inf, value))


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    written = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
