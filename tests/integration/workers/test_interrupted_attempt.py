"""An attempt whose runner cannot go on while the child still works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from core.errors import LeaseLost
from core.processes import ProcessIdentity
from services import attempts
from services.attempts import Claim
from tests.integration.workers.conftest import House, story
from workers.heartbeat import Heartbeat
from workers.kinds.corpus_child import CorpusChild, Unfinished
from workers.messages import FromChild
from workers.workplace import Workplace

# Processes and pipes: the database takes no part in what is tested here.
pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"])


def claim_of_new_corpus(house: House) -> Claim:
    house.new_corpus()
    with house.database.unit_of_work(project_id=None, write=True) as uow:
        claim = attempts.begin(
            uow, queues=["corpus"], process=ProcessIdentity.of(os.getpid()), lease_seconds=30
        )
        uow.commit()
    assert claim is not None
    return claim


def workplace(house: House) -> Workplace:
    return Workplace(
        settings=house.configured(),
        database=house.database,
        store=house.store,
        doorbell=house.doorbell,
        drain=threading.Event(),
    )


def test_no_child_goes_on_when_what_it_says_cannot_be_written(house: House) -> None:
    claim = claim_of_new_corpus(house)
    directory = house.directory / "attempt"
    directory.mkdir(parents=True)
    text = house.directory / "story.txt"
    text.write_text(story(1, num_sentences=20_000))
    place = workplace(house)

    def refuse(message: FromChild) -> None:
        raise LeaseLost(f"{message.type} is news of somebody else's work")

    heartbeat = Heartbeat(house.database, claim, settings=place.settings)
    file = {"path": str(text), "filename": "story.txt", "sha256": "5" * 64, "id": "file_story"}
    task: dict[str, Any] = {
        "make": "piece",
        "files": [file],
        "evaluation_file": None,
        "options": {},
        "directory": str(directory / "made"),
    }
    try:
        with CorpusChild(place, claim, directory) as worker:
            with pytest.raises(LeaseLost):
                worker.do(task, lease=heartbeat, on_message=refuse, on_tick=lambda: None)
            child = ProcessIdentity.from_json(json.loads((directory / "child.json").read_text()))
            assert child.is_known_dead
            # of the pieces of a corpus, another may still be ours
            made = worker.do(task, lease=heartbeat, on_message=lambda _: None, on_tick=lambda: None)
            assert made["num_documents"] == 1
    finally:
        heartbeat.stop()


def test_child_that_has_died_is_replaced_for_the_next_task(house: House) -> None:
    claim = claim_of_new_corpus(house)
    place = workplace(house)
    text = house.directory / "story.txt"
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text(story(1, num_sentences=50))
    directory = house.directory / "attempt"
    heartbeat = Heartbeat(house.database, claim, settings=place.settings)

    def read(worker: CorpusChild) -> int:
        task: dict[str, Any] = {
            "make": "piece",
            "files": [
                {"path": str(text), "filename": "story.txt", "sha256": "5" * 64, "id": "file_story"}
            ],
            "evaluation_file": None,
            "options": {},
            "directory": str(directory / "made"),
        }
        made = worker.do(task, lease=heartbeat, on_message=lambda _: None, on_tick=lambda: None)
        assert made["num_documents"] == 1
        return ProcessIdentity.from_json(json.loads((directory / "child.json").read_text())).pid

    try:
        with CorpusChild(place, claim, directory) as worker:
            first = read(worker)
            assert read(worker) == first
            os.killpg(first, signal.SIGKILL)
            with pytest.raises(Unfinished) as killed:
                read(worker)
            assert killed.value.ending.exit_code == -signal.SIGKILL
            last = read(worker)
            assert last != first
        assert not Path(f"/proc/{last}").exists()
    finally:
        heartbeat.stop()


def test_what_a_killed_runner_left_on_this_host_goes_with_the_next_attempt(house: House) -> None:
    place = workplace(house)
    scratch = place.settings.scratch_dir
    with subprocess.Popen(["sleep", "60"]) as killed:
        for name, runner in (("work_killed", killed.pid), ("work_alive", os.getpid())):
            directory = scratch / name / "f1"
            directory.mkdir(parents=True)
            identity = ProcessIdentity.of(runner)
            (directory / "runner.json").write_text(json.dumps(identity.as_json()))
        killed.kill()
    with place.scratch(claim_of_new_corpus(house)):
        assert not (scratch / "work_killed").exists()
        assert (scratch / "work_alive" / "f1").exists()
    assert [left.name for left in scratch.iterdir()] == ["work_alive"]
