"""What a queue makes of files and of what Slurm said last, where the two do not agree."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path
from typing import Any

import pytest

from turnout.payload import rundir
from turnout.payload.slurm import node, queue
from turnout.payload.slurm.batches import Handover
from turnout.payload.slurm.children import Children
from turnout.payload.slurm.commands import Row
from turnout.payload.slurm.places import POINTER, batch_path
from turnout.payload.slurm.queue import Queue

RUN = "e_1_ab.1"


@pytest.fixture
def asked(tmp_path: Path) -> Queue:
    root = str(tmp_path)
    handover = Handover(root, "/payload", "/store", "/python")
    return Queue(root, handover, Children(select.poll()), lambda handles: None)


@pytest.fixture
def folder(asked: Queue) -> str:
    """Of a run that Slurm took as the only one of batch "new"."""
    folder = rundir.make_folder(rundir.run_folder(asked.root, RUN))
    rundir.write_json(str(Path(folder) / rundir.TICKET), {"run": "e_1_ab"})
    rundir.write_json(str(Path(folder) / POINTER), {"batch": "new", "index": 0})
    record: dict[str, Any] = {"handles": [RUN], "at": time.time() - 60, "number": "2"}
    rundir.write_json(batch_path(asked.root, "new"), record)
    return folder


def says(asked: Queue, batch: str, state: str, at: float | None = None) -> None:
    """Slurm answered."""
    row = Row("2", state, "n1", "main", batch, 0, "")
    asked.rows[batch, 0] = row
    asked.answered_at = time.time() if at is None else at


def ended(folder: str, reason: str, number: int | None = None) -> None:
    rundir.write_json(str(Path(folder) / rundir.EXIT), {"reason": reason, "signal": number})


def test_the_batch_that_began_is_the_runs(asked: Queue, folder: str) -> None:
    """Slurm's answer to the first handing over did not come in time, so there was a second."""
    assert node.claim(folder, "old", 0)
    assert not node.claim(folder, "new", 0)
    says(asked, "new", "COMPLETED")
    says(asked, "old", "RUNNING")
    assert asked.observe(RUN)["state"] == "preparing"
    assert not (Path(folder) / rundir.EXIT).exists()


def test_an_end_that_comes_late_through_a_shared_file_system(
    asked: Queue, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert node.claim(folder, "new", 0)
    says(asked, "new", "COMPLETED")
    assert asked.observe(RUN)["state"] == "running"
    ended(folder, "exited")
    assert asked.observe(RUN)["exit"]["reason"] == "exited"


def test_an_end_that_never_comes(
    asked: Queue, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "UNKNOWN_S", 0.0)
    assert node.claim(folder, "new", 0)
    says(asked, "new", "COMPLETED")
    assert asked.observe(RUN)["exit"]["reason"] == "node"


def test_who_ended_a_run_is_known_when_slurm_was_asked(asked: Queue, folder: str) -> None:
    """An agent that has just begun knows nothing of runs whose nodes were taken back."""
    assert node.claim(folder, "new", 0)
    ended(folder, "stopped")
    assert asked.observe(RUN)["state"] == "running"
    assert RUN in asked.followed
    says(asked, "new", "PREEMPTED")
    assert asked.observe(RUN)["exit"]["reason"] == "preempted"


def test_who_ended_a_run_that_slurm_forgot(asked: Queue, folder: str) -> None:
    assert node.claim(folder, "new", 0)
    ended(folder, "stopped")
    asked.answered_at = time.time() - 60
    assert asked.observe(RUN)["state"] == "running"
    asked.answered_at = time.time() + 1
    assert asked.observe(RUN)["exit"]["reason"] == "stopped"


@pytest.mark.parametrize(
    ("state", "reason"),
    [("CANCELLED", "stopped"), ("PREEMPTED", "preempted"), ("COMPLETED", "signaled")],
)
def test_a_script_that_slurms_signal_reached_before_its_supervisor(
    asked: Queue, folder: str, state: str, reason: str
) -> None:
    assert node.claim(folder, "new", 0)
    ended(folder, "signaled", 15)
    says(asked, "new", "COMPLETING")
    assert asked.observe(RUN)["state"] == "running"
    says(asked, "new", state)
    assert asked.observe(RUN)["exit"]["reason"] == reason


def test_a_claim_without_links(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert node.claim(folder, "new", 0)
    assert not node.claim(folder, "old", 0)
    assert rundir.read_mapping(str(Path(folder) / "slurm.begun"))["batch"] == "new"


def test_a_batch_is_looked_for_once(
    asked: Queue, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked sbatch was killed before its answer came, and Slurm does not answer now."""
    squeue = tmp_path / "bin" / "squeue"
    squeue.parent.mkdir()
    squeue.write_text(f"#!/bin/sh\necho x >> {tmp_path}/calls\nexit 1\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}:/bin:/usr/bin")
    handles = [f"e_{number}_ab.1" for number in range(5)]
    for handle in handles:
        there = rundir.make_folder(rundir.run_folder(asked.root, handle))
        rundir.write_json(str(Path(there) / POINTER), {"batch": "lost", "index": 0})
    rundir.write_json(batch_path(asked.root, "lost"), {"handles": handles, "number": None})
    assert asked.handover.carry_out(handles) == ""
    assert (tmp_path / "calls").read_text() == "x\n"


def test_sbatch_hands_on_what_the_person_has(
    asked: Queue, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f"#!/bin/sh\nenv > {tmp_path}/env\necho 7\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:/bin:/usr/bin")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    rundir.remove_quietly(str(Path(folder) / POINTER))
    assert asked.handover.carry_out([RUN]) == ""
    variables = (tmp_path / "env").read_text().splitlines()
    assert "LC_ALL=C.UTF-8" in variables
    assert not [line for line in variables if line.startswith("SLURM_BITSTR_LEN=")]
