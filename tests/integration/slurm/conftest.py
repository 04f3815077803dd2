"""One Slurm for all tests of this folder; its commands are found by the variable SLURM_CONF."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

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
