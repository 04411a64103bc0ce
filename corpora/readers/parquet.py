"""Parquet files: one column's texts, a row at a time, read by a limited child.

A few hundred bytes of Parquet can ask for gigabytes, and a damaged file can crash its library: the
parent sees nothing but bounded frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any, Final

import orjson

from corpora.readers.csv import no_such_column
from corpora.readers.decoding import decode_line
from corpora.readers.origin import Origin
from corpora.readers.parquet_children import ParquetChildren
from corpora.readers.record import Dropped, Notice, Record
from corpora.sandbox import Sandbox, SandboxDied

_MAGIC: Final = b"PAR1"
_BYTES_PER_ROW: Final = 8
_FIRST_PRINTABLE: Final = 0x20


def is_parquet(head: bytes) -> bool:
    """Whether ``head`` begins a Parquet file: the magic, and then no text."""
    following = head[len(_MAGIC) : len(_MAGIC) + 1]
    return head.startswith(_MAGIC) and (not following or following[0] < _FIRST_PRINTABLE)


def read_parquet(
    file: IO[bytes],
    *,
    text_field: str,
    notice: Notice,
    num_bytes: int,
    origin: Origin,
    children: ParquetChildren,
    advanced: Callable[[float], None] = lambda _: None,
) -> Iterator[Record | Dropped]:
    """Yield each row's text, or why it has none.

    Args:
        file: open for random access.
        text_field: the column that holds the text.
        notice: told of undecodable bytes, in columns of binary data.
        num_bytes: the file's size.
        origin: what is read, for errors.
        children: one of them reads it.
        advanced: told now and then what share of the rows was read.

    Raises:
        BadData: it is damaged, a bomb, needs more memory or time than is allowed, or has no such
            column.
        SandboxDied: no child can be started.
    """
    with children.asked(file, num_bytes=num_bytes, column=text_field) as sandbox:
        try:
            about, _ = _frame(sandbox)
            if problem := about.get("problem"):
                raise _refusal(problem, about, text_field, origin)
            num_rows = int(about["rows"])
            number = 0
            while "lengths" in (batch := _frame(sandbox))[0]:
                header, texts = batch
                # rows that share a text or have none cost the file next to nothing
                origin.gave(len(texts) + _BYTES_PER_ROW * len(header["lengths"]))
                for text in _texts(header["lengths"], texts):
                    number += 1
                    yield _row(text, f"row {number}", notice)
                advanced(number / max(1, num_rows))
            if problem := batch[0].get("problem"):
                raise _refusal(problem, about, text_field, origin)
        except SandboxDied as error:
            raise origin.damaged(
                "its Parquet data is damaged, or needs more memory or time than is allowed"
            ) from error


def _frame(sandbox: Sandbox) -> tuple[dict[str, Any], bytes]:
    header, _, rest = sandbox.receive().partition(b"\n")
    try:
        return orjson.loads(header), rest
    except ValueError as error:
        raise SandboxDied("a frame that is none") from error


def _refusal(problem: str, about: dict[str, Any], text_field: str, origin: Origin) -> Exception:
    if problem == "no_column":
        return no_such_column(text_field, about["columns"], origin)
    if problem == "not_text":
        return origin.error(
            f"has a column {text_field!r}, but it is none of text",
            code="text_is_no_string",
            param="text_field",
        )
    if problem == "memory":
        return origin.damaged("its Parquet data needs more memory than is allowed")
    return origin.damaged("its Parquet data is damaged")


def _texts(lengths: list[int | None], data: bytes) -> Iterator[bytes | int | None]:
    """Each row's text; the length alone of one that is too long."""
    start = 0
    for length in lengths:
        if length is None or length < 0:
            yield length
        else:
            yield data[start : start + length]
            start += length


def _row(text: bytes | int | None, place: str, notice: Notice) -> Record | Dropped:
    if text is None:
        return Dropped(place, "text_is_no_string", "null", 0)
    if isinstance(text, int):
        return Dropped(place, "row_too_long", "", -text)
    try:
        return Record(place, text.decode())
    except UnicodeDecodeError:
        return Record(place, decode_line(text, place, notice))
