"""Run configurations, environments and package lists: v1's shapes, refusals with a hint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from turnout import CondaDependencies, Environment, RunConfiguration, ScriptRunConfig
from turnout.client import run_config as module
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.spec.errors import UserError
from turnout.spec.records import from_dict, to_dict
from turnout.spec.runs import RunSpec


@pytest.fixture(autouse=True)
def embedded_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TURNOUT_URL", raising=False)


def test_v1_sample_system_managed() -> None:
    rc = RunConfiguration()
    rc.environment.python.conda_dependencies = CondaDependencies.create(
        conda_packages=["scikit-learn"], pip_packages=["pandas==2.2"], python_version="3.11"
    )
    spec = rc.to_spec("train.py", ["--alpha", 0.1, True])
    assert spec.arguments == ("--alpha", "0.1", "True")
    environment = spec.environment
    assert not environment.user_managed
    assert (environment.python_version, environment.conda) == ("3.11", ("scikit-learn",))
    assert environment.pip == ("pandas==2.2",)
    assert from_dict(RunSpec, to_dict(spec)) == spec


def test_v1_sample_user_managed(monkeypatch: pytest.MonkeyPatch) -> None:
    rc = RunConfiguration(framework="python")
    rc.environment.python.user_managed_dependencies = True
    assert rc.framework == "Python"
    assert rc.to_spec("t.py").environment.interpreter == sys.executable
    rc.environment.python.interpreter_path = "venv/bin/python"
    assert rc.to_spec("t.py").environment.interpreter == str(Path("venv/bin/python").absolute())
    # A hosted service, or another machine, knows its own.
    monkeypatch.setenv("TURNOUT_URL", "http://x")
    assert rc.to_spec("t.py").environment.interpreter == "venv/bin/python"
    rc.target = "lab"
    rc.environment.python.interpreter_path = "python"
    assert rc.to_spec("t.py").environment.interpreter == "python"


def test_target_by_name_or_object() -> None:
    class Compute:
        name = "lab"

    rc = RunConfiguration()
    assert rc.target == "local"
    rc.target = Compute()
    assert rc.to_spec("t.py").target == "lab"
    for wrong in (None, 3, ""):
        with pytest.raises(RunConfigurationException, match="target must be the name"):
            rc.target = wrong


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("taget", "x", "'taget'.*did you mean 'target'"),
        ("environment.python.user_managed_dependency", True, "'user_managed_dependencies'"),
        ("environment.docker.enable", True, "'enabled'"),
        ("environment.docker.enabled", "yes", "must be True or False"),
        ("environment.python", {}, "PythonSection"),
        ("environment.python.conda_dependencies", ["x"], "CondaDependencies"),
        ("amlcompute.vm_sise", "x", "'vm_size'"),
        ("history.output_colection", True, "'output_collection'"),
        ("framework", "pythn", "did you mean 'Python'"),
        ("communicator", "smoke", "use one of None"),
        ("arguments", 5, "must be a list"),
        ("arguments", "--a 'b", "cannot be split"),
        ("environment_variables", ["x"], "type dict"),
    ],
)
def test_what_is_not_there_is_refused_with_a_hint(path: str, value: object, message: str) -> None:
    rc: Any = RunConfiguration()
    *way, last = path.split(".")
    section = rc
    for name in way:
        section = getattr(section, name)
    with pytest.raises(RunConfigurationException, match=message):
        setattr(section, last, value)


def test_sections_have_v1s_names() -> None:
    rc = RunConfiguration()
    rc.amlcompute.vm_size = "STANDARD_D2_V2"
    rc.amlcompute._cluster_max_node_count = 5
    rc.hdi.yarn_deploy_mode = "client"
    rc.spark.configuration["a"] = "b"
    rc.mpi.process_count_per_node = 2
    rc.tensorflow.worker_count = 2
    rc.history.output_collection = False
    rc.history.directories_to_watch = ["logs", "tb"]
    rc.max_run_duration_seconds = 60
    spec = rc.to_spec("t.py")
    assert spec.sections == {
        "amlcompute": {"vm_size": "STANDARD_D2_V2", "cluster_max_node_count": 5},
        "hdi": {"yarn_deploy_mode": "client"},
        "mpi": {"process_count_per_node": 2},
        "spark": {"configuration": {"a": "b"}},
        "tensorflow": {"worker_count": 2},
    }
    assert (spec.output_collection, spec.max_run_duration_s) == (False, 60)
    assert spec.directories_to_watch == ("logs", "tb")
    assert RunConfiguration().to_spec("t.py").sections == {}


def test_configurations_share_nothing() -> None:
    one, two = RunConfiguration(), RunConfiguration()
    one.environment.python.conda_dependencies.add_pip_package("x")
    one.environment_variables["a"] = "b"
    one.environment.docker.arguments.append("c")
    one.history.directories_to_watch.append("d")
    assert two == RunConfiguration()
    assert one != two


def test_arguments_and_commands() -> None:
    assert RunConfiguration("t.py", ["-a", 1]).to_spec().arguments == ("-a", "1")
    assert RunConfiguration("t.py", "-a 'b c'").to_spec().arguments == ("-a", "b c")
    spec = RunConfiguration(command="python -m x").to_spec(arguments=["-a"])
    assert (spec.command, spec.script, spec.arguments) == (("python", "-m", "x", "-a"), "", ())
    with pytest.raises(UserError, match="script or a command"):
        RunConfiguration().to_spec()


def test_variables_join() -> None:
    rc = RunConfiguration()
    rc.environment.environment_variables = {"A": "1", "B": "1"}
    rc.environment_variables = {"B": 2}  # type: ignore[dict-item]
    assert rc.to_spec("t.py").environment.variables == {"A": "1", "B": "2"}
    rc.environment_variables = {"A=B": "1"}
    with pytest.raises(UserError, match="A=B"):
        rc.to_spec("t.py")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rc: rc.data_references.update(a=1), "input 'a' must be a data reference"),
        (lambda rc: setattr(rc, "node_count", 0), "node_count must be 1 or more"),
    ],
)
def test_what_this_version_cannot_do_is_said_and_not_left_out(change: Any, message: str) -> None:
    rc = RunConfiguration()
    change(rc)
    with pytest.raises(UserError, match=message):
        rc.to_spec("t.py")


def test_printed_as_yaml() -> None:
    rc = RunConfiguration("t.py")
    rc.environment.docker.base_image_registry.password = "hunter2"
    text = repr(rc)
    assert "hunter2" not in text
    assert yaml.safe_load(text)["environment"]["python"]["interpreter_path"] == "python"


def test_names_are_where_v1_has_them() -> None:
    assert module.CondaDependencies is CondaDependencies
    assert module.EnvironmentDefinition is Environment
    for name in module.__all__:
        assert hasattr(module, name)


# -- packages ----------------------------------------------------------------------------------


def test_packages_replace_those_of_the_same_name() -> None:
    cd = CondaDependencies()
    cd.add_pip_package("scikit-learn")
    cd.add_pip_package("Scikit_Learn==1.5")
    cd.add_conda_package("numpy")
    cd.add_conda_package("numpy=1.26")
    cd.add_conda_package("python=3.11")
    assert cd.pip_packages == ["Scikit_Learn==1.5"]
    assert cd.conda_packages == ["numpy=1.26"]
    assert cd.get_python_version() == "3.11"
    cd.remove_pip_package("scikit-learn")
    cd.remove_conda_package("numpy")
    assert (cd.pip_packages, cd.conda_packages) == ([], [])


def test_package_lists_survive_their_file(tmp_path: Path) -> None:
    cd = CondaDependencies.create(
        pip_packages=["a==1", "b"], conda_packages=["c"], python_version="3.11.7"
    )
    cd.add_channel("conda-forge")
    assert cd.save_to_file(tmp_path, "sub/env.yml") == "sub/env.yml"
    assert CondaDependencies(tmp_path / "sub/env.yml") == cd
    assert CondaDependencies(cd.save(tmp_path)) == cd
    assert yaml.safe_load((tmp_path / "sub/env.yml").read_text()) == {
        "name": "project_environment",
        "dependencies": ["python=3.11.7", {"pip": ["a==1", "b"]}, "c"],
        "channels": ["conda-forge"],
    }
    rc = RunConfiguration()
    rc.environment.python.conda_dependencies_file = str(tmp_path / "sub/env.yml")
    assert rc.to_spec("t.py").environment.channels == ("conda-forge",)


@pytest.mark.parametrize("bad", ["", " ", "-r x.txt", None, 3])
def test_what_is_no_package_is_refused(bad: Any) -> None:
    with pytest.raises(RunConfigurationException, match="not a package requirement"):
        CondaDependencies.create(pip_packages=[bad])


def test_other_wrong_package_lists(tmp_path: Path) -> None:
    with pytest.raises(RunConfigurationException, match=r"must be a list: \['numpy'\]"):
        CondaDependencies.create(conda_packages="numpy")
    with pytest.raises(RunConfigurationException, match="Python version"):
        CondaDependencies.create(python_version="three")
    with pytest.raises(UserErrorException, match="no file"):
        CondaDependencies(tmp_path / "none.yml")
    (tmp_path / "bad.yml").write_text("a: [")
    with pytest.raises(UserErrorException, match="not YAML in line 1, column 5"):
        CondaDependencies(tmp_path / "bad.yml")


def test_environments_from_files(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("# all\nscikit-learn==1.5  # pinned\n\npandas\n")
    env = Environment.from_pip_requirements("e", tmp_path / "r.txt")
    assert env.python.conda_dependencies.pip_packages == ["scikit-learn==1.5", "pandas"]
    other = env.clone("f")
    other.python.conda_dependencies.add_pip_package("x")
    assert (env.name, other.name) == ("e", "f")
    assert len(env.python.conda_dependencies.pip_packages) == 2
    with pytest.raises(UserErrorException, match="cannot be read"):
        Environment.from_pip_requirements("e", tmp_path / "none.txt")


# -- script run configurations -----------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "train.py").write_text("")
    (tmp_path / "sub/deep.py").write_text("")
    return tmp_path


def test_with_nothing_said_this_interpreter_runs_it(source: Path) -> None:
    spec = ScriptRunConfig(source, "train.py", ["-a", 1]).to_spec()
    assert (spec.script, spec.arguments, spec.target) == ("train.py", ("-a", "1"), "local")
    assert spec.environment.interpreter == sys.executable
    assert ScriptRunConfig(str(source)).to_spec().script == "train.py"
    assert ScriptRunConfig(source, "./train.py").to_spec().script == "train.py"
    assert ScriptRunConfig(source, str(source / "sub/deep.py")).to_spec().script == "sub/deep.py"
    assert ScriptRunConfig(source, command=["ls"]).to_spec().command == ("ls",)


def test_elsewhere_an_environment_is_made(source: Path) -> None:
    spec = ScriptRunConfig(source, "train.py", compute_target="lab").to_spec()
    assert (spec.target, spec.environment.user_managed) == ("lab", False)
    env = Environment("e")
    env.python.conda_dependencies.add_pip_package("x")
    spec = ScriptRunConfig(source, "train.py", environment=env).to_spec()
    assert spec.environment.pip == ("x",)


def test_limits_do_not_change_the_shared_configuration(source: Path) -> None:
    rc = RunConfiguration()
    config = ScriptRunConfig(source, "train.py", run_config=rc, max_run_duration_seconds=5)
    assert config.to_spec().max_run_duration_s == 5
    assert rc == RunConfiguration()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"script": "trian.py"}, "did you mean 'train.py'"),
        ({"script": "deep.py"}, "sub/deep.py"),
        ({"script": "sub"}, "is a folder"),
        ({"script": "../x.py"}, "inside the source folder"),
        ({"script": "/etc/passwd"}, "inside the source folder"),
        ({"source_directory": "/no/such/folder"}, "no source directory"),
        ({"source_directory": __file__}, "is a file, not a folder"),
        ({"script": "train.py", "arguments": ["a\0b"]}, "NUL"),
        ({"run_config": RunConfiguration(), "compute_target": "x"}, "not both"),
        ({"distributed_job_config": 3}, "MpiConfiguration"),
        (
            {"distributed_job_config": module.PyTorchConfiguration("Gloo", 3, 2)},
            "cannot be shared out evenly",
        ),
    ],
)
def test_bad_submissions_are_refused(source: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ScriptRunConfig(**{"source_directory": source, "script": "train.py", **given}).to_spec()


def test_lines_of_one_name_stay_beside_each_other(tmp_path: Path) -> None:
    lines = ["numpy<2 ; python_version < '3.9'", "numpy>=2 ; python_version >= '3.9'"]
    (tmp_path / "r.txt").write_text("\n".join(lines))
    assert CondaDependencies.from_requirements(tmp_path / "r.txt").pip_packages == lines
    (tmp_path / "c.yml").write_text("dependencies: [toy>=1, toy<2, pip: [six<1, six>1.5]]")
    found = CondaDependencies(tmp_path / "c.yml")
    assert found.conda_packages == ["toy>=1", "toy<2"]
    assert found.pip_packages == ["six<1", "six>1.5"]
    again = CondaDependencies(_underlying_structure=found.as_dict())
    assert again == found
    found.add_pip_package("six==1.16")  # A program changes its mind.
    assert found.pip_packages == ["six==1.16"]


def test_a_file_of_the_other_kind(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text("dependencies:\n  - numpy\n")
    with pytest.raises(UserErrorException, match="--conda"):
        CondaDependencies.from_requirements(tmp_path / "c.yml")
    (tmp_path / "r.txt").write_text("idna\n# more\ncolorama ; a == 'b'\n- x: [")
    with pytest.raises(UserErrorException, match="--requirements"):
        CondaDependencies(tmp_path / "r.txt")
