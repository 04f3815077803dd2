"""`Run.register_model` in a script: what is written down, what is refused at once."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from turnout.payload.outside import ScriptExperiment
from turnout.payload.sinks import FolderSink, PrintSink
from turnout.payload.tracking import Run, TrackingError


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(ScriptExperiment("exp"), "exp_1", _sink=FolderSink(str(tmp_path)))


def written(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def test_what_is_asked_for_is_a_record(run: Run, tmp_path: Path) -> None:
    sample = SimpleNamespace(id="7", name="digits")
    model = run.register_model(
        "m", "./outputs/net/", tags={"mse": 0.5}, model_framework="Custom", description="d",
        datasets=[("training", sample)], sample_input_dataset=sample, _private=1,
    )  # fmt: skip
    run.register_model(model_name="outputs")
    first, second = written(tmp_path)
    assert first.pop("at") > 0
    assert first == {
        "t": "model",
        "name": "m",
        "path": "outputs/net",
        "tags": {"mse": "0.5"},
        "framework": "Custom",
        "description": "d",
        "details": {"datasets": [["training", "7"]], "sample_input_dataset": "7"},
    }
    assert (second["name"], second["path"]) == ("outputs", "outputs")
    assert (model.name, model.version, model.tags) == ("m", None, {"mse": "0.5"})
    assert model.run is run


def test_a_childs_model_is_the_childs(run: Run, tmp_path: Path) -> None:
    child = run.child_run()
    child.register_model("m", "m.bin")
    assert written(tmp_path)[-1]["run"] == child.id


@pytest.mark.parametrize("path", ["/etc/passwd", "outputs/../../x", "..", "outputs//m"])
def test_paths_stay_in_the_run(run: Run, tmp_path: Path, path: str) -> None:
    with pytest.raises(TrackingError, match="cannot name a file of a run"):
        run.register_model("m", path)
    assert not list(tmp_path.iterdir())


def test_what_is_no_argument_is_refused(run: Run) -> None:
    with pytest.raises(TrackingError, match="no argument 'modl_path'"):
        run.register_model("m", modl_path="x")
    with pytest.raises(TrackingError, match="Tags must be a mapping"):
        run.register_model("m", "x", tags=["a"])


def test_without_a_run_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(ScriptExperiment("offline"), "OfflineRun_1", _sink=PrintSink())
    run.register_model("m", "outputs/m.pkl")
    assert capsys.readouterr().out == "Attempted to register model m of outputs/m.pkl\n"
