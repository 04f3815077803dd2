"""MLflow's plugin without MLflow: how it is found, what it reads, when a script gets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from turnout.hosts.payload_zip import ENTRY_POINTS, payload
from turnout.payload import rundir, supervisor, tracking
from turnout.payload.data import Data
from turnout.payload.mlflow.folder import FolderRuns
from turnout.payload.mlflow.runs import inside, outside, points
from turnout.payload.store import Store

VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
LOOK = """
import sys
from importlib import metadata
found = metadata.entry_points()
for group in sys.argv[1:]:
    points = found.select(group=group) if hasattr(found, "select") else found.get(group, ())
    print(group, sorted((p.name, p.load().__name__) for p in points))
print(metadata.version("turnout-run") != "", "turnout.payload.mlflow.store" in sys.modules)
"""


def pythons() -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    found = {
        ".".join(path.parts[-3].split(".")[:2]): str(path) for path in root.glob("3.*/bin/python")
    }
    return [found[v] for v in VERSIONS if v in found] or [sys.executable]


@pytest.mark.parametrize("python", pythons())
def test_every_python_finds_the_entry_points(python: str, tmp_path: Path) -> None:
    (tmp_path / "payload.zip").write_bytes(payload().data)
    with zipfile.ZipFile(tmp_path / "payload.zip") as packed:
        packed.extractall(tmp_path / "payload")
    for place in ("payload", "payload.zip"):
        done = subprocess.run(
            [python, "-S", "-c", LOOK, *ENTRY_POINTS],
            env={"PYTHONPATH": str(tmp_path / place)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        names = [line.partition(" ")[2] for line in done.stdout.splitlines()]
        assert names == [
            "[('turnout', 'tracking_store')]",
            "[('turnout', 'model_registry_store')]",
            "[('turnout', 'artifact_repository')]",
            "[('turnout', 'RunContext')]",
            "False",
        ]


def test_this_installation_has_the_same_entry_points() -> None:
    found = {
        p.group: f"{p.name} = {p.value}" for p in metadata.distribution("turnout").entry_points
    }
    assert {group: found.get(group) for group in ENTRY_POINTS} == ENTRY_POINTS


def variables(tmp_path: Path, given: dict[str, str], isolated: bool = False) -> dict[str, str]:
    made = supervisor.Supervisor(str(tmp_path), Store(str(tmp_path)), "/payload", "exp_1.1")
    made.ticket = {"run": "exp_1", "variables": given}
    made.data = Data(str(tmp_path), str(tmp_path), {}, made.store, lambda: None)
    activation = SimpleNamespace(env={}, isolated=isolated, path=[])
    return made.script_variables(activation, "/work")  # type: ignore[arg-type]


def test_a_script_logs_to_its_run_unless_somebody_wants_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = rundir.MLFLOW_VARIABLE
    monkeypatch.delenv(name, raising=False)
    assert variables(tmp_path, {})[name] == "turnout://run"
    assert variables(tmp_path, {name: "http://a"})[name] == "http://a"
    # A notebook's address in the variables of the service means nothing to a script.
    monkeypatch.setenv(name, "turnout://workspace")
    assert variables(tmp_path, {})[name] == "turnout://run"
    monkeypatch.setenv(name, "http://b")
    assert variables(tmp_path, {})[name] == "http://b"
    found = variables(tmp_path, {}, isolated=True)
    assert found[name] == "turnout://run"
    assert name in json.loads(found[rundir.INSIDE_VARIABLE])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run around this process."""
    folder = tmp_path / "exp_1.1"
    folder.mkdir()
    monkeypatch.setenv(rundir.RUN_FOLDER_VARIABLE, str(folder))
    monkeypatch.setenv(rundir.RUN_ID_VARIABLE, "exp_1")
    monkeypatch.setenv(rundir.EXPERIMENT_VARIABLE, "exp")
    monkeypatch.setenv(tracking.INFO_VARIABLE, '{"tags": {"given": "1"}, "display_name": "mine"}')
    return folder


