from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.json_body import MAX_DEPTH, parse_json
from core.errors import MalformedRequest


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner),
        max_leaves=10,
    )
)
def test_honest_json_is_read_as_it_is(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"{", "line 1, column 2"),
        (b"{'a': 1}", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": "\xff"}', "byte 7 is 0xff"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e400}', "1e400 is too large"),
        (b'{"a": 12345678901234567890123}', "64 bits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "64 bits"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
        (b'{"a": {"b": "\\ud800"}}', "U+D800"),
        (b'{"\\udfff": 1}', "U+DFFF"),
        (b'{"a": "x\\u0000y"}', "NUL"),
        (b"[" * 900 + b"]" * 900, "32 levels"),
        (b"[" * 500_000, "32 levels"),
    ],
)
def test_what_two_readers_could_understand_differently_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        parse_json(body)
    assert words in caught.value.message


def test_a_bad_text_is_found_by_its_path() -> None:
    with pytest.raises(MalformedRequest) as caught:
        parse_json(b'{"evaluation": {"prompts": ["ok", "\\u0000"]}}')
    assert caught.value.param == "evaluation.prompts.1"


def test_the_deepest_allowed_nesting_is_read() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert parse_json(deepest) is not None
    with pytest.raises(MalformedRequest):
        parse_json(b"[" + deepest + b"]")
