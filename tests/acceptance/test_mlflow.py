"""Scripts and notebooks that log through MLflow, unchanged: seen as runs of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from turnout import CondaDependencies, Experiment, Model, Run, ScriptRunConfig, Workspace
from turnout.client.embedded import default_client
from turnout.testing.missing import missing
from turnout.testing.waiting import wait_until

#: What a person writes: nothing in it is of Turnout.
SCRIPT = """
import os, pathlib, mlflow

mlflow.set_experiment("a name of the script's own")
with mlflow.start_run() as run:
    mlflow.log_params({"alpha": 0.1, "solver": "lbfgs"})
    for step in range(3):
        mlflow.log_metric("mse", 1 / (step + 1), step=step)
    mlflow.set_tag("colour", "red")
    mlflow.log_text("hello", "notes/hello.txt")
    pathlib.Path("made/deep").mkdir(parents=True)
    pathlib.Path("made/deep/model.bin").write_bytes(b"model")
    mlflow.log_artifacts("made", "model")
    with mlflow.start_run(run_name="inner", nested=True) as inner:
        mlflow.log_metric("depth", 2)
        mlflow.log_dict({"a": 1}, "inner.json")

client = mlflow.tracking.MlflowClient()
found = client.search_runs([run.info.experiment_id], "metrics.mse < 1")
assert [x.info.run_id for x in found] == [run.info.run_id], found
assert client.get_run(inner.info.run_id).info.status == "FINISHED"
assert client.get_run(run.info.run_id).info.status == "RUNNING"
assert [m.step for m in client.get_metric_history(run.info.run_id, "mse")] == [0, 1, 2]
assert [f.path for f in client.list_artifacts(run.info.run_id, "model")] == ["model/deep"]
where = client.download_artifacts(run.info.run_id, "model") if hasattr(
    client, "download_artifacts") else mlflow.artifacts.download_artifacts(
    run_id=run.info.run_id, artifact_path="model")
assert pathlib.Path(where, "deep/model.bin").read_bytes() == b"model"
"""

NOTEBOOK = """
import json, mlflow
from turnout import CondaDependencies, Experiment, Model, Run, Workspace

ws = Workspace()
mlflow.set_tracking_uri(ws.get_mlflow_tracking_uri())
mlflow.set_experiment("notebook")
with mlflow.start_run(run_name="good") as good:
    mlflow.log_metric("mse", 0.5, step=7)
    mlflow.log_metric("odd", float("nan"))
    mlflow.log_param("alpha", 0.1)
    mlflow.log_text("hello", "notes/hello.txt")
    with mlflow.start_run(nested=True) as child:
        mlflow.log_metric("depth", 2)
try:
    with mlflow.start_run() as bad:
        raise ValueError("no good")
except ValueError:
    pass
client = mlflow.tracking.MlflowClient()
assert mlflow.get_run(good.info.run_id).data.params == {"alpha": "0.1"}
assert [m.step for m in client.get_metric_history(good.info.run_id, "mse")] == [7]
found = client.search_runs([good.info.experiment_id], order_by=["attributes.start_time ASC"])
assert [x.info.status for x in found] == ["FINISHED", "FINISHED", "FAILED"], found
assert [f.path for f in client.list_artifacts(good.info.run_id, "notes")] == ["notes/hello.txt"]
try:
    client.log_param(good.info.run_id, "alpha", 3)
except mlflow.exceptions.MlflowException as e:
    assert "cannot be changed to '3'" in str(e), e
else:
    raise AssertionError("a parameter changed")

run = Run.get(ws, good.info.run_id)
other = Run.get(ws, bad.info.run_id)
inner, = run.get_children()
assert (run.status, run.name, run.experiment.name) == ("Completed", "good", "notebook")
assert (other.status, other.get_details()["error"]["error"]["message"]) == (
    "Failed", "ValueError: no good")
