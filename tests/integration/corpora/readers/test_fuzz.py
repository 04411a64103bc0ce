"""Whatever is uploaded, reading it ends, with records or with an error that names the file."""

from __future__ import annotations

import gzip
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import BadData
from corpora.readers.record import Dropped, Record
from tests.integration.corpora.readers.test_every_format import ALL_CONTAINERS, FORMATS

LIGHT = sorted(set(FORMATS) - {"parquet"})  # each damaged Parquet file costs a process
MAGICS = [
    *(b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"BZh91AY&SY", b"PK\x03\x04"),
    *(b"PK\x05\x06", b"WARC/1.0\r\n", b"<!doctype html>", b"\xff\xfe", b"text,a\n", b"\xfe\xff<"),
]
kinds = st.sampled_from(LIGHT)
containers = st.sampled_from(sorted(ALL_CONTAINERS))
quick = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def read_anything(read: Any, data: bytes, name: str) -> None:
    failure = None
    try:
        reading = read(data, name)
    except BadData as error:
        failure = error.message
    if failure:
        assert name in failure
        return
    assert reading.records
    assert reading.num_consumed == len(data)
    for record in reading.records:
        assert record.place.isprintable()
        if isinstance(record, Record):
            assert record.text.encode().decode() == record.text
        else:
            assert isinstance(record, Dropped)
            assert record.excerpt.isprintable()
            assert record.num_bytes >= 0


@quick
@given(
    magic=st.sampled_from(MAGICS),
    data=st.binary(max_size=3000),
    name=st.sampled_from(["a.txt", "a.jsonl", "a.csv", "a"]),
)
def test_random_bytes(read: Any, magic: bytes, data: bytes, name: str) -> None:
    read_anything(read, magic + data, name)


def mutated(data: bytes, generator: random.Random) -> bytes:
    """A few bytes changed, a stretch cut out or doubled, or the end cut off."""
    made = bytearray(data)
    for _ in range(generator.randint(1, 4)):
        start = generator.randrange(len(made))
        end = min(len(made), start + generator.choice([1, 1, 1, 2, 4, 30, 600]))
        match generator.randrange(5):
            case 0:
                made[start:end] = generator.randbytes(end - start)
            case 1:
                made[start:end] = b"\xff" * (end - start)
            case 2:
                del made[start:end]
            case 3:
                made[start:start] = made[start:end]
            case _:
                made[start] ^= 1 << generator.randrange(8)
        if len(made) < 2:
            break
    return bytes(made) if generator.random() < 0.8 else bytes(made[: len(made) // 2])


@quick
@given(
    kind=st.sampled_from(LIGHT),
    container=st.sampled_from(sorted(ALL_CONTAINERS)),
    seed=st.integers(0),
)
def test_damaged_files_of_every_format_and_container(
    read: Any, kind: str, container: str, seed: int
) -> None:
    name, data, _ = FORMATS[kind]
    stored = ALL_CONTAINERS[container][0](name, data)
    read_anything(read, mutated(stored, random.Random(seed)), name)


@quick
@given(
    kind=st.sampled_from(LIGHT),
    container=st.sampled_from(sorted(ALL_CONTAINERS)),
    seed=st.integers(0),
)
def test_damaged_files_in_sound_containers(read: Any, kind: str, container: str, seed: int) -> None:
    name, data, _ = FORMATS[kind]
    read_anything(
        read, ALL_CONTAINERS[container][0](name, mutated(data, random.Random(seed))), name
    )


@pytest.mark.parametrize("seed", range(8))
def test_damaged_parquet(read: Any, seed: int) -> None:
    _, data, _ = FORMATS["parquet"]
    read_anything(read, data[:4] + mutated(data[4:], random.Random(seed)), "a.parquet")


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(500))
def test_damaged_files_of_every_kind_at_length(read: Any, seed: int) -> None:
    generator = random.Random(seed)
    name, data, _ = FORMATS[generator.choice(sorted(FORMATS))]
    pack = ALL_CONTAINERS[generator.choice(sorted(ALL_CONTAINERS))][0]
    if generator.random() < 0.5:
        read_anything(read, pack(name, mutated(data, generator)), name)
    else:
        read_anything(read, mutated(pack(name, data), generator), name)


def test_a_file_that_decompresses_to_itself_in_the_end_is_an_error(read: Any) -> None:
    data = b"text"
    for _ in range(10):
        data = gzip.compress(data)
    with pytest.raises(BadData, match="compressed more than"):
        read(data)
