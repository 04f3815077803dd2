"""What the follower of a target looks at, and when."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from turnout.service.runs.follower import Follower
from turnout.spec.errors import TargetError
from turnout.spec.targets import Observation, ObservedState


class FakeTarget:
    """Counts looks; raises `errors` first."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.looks: dict[str, int] = {}

    async def observe(self, handles: Sequence[str]) -> dict[str, Observation]:
        if self.errors:
            raise self.errors.pop(0)
        for handle in handles:
            self.looks[handle] = self.looks.get(handle, 0) + 1
        return {handle: Observation(ObservedState.RUNNING) for handle in handles}


class Pool:
    def __init__(self, target: FakeTarget) -> None:
        self.target = target

    async def get(self, name: str) -> FakeTarget:
        return self.target


def follower(target: FakeTarget, blame: Any = None) -> Follower:
    async def say(runs: Sequence[str], message: str) -> None:
        pass

    pool: Any = Pool(target)
    return Follower("lab", pool, 0.05, lambda run, seen: None, blame or say)


async def test_hints_of_one_run_hide_no_other() -> None:
    target = FakeTarget()
    made = follower(target)
    made.follow("loud.1", "loud")
    made.follow("silent.1", "silent")
    task = asyncio.create_task(made.loop())
    while target.looks.get("silent.1", 0) < 4:
        made.hint(["loud.1"])
        await asyncio.sleep(0.005)
    task.cancel()
    assert target.looks["loud.1"] > target.looks["silent.1"]


@pytest.mark.parametrize("error", [KeyError("state"), TargetError("gone", retryable=True)])
async def test_no_fault_ends_it(error: Exception) -> None:
    target = FakeTarget(error)

    async def fails(runs: Sequence[str], message: str) -> None:
        raise OSError("the disk is full")

    made = follower(target, fails)
    made.follow("a.1", "a")
    task = asyncio.create_task(made.loop())
    while not target.looks.get("a.1"):
        assert not task.done()
        await asyncio.sleep(0.01)
    task.cancel()
