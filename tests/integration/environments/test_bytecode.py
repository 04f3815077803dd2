"""Bytecode is compiled once for each package of a host, and is what Python itself would take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from turnout.payload import processes
from turnout.payload.builds import bytecode
from turnout.testing.waiting import is_running, wait_until

TAG = str(sys.implementation.cache_tag)


def install(site: Path, name: str, code: str, *, at: float = 1_700_000_000) -> Path:
    """A package of two files, as an installer leaves it."""
    package = site / name
    package.mkdir(parents=True)
    for file in ("__init__.py", "inner.py"):
        (package / file).write_text(code)
        os.utime(package / file, (at, at))
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    rows = [f"{name}/__init__.py,sha256=x,1", f"{name}/inner.py,sha256=x,1", "../../bin/x.py,,"]
    (info / "RECORD").write_text("\n".join(rows) + "\n")
    return package


def compile_all(tmp_path: Path, site: Path) -> None:
    bytecode.compile_all(str(tmp_path / "root"), sys.executable, TAG, str(site), str(tmp_path))


def pycs(package: Path) -> dict[str, int]:
    """Bytecode files and their inodes."""
    return {p.name: p.stat().st_ino for p in package.glob("__pycache__/*.pyc")}


def test_the_next_environment_gets_links(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = install(tmp_path / "one", "greeting", "word = 'hello'\n")
    compile_all(tmp_path, tmp_path / "one")
    assert len(pycs(one)) == 2
    assert "Compiled 2 files" in capsys.readouterr().out
    two = install(tmp_path / "two", "greeting", "word = 'hello'\n")
    compile_all(tmp_path, tmp_path / "two")
    assert pycs(two) == pycs(one)
    assert "Bytecode of 1 packages was there" in capsys.readouterr().out
    done = subprocess.run(
        [sys.executable, "-v", "-c", "import greeting.inner; print(greeting.inner.word)"],
        env={"PYTHONPATH": str(tmp_path / "two")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "hello\n"
    assert f"matches {two}/inner.py" in done.stderr
    assert "wrote" not in done.stderr


def test_another_content_is_compiled(tmp_path: Path) -> None:
    one = install(tmp_path / "one", "greeting", "word = 'hello'\n")
    compile_all(tmp_path, tmp_path / "one")
    same_size_later = install(tmp_path / "two", "greeting", "word = 'other'\n", at=1_700_000_009)
    compile_all(tmp_path, tmp_path / "two")
    assert not set(pycs(one).values()) & set(pycs(same_size_later).values())


def test_what_does_not_compile_is_left_to_whoever_imports_it(tmp_path: Path) -> None:
    broken = install(tmp_path / "one", "broken", "this is python 2: print 1\n")
    fine = install(tmp_path / "one", "fine", "x = 1\n")
    compile_all(tmp_path, tmp_path / "one")
    assert pycs(broken) == {}
    assert len(pycs(fine)) == 2
    # What cannot be compiled is not tried again.
    install(tmp_path / "two", "broken", "this is python 2: print 1\n")
    compile_all(tmp_path, tmp_path / "two")


def test_a_package_without_a_record_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "one" / "odd-1.dist-info").mkdir(parents=True)
    compile_all(tmp_path, tmp_path / "one")


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core compiles by itself")
def test_no_worker_outlives_a_compilation_that_is_killed(tmp_path: Path) -> None:
    code = "".join(f"def f{n}(x):\n    return [x + {n} for _ in range(x)]\n" for n in range(500))
    files = [tmp_path / f"m{n}.py" for n in range(400)]
    for file in files:
        file.write_text(code)
    listed = tmp_path / "compile.json"
    listed.write_text(json.dumps([str(file) for file in files]))
    argv = [sys.executable, "-I", "-c", bytecode.COMPILE, str(listed)]
    process = subprocess.Popen(argv)
    workers: list[int] = []

    def busy() -> bool:
        workers[:] = processes.descendants(process.pid)
        return len(list(tmp_path.glob("__pycache__/*"))) > 10

    def gone() -> bool:
        return not any(is_running(pid) for pid in workers)

    try:
        wait_until(busy, "workers compile")
    finally:
        process.kill()
        process.wait()
    assert workers
    wait_until(gone, "the workers end")
