"""What a supervisor does when the disk takes nothing any more."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from turnout.payload import rundir, supervisor
from turnout.payload.store import Store


class Full:
    """A file on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        self.write("")


def test_a_status_that_cannot_be_written_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "exp_1.1").mkdir(parents=True)
    store = Store(str(tmp_path / "store"))
    made = supervisor.Supervisor(str(tmp_path), store, "/payload", "exp_1.1")
    told: list[str] = []
    made.follower = SimpleNamespace(changed=lambda: told.append("changed"))  # type: ignore[assignment]

    def full(path: str, value: object) -> None:
        Full().write("")

    monkeypatch.setattr(rundir, "write_json", full)
    monkeypatch.setattr(sys, "stderr", Full())
    made.set_status("running", "", 1)
    assert told == ["changed"]
