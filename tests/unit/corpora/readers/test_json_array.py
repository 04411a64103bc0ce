from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.readers.json_array import is_json_array, split_elements
from corpora.readers.jsonl import read_jsonl
from corpora.readers.lines import LongLine
from corpora.readers.record import Dropped, Record

TEXTS = ('first, with "[{]}" in it', "second\\")
OBJECTS = [{"text": TEXTS[0]}, {"text": TEXTS[1], "n": [1, {"a": []}]}]


def in_pieces(data: bytes, num_bytes: int) -> Iterator[bytes]:
    return (data[i : i + num_bytes] for i in range(0, len(data), num_bytes))


def read(data: bytes, *, piece_bytes: int = 2**20, **limits: int) -> list[tuple[str, str]]:
    found = read_jsonl(
        in_pieces(data, piece_bytes), text_field="text", notice=lambda _: None, **limits
    )
    return [(r.place, r.text if isinstance(r, Record) else r.reason) for r in found]


@pytest.mark.parametrize("indent", [None, 1], ids=["on one line", "on many"])
@pytest.mark.parametrize("piece_bytes", [1, 7, 2**20])
def test_an_array_of_objects_is_read_as_lines_of_them_are(
    indent: int | None, piece_bytes: int
) -> None:
    data = json.dumps(OBJECTS, indent=indent).encode()
    assert read(data, piece_bytes=piece_bytes) == [
        ("element 1", TEXTS[0]),
        ("element 2", TEXTS[1]),
    ]


@settings(max_examples=100)
@given(
    objects=st.lists(
        st.dictionaries(st.text(max_size=3), st.text(alphabet='a"\\[]{},\n', max_size=9)),
        min_size=1,
        max_size=4,
    ),
    piece_bytes=st.integers(1, 40),
)
def test_any_objects_come_out_as_they_went_in(
    objects: list[dict[str, str]], piece_bytes: int
) -> None:
    elements = split_elements(in_pieces(json.dumps(objects).encode(), piece_bytes), 2**20)
    assert [json.loads(e) for e in elements if isinstance(e, bytes)] == objects


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'[{"text": "a"}, 5, {"text": "b"}]', ["a", "no_text_field", "b"]),
        (b'[{"text": "a"}, nonsense, {"text": "b"}]', ["a", "bad_json", "b"]),
        (b'[{"text": "a"}, {"text": "cut', ["a", "bad_json"]),
        (b'[{"text": "a"},', ["a", "bad_json"]),
        (b'[{"text": "a"}] and more', ["a", "bad_json"]),
        (b'[{"text": "a"}]\n', ["a"]),
    ],
)
def test_what_is_wrong_in_an_array_is_a_drop_of_its_own(data: bytes, found: list[str]) -> None:
    assert [what for _, what in read(data)] == found


@pytest.mark.parametrize(
    "data",
    [
        b'{"text": "a"}\n{"text": "b"}\n',
        b'[{"text": "a"}]\n[{"text": "b"}]\n',
        b'["a"]\n{"text": "b"}\n',
        b'[INFO] a log\n{"text": "b"}\n',
    ],
)
def test_lines_stay_lines_whatever_the_first_is(data: bytes) -> None:
    assert not is_json_array(data)
    assert [place for place, _ in read(data)] == ["line 1", "line 2"]


def test_an_element_that_is_too_long_is_dropped_and_never_held() -> None:
    data = b'[{"text": "a"}, {"text": "' + b"x" * 2**23 + b'"}, {"text": "b"}]'
    tracemalloc.start()
    elements = list(split_elements(in_pieces(data, 2**10), 1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert elements[::2] == [b'{"text": "a"}', b'{"text": "b"}']
    assert isinstance(elements[1], LongLine)
    assert elements[1].num_bytes == 2**23 + len(' {"text": ""}')
    assert peak < 2**20


def test_a_dropped_element_tells_how_it_begins() -> None:
    found = list(read_jsonl(iter([b'[{"text": 5}]']), text_field="text", notice=lambda _: None))
    assert found == [Dropped("element 1", "text_is_no_string", '{"text": 5}', 11)]
