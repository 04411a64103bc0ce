from __future__ import annotations

import contextlib
import io
import random
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from core.corpus_options import CorpusOptions
from core.errors import BadData
from corpora.readers.children import Children
from corpora.readers.origin import DecompressionLimits
from corpora.readers.parquet_children import SMALL_BYTES
from corpora.readers.record import BadBytes, Record
from corpora.readers.source import SourceFile, read_records


def table(**columns: Any) -> bytes:
    return written(pa.table(columns))


def written(made: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(made, file, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_every_kind_of_text_column_is_read(read: Any, kind: pa.DataType) -> None:
    column = pa.array(["one", "zwei ü", "one"]).cast(kind)
    assert read(table(text=column)).texts == ["one", "zwei ü", "one"]


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_every_codec_is_read(read: Any, codec: str) -> None:
    data = written(pa.table({"text": [f"text {n}" for n in range(3000)]}), compression=codec)
    assert read(data).texts == [f"text {n}" for n in range(3000)]


def test_a_file_of_another_maker_is_read(read: Any, tmp_path: Any) -> None:
    path = tmp_path / "made.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT i AS id, 'text ' || i AS text FROM range(5000) t(i)) TO '{path}'"
        )
    assert read(path.read_bytes()).texts == [f"text {n}" for n in range(5000)]


def test_rows_without_text_are_dropped_between_others(read: Any) -> None:
    reading = read(table(text=["one", None, ""]))
    assert reading.records[0] == Record("row 1", "one")
    assert reading.drops == [("row 2", "text_is_no_string")]
    assert reading.records[2] == Record("row 3", "")


def test_a_text_that_is_too_long_is_dropped_with_its_length(read: Any) -> None:
    reading = read(written(pa.table({"text": ["one", "x" * (2**24 + 1), "two"]})))
    assert reading.texts == ["one", "two"]
    assert reading.drops == [("row 2", "row_too_long")]
    assert reading.records[1].num_bytes == 2**24 + 1


def test_undecodable_bytes_are_replaced_and_reported(read: Any) -> None:
    reading = read(table(text=pa.array([b"caf\xe9", b"ok"])))
    assert reading.texts == ["caf\ufffd", "ok"]
    assert reading.noticed == [BadBytes("row 1", "undecodable", 1)]


def test_an_empty_table_is_one_dropped_record(read: Any) -> None:
    assert read(table(text=pa.array([], pa.string()))).drops == [("whole file", "empty")]


def test_another_column_can_hold_the_text(read: Any) -> None:
    assert read(table(text=[1], body=["one"]), text_field="body").texts == ["one"]


def test_a_file_without_the_column_names_those_it_has(read: Any) -> None:
    with pytest.raises(
        BadData, match=r"a\.parquet has no column 'text': .* 'id', 'body'"
    ) as caught:
        read(table(id=[1], body=["one"]), "a.parquet")
    assert caught.value.error_code == "no_text_field"


def test_a_column_of_numbers_is_refused(read: Any) -> None:
    with pytest.raises(BadData, match="it is none of text") as caught:
        read(table(text=[1, 2]))
    assert caught.value.error_code == "text_is_no_string"


@pytest.mark.parametrize("kept", [5, 50, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused_by_name(read: Any, kept: float) -> None:
    data = table(text=["one", "two"] * 100)
    with pytest.raises(BadData, match=r"a\.parquet cannot be read: its Parquet data") as caught:
        read(data[: int(kept if kept > 1 else kept * len(data))], "a.parquet")
    assert caught.value.error_code == "file_damaged"


@pytest.mark.parametrize("where", range(10, 500, 70))
def test_damage_anywhere_is_an_error_or_another_text_and_nothing_else(
    read: Any, where: int
) -> None:
    data = bytearray(table(text=["one", "two"] * 20))
    data[where : where + 4] = b"\xff\xff\xff\x7f"
    with contextlib.suppress(BadData):
        assert len(read(bytes(data)).records) == 40


def test_a_few_hundred_bytes_that_want_gigabytes_are_refused_by_name(read: Any) -> None:
    rows = pa.DictionaryArray.from_arrays(np.zeros(1000, np.int32), ["x" * 2**23])
    data = written(pa.table({"text": rows}), compression="zstd")
    assert len(data) < 1000
    with pytest.raises(BadData, match=r"bomb\.parquet cannot be read: .* memory"):
        read(data, "bomb.parquet")


def test_small_files_share_a_child_and_none_of_them_its_fate(read: Any, children: Children) -> None:
    def one(text: str) -> Any:
        return read(table(text=[text, text + "!"])).texts

    def pid() -> int:
        assert children.tables._staying is not None
        return children.tables._staying._process.pid

    assert one("first") == ["first", "first!"]
    shared_by = pid()
    assert one("second") == ["second", "second!"]
    assert pid() == shared_by
    with pytest.raises(BadData):
        read(table(text=["one"])[:-5])
    assert one("third") == ["third", "third!"]
    assert pid() != shared_by


def test_a_file_that_is_left_early_leaves_nothing_to_the_next(
    read: Any, children: Children, tmp_path: Path
) -> None:
    stored = tmp_path / "left"
    stored.write_bytes(table(text=[f"text {n}" for n in range(2000)]))
    file = SourceFile(stored, filename="left.parquet", sha256="0" * 64, id="file_1")
    records = read_records(file, options=CorpusOptions(), notice=lambda _: None, children=children)
    assert next(iter(records)) == Record("row 1", "text 0")
    del records
    assert read(table(text=["another"])).texts == ["another"]


def test_a_file_too_large_to_be_sent_has_a_child_of_its_own(read: Any) -> None:
    noise = random.Random(0).randbytes(SMALL_BYTES).hex()
    data = table(text=[noise, "more"])
    assert len(data) > SMALL_BYTES
    assert read(data).texts == [noise, "more"]


def test_rows_that_cost_the_file_nothing_are_a_bomb(read: Any) -> None:
    data = written(pa.table({"text": pa.nulls(300_000, pa.string())}), compression="zstd")
    with pytest.raises(BadData, match="times its own size") as caught:
        read(data, limits=DecompressionLimits(free_bytes=2**16))
    assert caught.value.error_code == "decompression_bomb"