assert inner.id.startswith(run.id) and inner.get_metrics() == {"depth": 2.0}
assert run.get_metrics()["mse"] == 0.5
assert run.get_properties() == {"mlflow.param.alpha": "0.1"}
print(run.id)
"""


def configured(script: str, *arguments: str, python: str = sys.executable) -> ScriptRunConfig:
    """On this machine; the Python of these tests has MLflow."""
    config = ScriptRunConfig(".", script, arguments=list(arguments))
    config.run_config.environment.python.user_managed_dependencies = True
    config.run_config.environment.python.interpreter_path = python
    return config


def submit(ws: Workspace, code: str, *, python: str = sys.executable, **variables: str) -> Run:
    """Run `code` to its end."""
    Path("train.py").write_text(code)
    config = configured("train.py", python=python)
    config.run_config.environment.environment_variables.update(variables)
    run = Experiment(ws, "mlflow-exp").submit(config)
    found = run.wait_for_completion(raise_on_error=False)
    assert found["status"] in ("Completed", "Failed")
    return run


def printed(run: Run) -> str:
    return run.get_details_with_logs()["logFiles"].get("azureml-logs/70_driver_log.txt", "")


def completed(ws: Workspace, code: str, **options: str) -> Run:
    run = submit(ws, code, **options)
    assert run.status == "Completed", printed(run)
    return run


def made(tmp_path: Path, version: str, *packages: str) -> str:
    """A Python with these packages, made by uv."""
    uv = str(Path(sys.executable).parent / "uv")
    prefix = tmp_path / "venv"
    for argv in (
        [uv, "venv", "--quiet", "--python", version, str(prefix)],
        [uv, "pip", "install", "--quiet", "--python", f"{prefix}/bin/python", *packages],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode and "dns error" in done.stderr:
            missing(f"what {' '.join(packages)} needs is not here: {done.stderr}")
        assert done.returncode == 0, done.stderr
    return f"{prefix}/bin/python"


def python_of(version: str) -> str:
    """One of pyenv's, which uv does not look at, else what uv finds. Debian has none so old."""
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    for found in root.glob(f"{version}.*/bin/python"):
        return str(found)
    uv = Path(sys.executable).parent / "uv"
    done = subprocess.run([uv, "python", "find", version], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"There is no Python {version} here, in which this MLflow runs.")
    return done.stdout.strip()


@pytest.mark.parametrize("mlflow", ["of these tests", "1.30.1", "2.16.2"])
def test_a_script_is_followed(ws: Workspace, tmp_path: Path, mlflow: str) -> None:
    python = sys.executable
    if mlflow.startswith("1."):
        # Its time had Python 3.8, and setuptools with every Python.
        packages = (f"mlflow-skinny=={mlflow}", "setuptools<70")
        python = made(tmp_path, python_of("3.8"), *packages)
    elif mlflow.startswith("2."):
        python = made(tmp_path, sys.executable, f"mlflow-skinny=={mlflow}")
    run = completed(ws, SCRIPT, python=python)
    assert run.get_metrics() == {"mse": [1.0, 0.5, 1 / 3]}
    assert run.experiment.name == "mlflow-exp"
    properties, tags = run.get_properties(), run.get_tags()
    assert properties["mlflow.param.alpha"] == "0.1"
    assert properties["mlflow.param.solver"] == "lbfgs"
    assert tags["colour"] == "red"
    assert {"notes/hello.txt", "model/deep/model.bin"} <= set(run.get_file_names())
    (inner,) = run.get_children()
    assert (inner.name, inner.status) == ("inner", "Completed")
    assert inner.get_metrics() == {"depth": 2.0}
    assert inner.get_file_names() == ["inner.json"]
    inner.download_file("inner.json", tmp_path / "inner.json")
    assert json.loads((tmp_path / "inner.json").read_text()) == {"a": 1}


AUTOLOG = """
import mlflow, mlflow.sklearn
from sklearn.linear_model import LogisticRegression

mlflow.sklearn.autolog(log_models=False)
LogisticRegression(C=0.5).fit([[1], [2], [3], [4]], [0, 0, 1, 1])
"""


