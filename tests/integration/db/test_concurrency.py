from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.lifecycle import WorkKind
from db.engine import Database
from db.tables import Job, Work

NUM_PROCESSES = 4
NUM_WORKS = 100


@pytest.mark.slow
def test_claims_of_four_processes_never_give_the_same_work_twice(
    database: Database, database_url: str
) -> None:
    with database.unit_of_work(write=True) as uow:
        works = {
            uow.work.add(Work(kind=WorkKind.JOB, subject_id=f"job_{number}", queue="train.1")).id
            for number in range(NUM_WORKS)
        }
        uow.commit()
    claimers = [
        subprocess.Popen(
            [
                sys.executable,
                Path(__file__).with_name("claimer.py"),
                database_url,
                f"owner-{number}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
            env={"PYTHONPATH": str(Path(__file__).parents[3])},
        )
        for number in range(NUM_PROCESSES)
    ]
    assert hear(claimers) == ["ready\n"] * NUM_PROCESSES
    say_go(claimers)
    first = hear(claimers)
    say_go(claimers)
    claimed = [
        (line + claimer.communicate(timeout=60)[0]).split()
        for line, claimer in zip(first, claimers, strict=True)
    ]
    assert [claimer.returncode for claimer in claimers] == [0] * NUM_PROCESSES
    times_claimed = Counter(work_id for words in claimed for work_id in words[::2])
    assert times_claimed == Counter(works)
    assert {fence for words in claimed for fence in words[1::2]} == {"1"}


def hear(claimers: Sequence[subprocess.Popen[str]]) -> list[str]:
    """The next line of each."""
    lines = []
    for claimer in claimers:
        assert claimer.stdout is not None
        lines.append(claimer.stdout.readline())
    return lines


def say_go(claimers: Sequence[subprocess.Popen[str]]) -> None:
    for claimer in claimers:
        assert claimer.stdin is not None
        claimer.stdin.write("go\n")
        claimer.stdin.flush()


def test_reading_and_then_writing_in_a_storm_loses_nothing_and_never_fails(
    database: Database,
) -> None:
    with database.unit_of_work(write=True) as uow:
        job = uow.jobs.add(Job(name="job", request={}))
        uow.commit()

    def advance(_: int) -> None:
        with database.unit_of_work(write=True) as uow:
            uow.jobs.get(job.id, lock=True).step += 1
            uow.commit()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(advance, range(200)))
    with database.unit_of_work() as uow:
        assert uow.jobs.get(job.id).step == 200


def test_a_reader_who_follows_the_numbers_misses_no_event_and_sees_none_twice(
    database: Database,
) -> None:
    num_writers, num_commits = 4, 25
    seen: list[tuple[int, str]] = []

    def write(writer: int) -> None:
        for commit in range(num_commits):
            with database.unit_of_work(write=True) as uow:
                for part in range(2):
                    uow.record_event("job.progress", message=f"{writer}/{commit}/{part}")
                uow.commit()

    def follow() -> None:
        while len(seen) < 2 * num_writers * num_commits:
            with database.unit_of_work() as uow:
                last = seen[-1][0] if seen else 0
                seen.extend((event.number, event.message) for event in uow.events.read_after(last))

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    with ThreadPoolExecutor(num_writers) as pool:
        list(pool.map(write, range(num_writers)))
    follower.join(timeout=120)
    assert [number for number, _ in seen] == list(range(1, 2 * num_writers * num_commits + 1))
    assert len({message for _, message in seen}) == len(seen)
