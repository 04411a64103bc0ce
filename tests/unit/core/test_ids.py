from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.ids import is_id, new_id


def test_an_id_is_its_prefix_and_a_lower_case_ulid() -> None:
    assert re.fullmatch(r"job_[0-7][0-9a-hjkmnp-tv-z]{25}", new_id("job"))


def test_later_ids_sort_after_earlier_ones() -> None:
    made = [new_id("event") for _ in range(5000)]
    assert made == sorted(made)


def test_threads_never_get_the_same_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_id("work"), range(8000)))
    assert len(set(made)) == len(made)


def test_an_id_is_told_from_those_of_other_things() -> None:
    assert is_id(new_id("job"), prefix="job")


@pytest.mark.parametrize("text", ["", "job_", "x", new_id("file"), f"{new_id('job')}x", "job_\n"])
def test_what_is_no_id_of_this_kind_is_told(text: str) -> None:
    assert not is_id(text, prefix="job")