def test_autolog_in_an_environment_that_turnout_makes(ws: Workspace) -> None:
    Path("train.py").write_text(AUTOLOG)
    config = configured("train.py")
    packages = ["mlflow-skinny", "scikit-learn", "pandas"]
    config.run_config.environment.python.user_managed_dependencies = False
    config.run_config.environment.python.conda_dependencies = CondaDependencies.create(
        pip_packages=packages
    )
    run = Experiment(ws, "mlflow-exp").submit(config)
    found = run.wait_for_completion(raise_on_error=False)
    if found["status"] == "Failed" and "dns error" in json.dumps(run.get_details_with_logs()):
        missing("the package index cannot be reached")
    assert found["status"] == "Completed", run.get_details_with_logs()
    assert run.get_metrics()["training_accuracy_score"] == 1.0
    assert run.get_properties()["mlflow.param.C"] == "0.5"


def test_logging_without_a_run_begun_is_to_the_run_around(ws: Workspace) -> None:
    code = (
        "import mlflow\nfrom turnout import Run\n"
        "mlflow.log_metric('implicit', 1)\n"
        "run = Run.get_context()\n"
        "assert mlflow.active_run().info.run_id == run.id\n"
        "mlflow.set_tag('seen', 'here')\n"
        "assert run.get_tags()['seen'] == 'here' and run.get_metrics() == {'implicit': 1.0}\n"
        "mlflow.end_run()\n"
        "with mlflow.start_run(run_name='second'):\n"
        "    mlflow.log_metric('later', 2)\n"
    )
    run = completed(ws, code)
    assert run.get_metrics() == {"implicit": 1.0}
    assert [c.get_metrics() for c in run.get_children()] == [{"later": 2.0}]


def test_the_exit_code_decides_and_a_failure_is_kept(ws: Workspace) -> None:
    run = submit(ws, "import mlflow\nwith mlflow.start_run():\n    raise ValueError('no good')\n")
    assert run.status == "Failed"
    assert run.get_details()["error"]["error"]["message"] == "ValueError: no good"
    # MLflow says at the exit of every process that its run is finished.
    run = submit(ws, "import mlflow, sys\nmlflow.log_metric('a', 1)\nsys.exit(3)\n")
    assert (run.status, run.get_details()["error"]["exitCode"]) == ("Failed", 3)


def test_a_script_with_a_server_of_its_own_is_left_alone(ws: Workspace, tmp_path: Path) -> None:
    code = (
        "import json, mlflow, os\n"
        "with mlflow.start_run() as run:\n"
        "    mlflow.log_metric('a', 1)\n"
        "print(json.dumps([mlflow.get_tracking_uri(), dict(run.data.tags)]))\n"
    )
    own = (tmp_path / "own").as_uri()
    for text, variables in (
        (f"import mlflow\nmlflow.set_tracking_uri({own!r})\n{code}", {}),
        (code, {"MLFLOW_TRACKING_URI": own}),
    ):
        run = completed(ws, text, MLFLOW_ALLOW_FILE_STORE="true", **variables)
        uri, tags = json.loads(printed(run).splitlines()[-1])
        assert uri == own
        assert run.get_metrics() == {}
        assert not any("turnout" in tag for tag in tags)


def test_a_notebook_logs_to_the_workspace(ws: Workspace) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = Run.get(ws, done.stdout.splitlines()[-1])
    assert found.get_file_names() == ["notes/hello.txt"]


REGISTERS = """
import mlflow, pathlib

with mlflow.start_run() as run:
    pathlib.Path("made").mkdir()
    pathlib.Path("made/MLmodel").write_text("flavors: {}")
    mlflow.log_artifacts("made", "model")
    first = mlflow.register_model(f"runs:/{run.info.run_id}/model", "from-mlflow")
    again = mlflow.register_model(f"runs:/{run.info.run_id}/model", "from-mlflow")
client = mlflow.tracking.MlflowClient()
assert (first.version, again.version) == ("1", "1"), (first, again)
client.set_model_version_tag("from-mlflow", "1", "kind", "test")
client.transition_model_version_stage("from-mlflow", "1", "Staging") if hasattr(
    client, "transition_model_version_stage") else None
found = client.get_model_version("from-mlflow", "1")
assert (found.tags, found.run_id) == ({"kind": "test"}, run.info.run_id), found
assert [v.version for v in client.search_model_versions("name='from-mlflow'")] == ["1"]
where = mlflow.artifacts.download_artifacts(artifact_uri="models:/from-mlflow/1")
assert pathlib.Path(where, "MLmodel").read_text() == "flavors: {}"
try:
    mlflow.register_model(f"runs:/{run.info.run_id}/nothing", "none")
except mlflow.exceptions.MlflowException as e:
    print(e)
else:
    raise AssertionError("registered nothing")
"""

