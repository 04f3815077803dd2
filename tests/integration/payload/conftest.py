"""Agents with a host root of their own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout.payload import rundir

# Test modules are imported by path: what they share is found beside them.
sys.path.insert(0, str(Path(__file__).parent))

from agent_driver import Driver, unpack_payload
from container_driver import IMAGE, Boxed, Engine


@pytest.fixture(scope="session")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_payload(tmp_path_factory.mktemp("payload"))


def end_supervisors(root: Path) -> None:
    """Nothing of a failed test may live on."""
    for status in root.glob("runs/*/" + rundir.STATUS):
        found = rundir.read_json(str(status)) or {}
        if not (status.parent / rundir.EXIT).exists():
            for pid in (found.get("pid"), found.get("script_pid")):
                try:
                    os.kill(pid or 0, signal.SIGKILL) if pid else None
                except ProcessLookupError:
                    continue


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "host"
    end_supervisors(tmp_path / "host")


@pytest.fixture
def make_agent(root: Path, payload: Path) -> Iterator[Callable[..., Driver]]:
    made: list[Driver] = []

    def make(**more: Any) -> Driver:
        made.append(Driver(more.pop("root", root), more.pop("payload", payload), **more))
        return made[-1]

    yield make
    for agent in made:
        agent.close()


@pytest.fixture
def agent(make_agent: Callable[..., Driver]) -> Driver:
    return make_agent()


@pytest.fixture
def boxed(agent: Driver, payload: Path, docker: Engine, tmp_path: Path) -> Boxed:
    return Boxed(agent, payload, docker, tmp_path)


@pytest.fixture
def mortal(base_archive: Path) -> Iterator[Engine]:
    """An engine that takes its containers along."""
    with Engine() as found:
        found.import_image(base_archive, IMAGE)
        yield found
