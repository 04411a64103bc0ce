from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

from core.ids import new_id


def test_an_id_is_its_prefix_and_a_lower_case_ulid() -> None:
    assert re.fullmatch(r"job_[0-7][0-9a-hjkmnp-tv-z]{25}", new_id("job"))


def test_later_ids_sort_after_earlier_ones() -> None:
    made = [new_id("event") for _ in range(5000)]
    assert made == sorted(made)


def test_threads_never_get_the_same_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_id("work"), range(8000)))
    assert len(set(made)) == len(made)
