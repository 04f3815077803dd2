"""Folders that v1's commands attach, and runs submitted from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_v1 import RUN, FakeClient, Out, call

from turnout import RunConfiguration
from turnout.cli import main as cli
from turnout.cli import v1_folder
from turnout.client import submission
from turnout.client import workspace as workspaces


def test_project_attach(capsys: Out) -> None:
    words = ["--experiment-name", "mine", "-w", "w", "-g", "g", "--subscription-id", "s"]
    found = call(capsys, "project", "attach", *words)
    assert found == {
        "Experiment name": "mine", "Project path": str(Path.cwd()), "Resource group": "g",
        "Subscription id": "s", "Workspace name": "w",
    }  # fmt: skip
    names = sorted(p.name for p in Path("aml_config").iterdir())
    assert names == [
        "conda_dependencies.yml", "cpu.runconfig", "docker.runconfig", "lab.runconfig",
        "local.runconfig", "project.json",
    ]  # fmt: skip
    project = json.loads(Path("aml_config/project.json").read_text())
    assert project["Id"] == "mine"
    assert project["Scope"].startswith("/subscriptions/s/resourceGroups/g/providers/")
    assert project["Scope"].endswith("/workspaces/w/projects/mine")
    assert workspaces.Workspace.from_config().name == "w"
    assert RunConfiguration.load(".", "docker").environment.docker.enabled
    cpu = RunConfiguration.load(".", "cpu")
    assert cpu.target == "cpu"
    assert cpu.environment.python.conda_dependencies.pip_packages == ["azureml-defaults"]


def test_folder_attach_keeps_what_is_there(capsys: Out) -> None:
    Path(".amlignore").write_text("mine\n")
    Path(".azureml").mkdir()
    Path(".azureml/local.runconfig").write_text("target: cpu\n")
    found = call(capsys, "folder", "attach", "-w", "w", "-g", "g")
    assert (found["Workspace name"], found["Resource group"]) == ("w", "g")
    assert json.loads(Path(".azureml/config.json").read_text()) == {
        "subscription_id": "", "resource_group": "g", "workspace_name": "w"
    }  # fmt: skip
    assert not Path(".azureml/project.json").exists()
    assert Path(".amlignore").read_text() == "mine\n"
    assert RunConfiguration.load(".", "local").target == "cpu"
    assert cli.main(["folder", "attach", "--path", "new", "-e", "exp"]) == 2
    Path("new").mkdir()
    found = call(capsys, "folder", "attach", "--path", "new", "-e", "exp")
    assert found["Workspace name"] == "default"
    assert ".azureml" in Path("new/.amlignore").read_text()
    assert v1_folder.experiment_of(Path("new")) == "exp"
    # What git leaves out stays left out.
    Path("new/.amlignore").unlink()
    Path("new/.gitignore").write_text("secrets\n")
    assert cli.main(["folder", "attach", "--path", "new"]) == 0
    assert ".gitignore says what is not sent" in capsys.readouterr().err
    assert not Path("new/.amlignore").exists()
    assert cli.main(["folder", "attach", "-e", "a/b"]) == 2


# -- submitting --------------------------------------------------------------------------------


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """(experiment, ScriptRunConfig) of each."""
    found: list[tuple[str, Any]] = []

    def submit(client: Any, experiment: str, config: Any, **options: Any) -> dict[str, Any]:
        config.to_spec()
        found.append((experiment, config))
        return RUN

    monkeypatch.setattr(submission, "submit", submit)
    for name in ("train.py", "other.py"):
        Path(name).write_text("")
    return found


def save(name: str, **settings: Any) -> None:
    rc = RunConfiguration("train.py", ["--from-the-file", "1"])
    for key, value in settings.items():
        setattr(rc, key, value)
    rc.save(".", name)


def test_submit_script(capsys: Out, submitted: list[tuple[str, Any]]) -> None:
    save("cpu", target="cpu", node_count=2)
    words = [
        "-c",
        "cpu",
        "-e",
        "exp",
        "--async",
        "-t",
        "run.json",
        "other.py",
        "--alpha",
        "0.1",
        "-e",
        "5",
    ]
    assert call(capsys, "run", "submit-script", *words)["runId"] == "exp_1_ab"
    experiment, config = submitted[0]
    assert (experiment, config.script) == ("exp", "other.py")
    assert config.arguments == ["--alpha", "0.1", "-e", "5"]
    assert (config.run_config.target, config.run_config.node_count) == ("cpu", 2)
    assert json.loads(Path("run.json").read_text())["runId"] == "exp_1_ab"


def test_submit_what_the_file_says(
    capsys: Out, client: FakeClient, submitted: list[tuple[str, Any]]
) -> None:
    cli.main(["project", "attach", "--experiment-name", "mine", "-o", "none"])
    save("gpu", target="gpu")
    Path("list.yml").write_text("dependencies: [numpy]\n")
    call(capsys, "run", "submit", "-c", "gpu", "--ct", "lab", "-d", "list.yml", "--async")
    experiment, config = submitted[0]
    assert experiment == "mine"
    spec = config.to_spec()
    assert (spec.script, spec.arguments) == ("train.py", ("--from-the-file", "1"))
    assert (spec.target, spec.environment.conda) == ("lab", ("numpy",))
    # Without -c it is `local`; without that, the defaults.
    call(capsys, "run", "submit", "--async", "train.py")
    assert submitted[1][1].run_config.environment.python.conda_dependencies_file
    call(
        capsys, "run", "submit-script", "--path", ".", "-c", "aml_config/gpu.runconfig", "--async"
    )
    assert submitted[2][1].run_config.target == "gpu"
    rc = RunConfiguration("train.py")
    rc.target = "cpu"
    rc.save(".", "config/train-aml")
    call(capsys, "run", "submit-script", "-c", "config/train-aml", "--async")
    assert submitted[3][1].run_config.target == "cpu"
    assert call(capsys, "run", "submit", "-c", "gqu", "train.py", code=2) is None


def test_a_list_that_is_not_used_need_not_be_there(
    capsys: Out, submitted: list[tuple[str, Any]]
) -> None:
    Path("a.runconfig").write_text(
        "environment: {python: {condaDependenciesFile: gone.yml}}\nscript: train.py\n"
    )
    assert call(capsys, "run", "submit-script", "-c", "a.runconfig", "--async", code=2) is None
    assert cli.main(["submit", "-c", "a.runconfig", "--detach"]) == 2
    Path("list.yml").write_text("dependencies: [numpy]\n")
    call(capsys, "run", "submit-script", "-c", "a.runconfig", "-d", "list.yml", "--async")
    assert submitted[-1][1].to_spec().environment.conda == ("numpy",)
    assert cli.main(["submit", "-c", "a.runconfig", "--pip", "torch", "--detach"]) == 0
    assert submitted[-1][1].to_spec().environment.pip == ("torch",)


def test_submit_without_a_configuration(capsys: Out, submitted: list[tuple[str, Any]]) -> None:
    call(capsys, "run", "submit-script", "--async", "--", "train.py", "--x")
    experiment, config = submitted[0]
    assert experiment == Path.cwd().name.strip("-_.")
    assert (config.run_config.target, config.arguments) == ("local", ["--x"])


def test_our_submit_takes_a_configuration(
    capsys: Out, client: FakeClient, submitted: list[tuple[str, Any]]
) -> None:
    rc = RunConfiguration("train.py", ["a"])
    rc.target, rc.environment_variables = "lab", {"A": "1", "B": "1"}
    rc.environment.python.conda_dependencies.add_pip_package("pandas")
    rc.save(".", "lab")

    def config(*words: str) -> Any:
        assert cli.main(["submit", "--detach", *words]) == 0
        return submitted[-1][1].to_spec()

    spec = config("--config", "lab")
    assert (spec.target, spec.script, spec.arguments) == ("lab", "train.py", ("a",))
    assert spec.environment.pip == ("pandas",)
    spec = config("-c", "lab", "--target", "cpu", "--env", "A=2", "other.py", "b")
    assert (spec.target, spec.script, spec.arguments) == ("cpu", "other.py", ("b",))
    assert spec.environment.variables == {"A": "2", "B": "1"}
    spec = config("-c", "lab", "--pip", "numpy", "--nodes", "2", "--mpi", "--max-duration", "1h")
    assert (spec.environment.pip, spec.node_count) == (("numpy",), 2)
    assert (spec.distribution.kind, spec.max_run_duration_s) == ("mpi", 3600)
    spec = config("-c", "lab", "--vm-size", "2c4g", "--no-eras", "--restarts", "0")
    assert (spec.target, spec.restarts) == ("amlcompute", 0)
    assert spec.sections["amlcompute"]["vm_size"] == "2c4g"
    assert not spec.environment.eras
    path = Path("elsewhere.runconfig")
    path.write_text(yaml.safe_dump({"script": "other.py", "odd": 1}))
    capsys.readouterr()
    assert config("-c", str(path)).script == "other.py"
    assert "turnout: warning: 'elsewhere.runconfig', line 1: 'odd'" in capsys.readouterr().err
    assert cli.main(["submit", "-c", "lba"]) == 2
    assert "did you mean 'lab'?" in capsys.readouterr().err
