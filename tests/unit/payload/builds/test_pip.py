"""The pip builder: what it starts, where it keeps things, what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from turnout.payload import builds
from turnout.payload.builds import pip
from turnout.testing.waiting import is_running, wait_until

CALLS = {
    "compile": "pip.compile_list(sys.argv[1], 'python', ['x'], [], sys.argv[2])",
    "ask": "pip.said_by([sys.argv[1]])",
    "list": "pip.installed_pythons(sys.argv[1])",
}


@pytest.mark.parametrize("call", CALLS)
def test_uv_dies_with_a_build_that_is_killed(tmp_path: Path, call: str) -> None:
    uv, said = tmp_path / "uv", tmp_path / "pid"
    uv.write_text(f"#!/bin/sh\necho $$ > {said}.new\nmv {said}.new {said}\nexec sleep 600\n")
    uv.chmod(0o755)
    code = f"import sys; from turnout.payload.builds import pip; {CALLS[call]}"
    build = subprocess.Popen([sys.executable, "-c", code, str(uv), str(tmp_path)])

    def started() -> bool:
        return said.exists()

    def ended() -> bool:
        return not is_running(pid)

    try:
        wait_until(started, "uv runs")
    finally:
        build.kill()
        build.wait()
    pid = int(said.read_text())
    try:
        wait_until(ended, "uv ends")
    finally:
        if not ended():
            os.kill(pid, signal.SIGKILL)


def test_a_home_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_CACHE_DIR", "UV_PYTHON_INSTALL_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, "x")  # So that it is put back, whatever is done to it.
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "new"))
    pip.use_own_folders("/root")
    assert "UV_CACHE_DIR" not in os.environ
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", "/own")
    pip.use_own_folders("/root")
    assert os.environ["UV_CACHE_DIR"] == "/root/cache/uv_cache_dir"
    assert os.environ["UV_PYTHON_INSTALL_DIR"] == "/own"


def test_any_locale_can_say_what_uv_says(tmp_path: Path) -> None:
    words = "\N{MULTIPLICATION SIGN} \N{BOX DRAWINGS LIGHT ARC UP AND RIGHT} no such package"
    uv = tmp_path / "uv"
    uv.write_text(
        f"#!/bin/sh\n[ $2 = find ] && exec echo {sys.executable}\necho '{words}' >&2\nexit 1\n"
    )
    uv.chmod(0o755)
    (tmp_path / "request.json").write_text('{"pip": ["x"]}')
    entry = Path(str(builds.__file__)).with_name("__main__.py")
    argv = [sys.executable, "-S", str(entry), "pip", "lock", str(tmp_path), str(uv), str(tmp_path)]
    done = subprocess.run(
        argv, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True
    )
    assert words in done.stdout.decode()
    assert "Traceback" not in done.stderr.decode()
