"""``python -m corpora.readers.parquet_process [DESCRIPTOR]``: columns' texts, frame by frame.

A limited child of ``corpora.readers.parquet_children``. The parent's frames are a column's name
and, where there is no descriptor of one large file, a whole file, as often as it likes. The child's
first frame is empty and says that it is ready; its others are a line of JSON and then bytes:

    {"rows": ..., "columns": [...], "problem": null | "no_column" | "not_text"}
    {"lengths": [...]}    a batch: the texts' lengths, null for none, negative for one too long;
                          behind the line the texts themselves, but for those too long
    {"end": true}
    {"problem": "damaged" | "memory"}    at any time, and the last about this file
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import orjson

from corpora.readers.record import MAX_LINE_BYTES
from corpora.sandbox import Confinement

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_BATCH_BYTES: Final = 2**22
_MAX_BATCH_ROWS: Final = 512
"""Few, because a long text that rows share counts once in what the file says."""
_PAGE_BUFFER_BYTES: Final = 2**20
_MAX_COLUMNS_SHOWN: Final = 100


def main() -> None:
    """Send every row of the columns asked for."""
    # within the limits; Arrow's own allocators reserve more address space than they use
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    confinement = Confinement()
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    pa.set_cpu_count(1)
    confinement.send()
    descriptor = int(sys.argv[1]) if len(sys.argv) > 1 else None
    while (column := confinement.receive()) is not None:
        try:
            with (
                os.fdopen(descriptor, "rb")
                if descriptor is not None
                else pa.BufferReader(confinement.receive() or b"")
            ) as file:
                table = parquet.ParquetFile(file, buffer_size=_PAGE_BUFFER_BYTES, pre_buffer=False)
                _send_column(confinement, table, column.decode())
        except MemoryError:  # Arrow's is one too
            _send(confinement, {"problem": "memory"})
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):
            _send(confinement, {"problem": "damaged"})
        # the next file has as much memory as the first
        pa.default_memory_pool().release_unused()


def _send_column(confinement: Confinement, table: parquet.ParquetFile, column: str) -> None:
    schema = table.schema_arrow
    columns = [name[:_MAX_COLUMNS_SHOWN] for name in schema.names[:_MAX_COLUMNS_SHOWN]]
    about: dict[str, Any] = {"rows": table.metadata.num_rows, "columns": columns, "problem": None}
    if schema.names.count(column) != 1:
        _send(confinement, about | {"problem": "no_column"})
        return
    if not _is_text(schema.field(column).type):
        _send(confinement, about | {"problem": "not_text"})
        return
    _send(confinement, about)
    for group in range(table.num_row_groups):
        batches = table.iter_batches(
            batch_size=_rows_per_batch(table, group, column),
            row_groups=[group],
            columns=[column],
            use_threads=False,
        )
        for batch in batches:
            _send_batch(confinement, batch.column(0))
    _send(confinement, {"end": True})


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_null,
        )
    )


def _rows_per_batch(table: parquet.ParquetFile, group: int, column: str) -> int:
    """As many rows as a batch has room for, by what the file says of their average."""
    metadata = table.metadata.row_group(group)
    for index in range(metadata.num_columns):
        chunk = metadata.column(index)
        if chunk.path_in_schema == column:
            per_row = int(chunk.total_uncompressed_size) // max(1, int(metadata.num_rows))
            return max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES // max(1, per_row)))
    return 1


def _send_batch(confinement: Confinement, values: pa.Array[Any]) -> None:
    import pyarrow as pa  # noqa: PLC0415

    texts: list[bytes | None] = values.cast(pa.large_binary()).to_pylist()
    kept = [text for text in texts if text is not None and len(text) <= MAX_LINE_BYTES]
    lengths = [
        None if text is None else len(text) if len(text) <= MAX_LINE_BYTES else -len(text)
        for text in texts
    ]
    _send(confinement, {"lengths": lengths}, *kept)


def _send(confinement: Confinement, header: dict[str, Any], *texts: bytes) -> None:
    confinement.send(orjson.dumps(header, option=orjson.OPT_APPEND_NEWLINE), *texts)


if __name__ == "__main__":
    main()
