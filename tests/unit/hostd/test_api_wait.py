"""Who waits for many tasks is told of several at once: each look costs as much as all of them."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from hostd import intervals
from hostd.api import Api
from hostd.bus import Bus


class _Counting(Api):
    """An API whose tasks run until the test ends them."""

    def __init__(self, bus: Bus) -> None:
        nothing = cast(Any, None)
        super().__init__(nothing, nothing, bus, nothing, lambda _topics: None, nothing)
        self.looks = 0
        self.state = "running"

    def _actor(self, body: dict[str, Any], *, log: bool) -> Any:
        return None

    def _rows(self, actor: Any, tasks: list[str]) -> list[dict[str, Any]]:
        self.looks += 1
        return [{"uuid": task, "state": self.state} for task in tasks]


def _storm(count: int) -> tuple[int, dict[str, Any]]:
    """Wait for so many tasks while there is news all the time; how often they were looked at, and the answer."""
    bus = Bus()
    api = _Counting(bus)

    async def run() -> dict[str, Any]:
        waiting = asyncio.create_task(api.wait({"tasks": [str(n) for n in range(count)], "seconds": 10}))
        for _ in range(100):
            bus.changed({"task"})
            await asyncio.sleep(0.003)
        api.state = "done"
        bus.changed({"task"})
        return await waiting

    answer = asyncio.run(run())
    return api.looks, answer


def test_a_storm_of_news_is_no_storm_of_looks() -> None:
    begin = time.monotonic()
    looks, answer = _storm(100)
    # One at once, one at the end, and between them the news of so many are gathered each time.
    assert looks <= 2 + (time.monotonic() - begin) / min(100 * intervals.WAIT_CALM_EACH, intervals.WAIT_CALM)
    assert {row["state"] for row in answer["tasks"]} == {"done"}


def test_one_task_is_told_of_at_once() -> None:
    async def run() -> int:
        bus = Bus()
        api = _Counting(bus)
        waiting = asyncio.create_task(api.wait({"tasks": ["a"], "since": bus.revision, "seconds": 10}))
        await asyncio.sleep(0.05)
        bus.changed({"task"})
        await asyncio.wait_for(waiting, 0.05)
        return api.looks

    assert asyncio.run(run()) == 2


def test_a_console_that_asks_again_and_again_is_answered_in_its_time() -> None:
    async def run() -> int:
        bus = Bus()
        api = _Counting(bus)
        since, end = -1, asyncio.get_running_loop().time() + 0.5
        while asyncio.get_running_loop().time() < end:
            bus.changed({"task"})
            tasks = [str(number) for number in range(100)]
            since = (await api.wait({"tasks": tasks, "since": since, "seconds": 1}))["revision"]
        return api.looks

    assert asyncio.run(run()) <= 5
