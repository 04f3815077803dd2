"""Quotas on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.acceptance.conftest import Shell


def test_see_set_pass_and_raise(shell: Shell, tmp_path: Path) -> None:
    shell.cwd = tmp_path
    (tmp_path / "train.py").write_text("print('hello')\n")
    assert shell.run("quota", "set", "runs", "0")[0] == "runs = 0 (0 in use)\n"
    out = shell.run("quota", "show")[0]
    assert "runs     0       0      none" in out
    assert "standardNCFamily" not in out
    assert "cores:standardNCFamily" in shell.run("quota", "show", "--all")[0]
    error = shell.fails("submit", "train.py")
    command = error.rpartition("Raise it: turnout ")[2].split()
    assert command == ["quota", "set", "runs", "1"]
    shell.run(*command)
    assert "hello" in shell.run("submit", "train.py")[0]
    assert "it holds at once" in shell.run("quota", "request", "runs", "5")[0]
    (view,) = json.loads(shell.run("quota", "show", "Runs", "--json")[0])
    assert view == {"name": "runs", "limit": 5, "used": 0, "default": None}
    shell.run("quota", "unset", "runs")
    assert "runs     0       none   none" in shell.run("quota", "show")[0]


def test_what_is_no_quota(shell: Shell) -> None:
    for command in (("show", "target"), ("set", "target", "1"), ("unset", "target")):
        assert "did you mean 'targets'" in shell.fails("quota", *command)
