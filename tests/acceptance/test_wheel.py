"""The wheel works where there is no source tree: payload and service come from its own files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).parent / "uv"


def run(*argv: str | Path, cwd: Path, **variables: str) -> str:
    env = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env={**env, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_run_from_the_wheel_alone(tmp_path: Path) -> None:
    venv, home, work = tmp_path / "venv", tmp_path / "home", tmp_path / "work"
    work.mkdir()
    run(UV, "build", "--wheel", "--quiet", "--out-dir", tmp_path, ROOT, cwd=work)
    (wheel,) = tmp_path.glob("*.whl")
    run(UV, "venv", "--quiet", "-p", sys.executable, venv, cwd=work)
    run(UV, "pip", "install", "--quiet", "--no-deps", "-p", venv / "bin/python", wheel, cwd=work)
    # What it depends on is taken from here; lines of path files there do not count here.
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = "import turnout; print(turnout.__file__)"
    assert str(packages) in run(venv / "bin/python", "-c", where, cwd=work)

    run(
        UV,
        "build",
        "--wheel",
        "--quiet",
        "--out-dir",
        tmp_path / "v1",
        ROOT / "compat/azureml",
        cwd=work,
    )
    (layer,) = (tmp_path / "v1").glob("turnout_azureml-*.whl")
    run(UV, "pip", "install", "--quiet", "--no-deps", "-p", venv / "bin/python", layer, cwd=work)
    code = (
        "import azureml, azureml.core, turnout\n"
        "from azureml.core.script_run_config import submit\n"
        "from azureml.core import Workspace\n"
        "print(azureml.__file__, Workspace is turnout.Workspace, submit.__module__)\n"
    )
    said = run(venv / "bin/python", "-c", code, cwd=work).split()
    assert said[0].startswith(str(packages))
    assert said[1:] == ["True", "azureml._warts"]

    script = "import turnout\nturnout.Run.get_context().log('mse', 0.5)\nprint('it ran')\n"
    (work / "train.py").write_text(script)
    turnout = venv / "bin" / "turnout"
    try:
        out = run(turnout, "submit", "train.py", cwd=work, TURNOUT_HOME=str(home))
        assert out == "it ran\n"
        assert "mse" in run(turnout, "run", "metrics", cwd=work, TURNOUT_HOME=str(home))
        link = run(turnout, "portal", "--no-browser", cwd=work, TURNOUT_HOME=str(home)).strip()
        base = link.partition("sign-in")[0]
        with httpx.Client(follow_redirects=True) as browser:
            page = browser.get(link).text
            assert "<h1>Overview</h1>" in page
            parts = re.findall(r'(?:src|href)="/portal/(static/[^"]+)"', page)
            assert {"static/lib/htmx.js", "static/lib/idiomorph.js"} <= set(parts)
            for part in (*parts, "static/lib/echarts.js"):
                assert browser.get(base + part).status_code == 200, part
    finally:
        run(turnout, "service", "stop", cwd=work, TURNOUT_HOME=str(home))
