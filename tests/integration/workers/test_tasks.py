from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.integration.workers.conftest import House

LOOK = "from workers.tasks import something_waits; print(something_waits('corpus'))"


def look(database_url: str) -> str:
    """What a Celery worker sees that hears a ring of the queue for corpora."""
    environment = {**os.environ, "PRETRAINER_DATABASE_URL": database_url}
    answer = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


@pytest.mark.parametrize("engine_name", ["sqlite"])
def test_ring_that_comes_too_late_starts_no_runner(house: House) -> None:
    url = house.settings["database_url"]
    assert look(url) == "False"
    house.new_corpus(text="Something to read.")
    assert look(url) == "True"


def test_worker_that_cannot_look_leaves_it_to_a_runner() -> None:
    assert look("postgresql://nobody@127.0.0.1:1/nothing") == "True"
