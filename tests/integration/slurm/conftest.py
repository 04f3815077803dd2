"""One Slurm for all tests of this folder; its commands are found by the variable SLURM_CONF."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.slurm.on_slurm import OnSlurm, made

from turnout.testing.dockerd import Unavailable
from turnout.testing.missing import missing
from turnout.testing.slurm import PATH, Slurm


@pytest.fixture(scope="session")
def shared_slurm() -> Iterator[Slurm]:
    try:
        with Slurm(partitions={"main": "", "short": "MaxTime=10"}) as slurm:
            yield slurm
    except Unavailable as e:
        missing(e)


@pytest.fixture
def slurm(shared_slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    """The shared one, for services and agents that this test starts."""
    use(shared_slurm, monkeypatch)
    yield shared_slurm
    shared_slurm.settle()


def use(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", slurm.environ["SLURM_CONF"])
    monkeypatch.setenv("PATH", PATH)
    assert os.environ["SLURM_CONF"]


@pytest.fixture
async def service(tmp_path: Path, slurm: Slurm) -> AsyncIterator[OnSlurm]:
    async with made(OnSlurm(tmp_path / "home")) as service:
        yield service


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a Slurm of another form, for one test."""
    running: list[Slurm] = []

    def make(**options: Any) -> Slurm:
        try:
            slurm = Slurm(**options)
        except Unavailable as e:
            missing(e)
        running.append(slurm.__enter__())
        monkeypatch.setenv("SLURM_CONF", slurm.environ["SLURM_CONF"])
        monkeypatch.setenv("PATH", PATH)
        return slurm

    yield make
    for slurm in running:
        slurm.__exit__()
