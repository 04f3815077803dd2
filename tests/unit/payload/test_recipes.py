"""Recipes: built once, by whoever comes first; failures shared with those who waited."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout.payload import prefixes, recipes, rundir
from turnout.payload.logs import Log
from turnout.payload.processes import StartError
from turnout.payload.recipes import Builder, PrepareError

KEY = "k" * 64
#: As uv says it.
NO_SOLUTION = "\N{MULTIPLICATION SIGN} No solution found\n  because numpy<0"


def make_recipe(*steps: str, **more: Any) -> dict[str, Any]:
    """A recipe whose first step stands for the lock; `act` of the run decides what it leaves."""
    made = [
        {"message": f"Step {s}", "argv": [s, "{uv}", "{prefix}"], "env": {"A": "{files}"}}
        for s in steps
    ]
    return {
        "key": KEY,
        "label": "two packages",
        "tools": {"uv": "d" * 64},
        "files": {"requirements.txt": "numpy\n"},
        "lock": made[:1],
        "build": made[1:],
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
        self.locks = "numpy 2"
        self.act = act
        self.builder = Builder(
            str(root), {"{python}": "py"}, self.log, self.execute, time.sleep, self.said.append
        )

    def execute(self, argv: list[str], env: dict[str, str], log: Log) -> int:
        self.executed.append((argv, env))
        if "A" in env:
            files = Path(env["A"])
            self.requirements = (files / "requirements.txt").read_text()
            (files / "lock").write_text(self.locks)
        return self.act(log)

    def ensure(self, recipe: dict[str, Any]) -> recipes.Activation:
        try:
            return recipes.ensure(self.builder, recipe)
        finally:
            self.log.close()

    def text(self) -> str:
        return self.path.read_text() if self.path.exists() else ""


def prefix_of(root: Path, lock: str = "numpy 2") -> Path:
    return root / "environments" / hashlib.sha256(lock.encode()).hexdigest()


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    """What a process holds it holds to its end; here the process goes on."""
    yield
    prefixes.let_go()


def test_a_recipe_is_carried_out_once(tmp_path: Path) -> None:
    prefix = str(prefix_of(tmp_path))
    uv = str(tmp_path / "tools" / ("d" * 64) / "uv")
    first = Run(tmp_path, "first")
    activation = first.ensure(make_recipe("resolve", "install"))
    assert [argv for argv, _ in first.executed] == [["resolve", uv, ""], ["install", uv, prefix]]
    assert first.requirements == "numpy\n"
    assert activation.argv_prefix == [prefix + "/bin/python"]
    assert activation.env == {"VIRTUAL_ENV": prefix}
    assert activation.path == [prefix + "/bin"]
    assert Path(activation.lock).read_text() == "numpy 2"
    assert first.said == ["Step resolve", "Step install"]
    assert "Step install" in first.text()
    ready = Path(prefix) / "ready"
    os.utime(ready, (1, 1))
    second = Run(tmp_path, "second")
    assert second.ensure(make_recipe("resolve")).argv_prefix == activation.argv_prefix
    assert (second.executed, second.said, second.text()) == ([], [], "")
    assert ready.stat().st_mtime > 1
    (row,) = prefixes.known(str(tmp_path))
    assert (row["label"], row["ready"], row["in_use"]) == ("two packages", True, True)
    assert row["used_at"] == ready.stat().st_mtime


def test_other_requests_with_an_equal_lock_share_the_environment(tmp_path: Path) -> None:
    one = Run(tmp_path, "one").ensure(make_recipe("lock", "build"))
    other = Run(tmp_path, "other")
    two = other.ensure(make_recipe("lock", "build", key="e" * 64))
    assert two.argv_prefix == one.argv_prefix
    assert [argv[0] for argv, _ in other.executed] == ["lock"]
    third = Run(tmp_path, "third")
    third.locks = "numpy 3"
    assert third.ensure(make_recipe("lock", "build", key="f" * 64)).argv_prefix != one.argv_prefix


def test_what_was_made_or_found_is_held_to_the_end(tmp_path: Path) -> None:
    for key in ("d" * 64, "e" * 64, "e" * 64):  # made; found by its lock; known
        Run(tmp_path, "run").ensure(make_recipe("lock", "build", key=key))
        (row,) = prefixes.known(str(tmp_path))
        assert row["in_use"]
        prefixes.let_go()


def test_a_failure_before_we_asked_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(PrepareError):
        Run(tmp_path, "first", fail).ensure(make_recipe("s"))
    path = tmp_path / "requests" / f"{KEY}.failed"
    rundir.write_json(str(path), {"at": time.time() + 60, "message": "not ours"})
    Run(tmp_path, "second").ensure(make_recipe("s"))


def tell(word: dict[str, str]) -> bytes:
    return b"\x1e" + json.dumps(word).encode() + b"\n"


def test_what_build_programs_say(tmp_path: Path) -> None:
    def act(log: Log) -> int:
        data = b"plain\n" + tell({"status": "Downloading 1 of 2"}) + tell({"note": "other"})
        data += b"no newline \x1e in the middle\n" + tell({"note": "other"}) + b"\x1enonsense\n"
        for at in range(0, len(data), 3):
            log.write(data[at : at + 3])
        return 0

    run = Run(tmp_path, "run", act)
    found = run.ensure(make_recipe("lock"))
    assert run.said == ["Step lock", "Downloading 1 of 2"]
    assert found.notes == ["other"]
    assert "plain\nno newline \x1e in the middle\n" in run.text()
    assert "other" not in run.text()
    assert Run(tmp_path, "next").ensure(make_recipe()).notes == ["other"]


def test_an_explanation_stands_for_the_log(tmp_path: Path) -> None:
    def act(log: Log) -> int:
        log.write(b"a lot of words\n" + tell({"error": "There is no package 'x'."}))
        return 1

    with pytest.raises(PrepareError) as caught:
        Run(tmp_path, "run", act).ensure(make_recipe("lock"))
    assert str(caught.value) == "There is no package 'x'."


def test_what_was_damaged_is_made_again(tmp_path: Path) -> None:
    made = make_recipe("lock", "build", verify=["look", "{prefix}"])
    Run(tmp_path, "one").ensure(made)
    fine = Run(tmp_path, "two")
    fine.ensure(made)
    assert [argv for argv, _ in fine.executed] == [["look", str(prefix_of(tmp_path))]]
    results = iter([1, 0, 0])
    damaged = Run(tmp_path, "three", lambda log: next(results))
    damaged.ensure(made)
    assert [argv[0] for argv, _ in damaged.executed] == ["look", "lock", "build"]


def test_a_python_that_was_removed_from_the_host(tmp_path: Path) -> None:
    base = tmp_path / "python3"
    base.touch()

    def act(log: Log) -> int:
        python = prefix_of(tmp_path) / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.unlink(missing_ok=True)
        python.symlink_to(base)
        return 0

    made = make_recipe("lock", "build")
    Run(tmp_path, "one", act).ensure(made)
    known = Run(tmp_path, "two", act)
    known.ensure(made)
    assert known.executed == []
    base.rename(tmp_path / "python3.99")
    again = Run(tmp_path, "three", act)
    again.ensure(made)
    assert [argv[0] for argv, _ in again.executed] == ["lock", "build"]
    assert "not as it was left" in again.text()


@pytest.mark.parametrize("text", ["", "[]", "{}", '"x"', '{"environment": "zz", "at": 1}'])
def test_a_damaged_request_is_made_again(tmp_path: Path, text: str) -> None:
    for ending in ("json", "failed"):
        rundir.make_folder(str(tmp_path / "requests"))
        (tmp_path / "requests" / f"{KEY}.{ending}").write_text(text)
    made = make_recipe("lock", "build")
    assert not recipes.is_ready(str(tmp_path), made)
    run = Run(tmp_path, "run")
    run.ensure(made)
    assert len(run.executed) == 2


def test_what_a_program_says_before_much_output_is_heard(tmp_path: Path) -> None:
    def act(log: Log) -> int:
        log.write(tell({"error": "There is no package 'x'."}) + b"x" * (recipes.WORD_LIMIT + 1))
        return 1

    with pytest.raises(PrepareError, match=r"^There is no package 'x'\.$"):
        Run(tmp_path, "run", act).ensure(make_recipe("lock"))


def test_nothing_stays_of_a_build_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "requests" / f"{KEY}.files").mkdir(parents=True)
    (tmp_path / "requests" / f"{KEY}.log").write_text("half")
    Run(tmp_path, "run").ensure(make_recipe("lock", "build"))
    assert list((tmp_path / "trash").iterdir()) == []


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run = Run(tmp_path, "run")
    monkeypatch.setattr(rundir, "write_all", full)
    with pytest.raises(PrepareError, match="The disk is full") as caught:
        run.ensure(make_recipe("lock", "build"))
    assert "None" not in str(caught.value)


def test_words_are_filled_in_once() -> None:
    words = {"{root}": "/a{uv}", "{uv}": "/b{root}"}
    assert recipes.fill("{root} {uv} {other} {}", words) == "/a{uv} /b{root} {other} {}"


def test_no_lock_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="left no lock"):
        Run(tmp_path, "a").ensure(make_recipe())


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
    prefix = prefix_of(tmp_path)
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
    (tmp_path / "requests").mkdir()
    lock = os.open(tmp_path / "requests" / (KEY + ".lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    run = Run(tmp_path, "a")
    run.builder.pause = lambda seconds: os.close(lock)
    run.ensure(make_recipe("s"))
    assert len(run.executed) == 1


def test_an_earlier_failure_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "requests").mkdir()
    rundir.write_json(
        str(tmp_path / "requests" / (KEY + ".failed")),
        {"at": time.time() - 1, "message": "old"},
    )
    lock = os.open(tmp_path / "requests" / (KEY + ".lock"), os.O_RDWR | os.O_CREAT)
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
