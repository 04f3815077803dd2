"""What the pip builder starts dies with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from turnout.testing.waiting import until

CALLS = {
    "compile": "pip.compile_list(sys.argv[1], 'python', ['x'], [], sys.argv[2])",
    "ask": "pip.said_by([sys.argv[1]])",
    "list": "pip.installed_pythons(sys.argv[1])",
}


@pytest.mark.parametrize("call", CALLS)
async def test_uv_dies_with_a_build_that_is_killed(tmp_path: Path, call: str) -> None:
    uv, said = tmp_path / "uv", tmp_path / "pid"
    uv.write_text(f"#!/bin/sh\necho $$ > {said}.new\nmv {said}.new {said}\nexec sleep 600\n")
    uv.chmod(0o755)
    code = f"import sys; from turnout.payload.builds import pip; {CALLS[call]}"
    build = subprocess.Popen([sys.executable, "-c", code, str(uv), str(tmp_path)])

    async def started() -> bool:
        return said.exists()

    async def ended() -> bool:
        return not Path(f"/proc/{pid}").exists()

    try:
        await until(started, "uv runs")
    finally:
        build.kill()
        build.wait()
    pid = int(said.read_text())
    try:
        await until(ended, "uv ends")
    finally:
        if not await ended():
            os.kill(pid, signal.SIGKILL)
