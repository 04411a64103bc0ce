from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.serve import serve_api, serve_worker
from core.errors import InvalidRequest
from core.settings import Settings

PARTS: dict[str, Callable[[Settings], object]] = {
    "api": serve_api,
    "worker": lambda settings: serve_worker(settings, queues=["corpus"], concurrency=1),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_could_reach_no_broker_does_not_begin(part: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="PRETRAINER_BROKER_URL") as caught:
        PARTS[part](Settings(data_dir=tmp_path, broker_url=""))
    assert caught.value.param == "broker_url"
