"""What travels needs nothing on the target: scripts on every Python with the zip alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from turnout.payload import rundir, tracking

SOURCE = Path(tracking.__file__).parents[1]
VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


def pythons() -> list[str]:
    """One interpreter of each version on this machine."""
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    found: dict[str, str] = {}
    for path in sorted(root.glob("3.*/bin/python")):
        found[".".join(path.parts[-3].split(".")[:2])] = str(path)
    for version in VERSIONS:
        known = shutil.which(f"python{version}")
        if known:
            found.setdefault(version, known)
    return [found[v] for v in VERSIONS if v in found] or [sys.executable]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run around this process."""
    folder = tmp_path / "exp_1.1"
    folder.mkdir()
    monkeypatch.setenv(rundir.RUN_FOLDER_VARIABLE, str(folder))
    monkeypatch.setenv(rundir.RUN_ID_VARIABLE, "exp_1")
    monkeypatch.setenv(rundir.EXPERIMENT_VARIABLE, "exp")
    return folder


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What travels, as far as a script's `from turnout import Run` needs it."""
    path = tmp_path_factory.mktemp("payload") / "payload.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(SOURCE / "__init__.py", "turnout/__init__.py")
        for file in (SOURCE / "payload").glob("*.py"):
            archive.write(file, f"turnout/payload/{file.name}")
    return path


def run_script(python: str, script: str, payload: Path, **env: str) -> str:
    command = [python, "-W", "error", "-S", "-c", script]
    done = subprocess.run(
        command,
        env={"PYTHONPATH": str(payload), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("python", pythons())
def test_nothing_is_needed_on_the_target(python: str, payload: Path, folder: Path) -> None:
    env = {k: os.environ[k] for k in os.environ if k.startswith("TURNOUT_")}
    script = """
from turnout import Run
import turnout
run = Run.get_context(allow_offline=False)
run.log("mse", float("nan"))
run.log_row("r", a=1)
run.upload_file("f", __import__("io").BytesIO(b"x"))
with run.child_run() as child: child.log("z", 1)
assert run.get_metrics()["r"] == {"a": 1}
try:
    from turnout import Workspace
except ImportError as e:
    print(e)
try:
    turnout.nothing
except AttributeError as e:
    print(e)
"""
    out = run_script(python, script, payload, **env)
    assert "a script on a target has turnout.Run alone" in out
    assert "module 'turnout' has no attribute 'nothing'" in out
    assert len((folder / "records.jsonl").read_text().splitlines()) == 6


def test_payload_is_run_offline_too(payload: Path) -> None:
    out = run_script(
        sys.executable, "from turnout import Run; Run.get_context().log('a', 1)", payload
    )
    assert out == "Attempted to log scalar metric a:\n1\n"


def test_an_installed_turnout_serves_the_rest(payload: Path, folder: Path) -> None:
    env = {k: os.environ[k] for k in os.environ if k.startswith("TURNOUT_")}
    script = f"""
import sys; sys.path.append({str(SOURCE.parent)!r})
import turnout
assert ".zip" in turnout.__file__
turnout._find_installed()
from turnout import ComputeTarget, Run
assert ComputeTarget.__module__ == "turnout.client.compute"
assert Run.__module__ == "turnout.payload.tracking"
import turnout.client.run
assert issubclass(turnout.client.run.Run, Run)
assert turnout.client.run.Run.get_context() is Run.get_context()
"""
    run_script(sys.executable, script, payload, **env)
