"""Recipes: built once, by whoever comes first; failures shared with those who waited."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from turnout.payload import recipes, rundir
from turnout.payload.logs import Log
from turnout.payload.processes import StartError
from turnout.payload.recipes import Builder, PrepareError

KEY = "k" * 64
#: As uv says it.
NO_SOLUTION = "\N{MULTIPLICATION SIGN} No solution found\n  because numpy<0"


def make_recipe(*steps: str, **more: Any) -> dict[str, Any]:
    return {
        "key": KEY,
        "label": "two packages",
        "tools": {"uv": "d" * 64},
        "files": {"requirements.txt": "numpy\n"},
        "steps": [
            {"message": f"Step {s}", "argv": [s, "{uv}", "{prefix}"], "env": {"A": "{files}"}}
            for s in steps
        ],
        "activation": {
            "argv_prefix": ["{prefix}/bin/python"],
            "env": {"VIRTUAL_ENV": "{prefix}"},
            "path": ["{prefix}/bin"],
        },
        **more,
    }


class Run:
    """A run that asks for an environment, and what it saw."""

    def __init__(self, root: Path, name: str, act: Callable[[Log], int] = lambda log: 0) -> None:
        self.log = Log(str(root / f"{name}.log"))
        self.path = root / f"{name}.log"
        self.executed: list[tuple[list[str], dict[str, str]]] = []
        self.said: list[str] = []
        self.requirements = ""
        self.act = act
        self.builder = Builder(str(root), self.log, self.execute, time.sleep, self.said.append)

    def execute(self, argv: list[str], env: dict[str, str], log: Log) -> int:
        self.executed.append((argv, env))
        self.requirements = (Path(env["A"]) / "requirements.txt").read_text()
        return self.act(log)

    def ensure(self, recipe: dict[str, Any]) -> recipes.Activation:
        try:
            return recipes.ensure(self.builder, recipe)
        finally:
            self.log.close()

    def text(self) -> str:
        return self.path.read_text() if self.path.exists() else ""


def test_a_recipe_is_carried_out_once(tmp_path: Path) -> None:
    prefix = str(tmp_path / "environments" / KEY)
    first = Run(tmp_path, "first")
    activation = first.ensure(make_recipe("venv", "install"))
    assert [argv for argv, _ in first.executed] == [
        [step, str(tmp_path / "tools" / ("d" * 64) / "uv"), prefix] for step in ("venv", "install")
    ]
    assert first.requirements == "numpy\n"
    assert activation.argv_prefix == [prefix + "/bin/python"]
    assert activation.env == {"VIRTUAL_ENV": prefix}
    assert activation.path == [prefix + "/bin"]
    assert first.said == ["Step venv", "Step install"]
    assert "Step install" in first.text()
    ready = Path(prefix) / "ready"
    os.utime(ready, (1, 1))
    second = Run(tmp_path, "second")
    assert second.ensure(make_recipe("venv")).argv_prefix == activation.argv_prefix
    assert (second.executed, second.said, second.text()) == ([], [], "")
    assert ready.stat().st_mtime > 1
    (row,) = recipes.known(str(tmp_path))
    assert (row["key"], row["label"], row["ready"]) == (KEY, "two packages", True)
    assert row["used_at"] == ready.stat().st_mtime


def test_nothing_to_build(tmp_path: Path) -> None:
    run = Run(tmp_path, "run")
    found = run.ensure({"key": None, "activation": {"argv_prefix": ["python3"]}})
    assert (found.argv_prefix, found.env, found.path) == (["python3"], {}, [])
    assert not (tmp_path / "environments").exists()


def fail(log: Log) -> int:
    log.write(b"Resolving\n" * 30 + NO_SOLUTION.encode() + b"\n")
    return 2


def test_a_failure_says_which_step_and_why_and_is_never_reused(tmp_path: Path) -> None:
    first = Run(tmp_path, "first", fail)
    with pytest.raises(PrepareError) as caught:
        first.ensure(make_recipe("install"))
    assert str(caught.value).startswith("Step install failed (exit code 2).\n")
    assert str(caught.value).endswith(NO_SOLUTION)
    assert "No solution" in first.text()
    assert not recipes.is_ready(str(tmp_path), make_recipe())
    second = Run(tmp_path, "second")
    second.ensure(make_recipe("install"))
    assert len(second.executed) == 1


def test_a_step_killed_by_a_signal_and_one_that_cannot_start(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=r"signal 9"):
        Run(tmp_path, "a", lambda log: -9).ensure(make_recipe("s"))

    def no_start(log: Log) -> int:
        raise StartError("There is no program 'uv' on the PATH.")

    with pytest.raises(PrepareError, match=r"Step s failed\. There is no program 'uv'"):
        Run(tmp_path, "b", no_start).ensure(make_recipe("s"))


def test_a_folder_without_ready_is_built_anew(tmp_path: Path) -> None:
    prefix = tmp_path / "environments" / KEY
    prefix.mkdir(parents=True)
    (prefix / "half").write_text("x")
    Run(tmp_path, "a").ensure(make_recipe("s"))
    assert not (prefix / "half").exists()
    assert (prefix / "ready").exists()


@pytest.mark.parametrize("fails", [False, True])
def test_those_who_wait_see_the_log_and_share_the_outcome(tmp_path: Path, fails: bool) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(log: Log) -> int:
        log.write(b"downloading numpy\n")
        started.set()
        assert go_on.wait(30)
        log.write(b"the end\n")
        return int(fails)

    builder = Run(tmp_path, "builder", slow)
    others = [Run(tmp_path, f"other{n}") for n in range(2)]
    outcomes: dict[str, str] = {}

    def ask(run: Run) -> None:
        try:
            outcomes[run.path.name] = run.ensure(make_recipe("s")).argv_prefix[0]
        except PrepareError as e:
            outcomes[run.path.name] = str(e)

    threads = [threading.Thread(target=ask, args=(builder,))]
    threads[0].start()
    assert started.wait(30)
    for run in others:
        threads.append(threading.Thread(target=ask, args=(run,)))
        threads[-1].start()
    while not all("downloading numpy" in run.text() for run in others):
        time.sleep(0.005)
    assert "Waiting for another run" in others[0].said[0]
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(set(outcomes.values())) == 1
    assert ("Step s failed" in outcomes["builder.log"]) is fails
    assert [run.executed for run in others] == [[], []]


def test_one_who_waited_for_a_builder_that_was_killed_builds(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    lock = os.open(tmp_path / "environments" / (KEY + ".lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    run = Run(tmp_path, "a")
    run.builder.pause = lambda seconds: os.close(lock)
    run.ensure(make_recipe("s"))
    assert len(run.executed) == 1


def test_an_earlier_failure_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    rundir.write_json(
        str(tmp_path / "environments" / (KEY + ".failed")),
        {"at": time.time() - 1, "message": "old"},
    )
    lock = os.open(tmp_path / "environments" / (KEY + ".lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    run = Run(tmp_path, "a")
    run.builder.pause = lambda seconds: os.close(lock)
    run.ensure(make_recipe("s"))
    assert len(run.executed) == 1


def test_names_that_would_leave_their_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="cannot name an environment"):
        Run(tmp_path, "a").ensure(make_recipe("s", key="../x"))
    with pytest.raises(PrepareError, match="names a file"):
        Run(tmp_path, "b").ensure(make_recipe("s", files={"../x": "y"}))