def test_what_others_log_is_seen_as_it_grows(folder: Path) -> None:
    runs = FolderRuns(str(folder))
    run = tracking.Run.get_context()
    first = runs.view("exp_1")
    assert (first.name, first.tags, first.parent, first.metrics) == (
        "mine", {"given": "1"}, None, [],
    )  # fmt: skip
    run.log("mse", 2.0)
    run.log("note", "no number")
    run.tag("colour", "red")
    with run.child_run("inner") as child:
        child.log("depth", float("inf"))
        grandchild = child.child_run("deeper")
    with (folder / rundir.RECORDS).open("a") as file:
        file.write('{"t": "metric", "name": "of nobody", "run": "exp_2", "value": 1}\nnoise\n')
        file.write('{"t": "metric", "name": "torn')
    view = runs.view("exp_1")
    assert (view.tags, view.state, view.ended) == (
        {"given": "1", "colour": "red"},
        "running",
        None,
    )
    assert [(x["name"], x["value"]) for x in view.metrics] == [("mse", 2.0)]
    inner = runs.view(child.id)
    assert (inner.parent, inner.name, inner.state) == ("exp_1", "inner", "completed")
    assert inner.ended is not None
    assert inner.metrics[0]["value"] == float("inf")
    assert runs.view(grandchild.id).parent == child.id
    assert [x.id for x in runs.views("exp")] == ["exp_1", child.id, grandchild.id]
    with pytest.raises(KeyError):
        runs.view("exp_2")


FORKS = """
import os, sys
from turnout.payload import tracking
from turnout.payload.mlflow.folder import FolderRuns
runs = FolderRuns(sys.argv[1])
tracking.Run.get_context().log("mse", 2.0)
assert len(runs.view("exp_1").metrics) == 1
runs.lock.acquire()  # as another thread may have at the moment of the fork
if os.fork() == 0:
    os._exit(len(runs.view("exp_1").metrics))
assert os.wait()[1] == 1 << 8
"""


def test_a_forked_process_reads_for_itself(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", FORKS, str(folder)], check=True, timeout=60)


def test_files_of_the_run_its_outputs_and_its_children(folder: Path, tmp_path: Path) -> None:
    runs = FolderRuns(str(folder))
    source = tmp_path / "a.txt"
    source.write_text("a")
    child = runs.begin("any", None, "inner")
    runs.put_file("exp_1", "deep/a.txt", str(source))
    runs.put_file(child, "b.txt", str(source))
    (folder / "work/outputs").mkdir(parents=True)
    (folder / "work/outputs/model.bin").write_text("model")
    assert runs.files("exp_1") == {"deep/a.txt": 1, "outputs/model.bin": 5}
    assert runs.files(child) == {"b.txt": 1}
    for run, name, text in (("exp_1", "outputs/model.bin", "model"), (child, "b.txt", "a")):
        runs.fetch(run, name, str(tmp_path / "got"))
        assert (tmp_path / "got").read_text() == text
    with pytest.raises(KeyError):
        runs.fetch(child, "none", str(tmp_path / "got"))


def test_ids_go_out_and_come_back() -> None:
    for identity in ("exp_1_ab", "v1.5-b.c_1_ab"):
        assert "." not in outside(identity)
        assert inside(outside(identity)) == identity


def test_values_without_a_step_are_counted() -> None:
    records: list[dict[str, Any]] = [
        {"name": "a", "value": 1, "at": 0.5, "step": 7},
        {"name": "a", "value": 2, "at": 0.6},
        {"name": "b", "value": "text", "at": 0.7},
        {"name": "b", "value": True, "at": 0.8},
    ]
    found = {k: [(p["value"], p["step"]) for p in v] for k, v in points(records).items()}
    assert found == {"a": [(1.0, 7), (2.0, 1)], "b": [(1.0, 0)]}


def test_without_the_sdk_the_workspace_is_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "payload.zip").write_bytes(payload().data)
    code = "from turnout.payload.mlflow import plugin\nplugin.runs()"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(tmp_path / "payload.zip")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stderr.splitlines()[-1].endswith("installed: pip install turnout")
