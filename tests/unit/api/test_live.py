from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from api.live import EventWatch
from core.errors import Unavailable


class Counters:
    """What the database would say."""

    def __init__(self) -> None:
        self.values = {"project_1": 5, "project_2": 0}
        self.num_reads = 0
        self.is_away = False

    def read(self, project_ids: Collection[str]) -> Mapping[str, int]:
        self.num_reads += 1
        if self.is_away:
            raise Unavailable("The database is away.")
        return {project_id: self.values[project_id] for project_id in project_ids}


def watching(counters: Counters) -> EventWatch:
    return EventWatch(counters.read, poll_seconds=0.001)


def test_who_is_behind_is_woken_and_who_is_not_waits_for_the_next_event() -> None:
    async def scenario() -> list[bool]:
        counters = Counters()
        watch = watching(counters)
        behind = await watch.wait("project_1", after=4, timeout_seconds=30)
        waiter = asyncio.create_task(watch.wait("project_1", after=5, timeout_seconds=30))
        early, _ = await asyncio.wait([waiter], timeout=0.05)
        counters.values["project_1"] = 6
        news = await waiter
        await watch.close()
        return [behind, not early, news]

    assert asyncio.run(scenario()) == [True, True, True]


def test_waiting_ends_with_the_time() -> None:
    async def scenario() -> bool:
        watch = watching(Counters())
        has_news = await watch.wait("project_2", after=0, timeout_seconds=0.02)
        await watch.close()
        return has_news

    assert asyncio.run(scenario()) is False


def test_many_who_wait_cost_one_poller_and_nobody_costs_none() -> None:
    def pollers() -> list[asyncio.Task[object]]:
        return [task for task in asyncio.all_tasks() if task.get_name() == "event-watch"]

    async def scenario() -> int:
        watch = watching(Counters())
        waits = [watch.wait("project_2", after=0, timeout_seconds=0.05) for _ in range(100)]
        waiting = asyncio.gather(*waits)
        await asyncio.sleep(0)
        found = pollers()
        await waiting
        await asyncio.wait(found, timeout=30)  # it notices that nobody waits
        return len(found) if not pollers() else -1

    assert asyncio.run(scenario()) == 1


def test_a_database_that_is_away_only_delays_the_news() -> None:
    async def scenario() -> bool:
        counters = Counters()
        counters.is_away = True
        watch = watching(counters)
        waiter = asyncio.create_task(watch.wait("project_1", after=4, timeout_seconds=30))
        while counters.num_reads < 3:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.001)
        counters.is_away = False
        has_news = await waiter
        await watch.close()
        return has_news

    assert asyncio.run(scenario()) is True


def test_a_stopping_process_sends_everybody_home() -> None:
    async def scenario() -> list[bool]:
        watch = watching(Counters())
        waiter = asyncio.create_task(watch.wait("project_2", after=0, timeout_seconds=30))
        await asyncio.sleep(0)
        watch.stop()
        answers = [await waiter, await watch.wait("project_1", after=0, timeout_seconds=30)]
        await watch.close()
        return answers

    assert asyncio.run(scenario()) == [False, False]