READS = """
import json, mlflow, pathlib
from turnout import Workspace

mlflow.set_tracking_uri(Workspace().get_mlflow_tracking_uri())
client = mlflow.tracking.MlflowClient()
with mlflow.start_run() as run:
    mlflow.log_text("flavors: {}", "model/MLmodel")
made = mlflow.register_model(f"runs:/{run.info.run_id}/model", "from-mlflow")
client.set_registered_model_alias("from-mlflow", "champion", made.version)
client.set_registered_model_alias("from-mlflow", "champion", "1")
assert [m.name for m in client.search_registered_models("name='from-mlflow'")] == ["from-mlflow"]
assert client.get_registered_model("from-mlflow").aliases == {"champion": "1"}
assert client.get_model_version_by_alias("from-mlflow", "champion").tags == {"kind": "test"}
for uri in ("models:/from-mlflow/1", "models:/from-mlflow@champion", "models:/from-mlflow/latest"):
    where = mlflow.artifacts.download_artifacts(artifact_uri=uri)
    assert pathlib.Path(where, "MLmodel").read_text() == "flavors: {}"
client.delete_model_version("from-mlflow", made.version)
print(made.version)
"""


def test_models_are_registered_in_the_workspace(ws: Workspace) -> None:
    run = completed(ws, REGISTERS)
    (model,) = Model.list(ws, name="from-mlflow")
    assert (model.version, model.run_id) == (1, run.id)
    assert model.tags["kind"] == "test"
    assert list(model.files) == ["model/MLmodel"]
    done = subprocess.run(
        [sys.executable, "-c", READS], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "2"
    assert [m.version for m in Model.list(ws, name="from-mlflow")] == [1]


BATCHES = """
import pathlib, sys, time, mlflow
from mlflow.entities import Metric, RunTag

client, here = mlflow.tracking.MlflowClient(), pathlib.Path(sys.argv[1])
with mlflow.start_run() as run:
    for i in range(60):
        client.log_batch(run.info.run_id, [Metric(n, i, 1700000000000 + i, i) for n in "ab"])
        if i % 20 == 0:
            with mlflow.start_run(nested=True, run_name=f"child {i}"):
                mlflow.log_metric("i", i)
        (here / f"{i}").touch()
        time.sleep(0.01)
        while i == 59 and not (here / "go").exists():
            time.sleep(0.01)
"""


def test_a_killed_service_loses_and_doubles_nothing(ws: Workspace, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()
    Path("train.py").write_text(BATCHES)
    config = configured("train.py", str(seen))
    run = Experiment(ws, "mlflow-exp").submit(config)
    for i in (0, 15, 30, 59):
        wait_until((seen / str(i)).exists, f"batch {i}")
        kill_service(ws)
    (seen / "go").touch()
    run.wait_for_completion()
    assert run.get_metrics() == {n: [float(i) for i in range(60)] for n in "ab"}
    records = default_client().get(f"/v1/runs/{run.id}/records")["records"]
    assert [(x["name"], x["step"]) for x in records] == [(n, i) for i in range(60) for n in "ab"]
    assert [x["at"] for x in records[::2]] == [1700000000 + i / 1000 for i in range(60)]
    children = {c.name: (c.status, c.get_metrics()) for c in run.get_children()}
    assert children == {f"child {i}": ("Completed", {"i": float(i)}) for i in (0, 20, 40)}


def kill_service(ws: Workspace) -> None:
    """Not politely; the next request starts it again."""
    os.kill(ws.client.get("/v1/workspace")["pid"], signal.SIGKILL)
