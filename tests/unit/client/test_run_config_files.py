"""`.runconfig` files: v1's of both times, ours, what a person wrote in them, and what is wrong."""

from __future__ import annotations

import doctest
import itertools
import json
import shutil
import warnings
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from turnout import CondaDependencies, RunConfiguration
from turnout.client import commented_yaml, run_config_data, submission
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.client.run_config import (
    DatabricksCluster,
    DataReferenceConfiguration,
    JarLibrary,
    SparkPackage,
)
from turnout.client.run_config_comments import KEYS
from turnout.spec.records import to_dict

PROJECTS = Path(__file__).parent / "projects"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load_text(project: Path, text: str) -> RunConfiguration:
    path = project / "a.runconfig"
    path.write_text(text)
    return RunConfiguration.load(path)


def refused(project: Path, text: str) -> str:
    with pytest.raises(RunConfigurationException) as caught:
        load_text(project, text)
    return caught.value.message


@pytest.mark.parametrize("module", [commented_yaml, run_config_data])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


# -- v1's files --------------------------------------------------------------------------------


def test_a_file_of_the_first_time() -> None:
    rc = RunConfiguration.load(PROJECTS / "first", "cluster")
    assert (rc.script, rc.target, rc.framework) == ("train.py", "amlcompute", "Python")
    # What is written, not what YAML makes of it.
    assert rc.arguments == ["--rate", "0.10", "--flag", "yes"]
    python = rc.environment.python
    assert python.conda_dependencies_file == "aml_config/conda_dependencies.yml"
    assert python.conda_dependencies.conda_packages == ["scikit-learn"]
    assert python.conda_dependencies.get_python_version() == "3.6.2"
    assert rc.environment.docker.gpu_support
    assert rc.environment.spark.packages == [
        SparkPackage("com.microsoft.ml.spark", "mmlspark_2.11", "0.12")
    ]
    assert rc.spark.configuration["spark.yarn.maxAppAttempts"] == 1
    assert rc.amlcompute.vm_size == "STANDARD_D2_V2"
    assert rc.amlcompute._cluster_max_node_count == 5
    spec = rc.to_spec()
    assert (spec.node_count, spec.distribution.kind, spec.distribution.processes) == (2, "mpi", 3)
    assert spec.environment.variables == {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"}
    section = spec.sections["amlcompute"]
    assert section == {
        "vm_size": "STANDARD_D2_V2", "vm_priority": "lowpriority", "cluster_max_node_count": 5
    }  # fmt: skip
    json.dumps(to_dict(rc.environment.definition()))
    in_container = RunConfiguration.load(PROJECTS / "first", "docker")
    assert in_container.framework == "PySpark"
    assert in_container.environment.docker.enabled


def test_a_file_of_the_later_time() -> None:
    with pytest.warns(UserWarning, match="'history.enableMLflowTracking' is not known") as noted:
        rc = RunConfiguration.load(PROJECTS / "later", "gpu")
    assert len(noted) == 1
    assert noted[0].filename == __file__
    assert "gpu.runconfig', line 57" in str(noted[0].message)
    assert rc.arguments == ["--epochs", "10"]
    assert (rc.environment.name, rc.environment.version) == ("torch-env", "3")
    assert rc.environment.environment_variables == {"LEVEL": "010", "ON": "true", "EMPTY": ""}
    packages = rc.environment.python.conda_dependencies
    assert packages.pip_packages == ["torch==1.13.1"]
    assert packages.conda_channels == ["conda-forge"]
    assert rc.environment.docker.platform == {"os": "Linux", "architecture": "amd64"}
    assert (rc.docker.use_docker, rc.docker.shm_size, rc.docker.arguments) == (
        True, "8g", ["--init"]
    )  # fmt: skip
    assert rc.history.directories_to_watch == ["logs", "more"]
    assert (rc.priority, rc.max_run_duration_seconds, rc.command) == (1, 3600, "")
    assert rc.pytorch.process_count == 4
    assert rc.kubernetescompute.instance_type == "gpu-small"
    assert rc.environment_variables == {"ONE_RUN": "1"}
    raw = rc.data_references["raw"]
    assert raw == DataReferenceConfiguration("workspaceblobstore", path_on_datastore="raw/2020")
    assert (raw.data_store_name, raw.path_on_data_store) == ("workspaceblobstore", "raw/2020")
    assert rc.data["input1"]["dataLocation"]["dataset"]["version"] == "1"
    rc.data_references, rc.data = {}, {}
    spec = rc.to_spec()
    assert spec.environment.container is not None
    assert spec.environment.container.shm_size == "8g"
    assert (spec.distribution.kind, spec.distribution.processes) == ("pytorch", 2)


@pytest.mark.parametrize("name", ["docker", "cluster"])
def test_a_file_of_the_first_time_comes_back_as_it_was(project: Path, name: str) -> None:
    shutil.copytree(PROJECTS / "first", project, dirs_exist_ok=True)
    rc = RunConfiguration.load(".", name)
    rc.node_count = 4
    rc.save()
    path = project / "aml_config" / f"{name}.runconfig"
    text = path.read_text()
    # A person's comments beat ours; keys that had none get one.
    assert "# Where: a name.\ntarget: " in text
    assert "    # may have a file each.\n    condaDependenciesFile: aml_config/conda_" in text
    assert f"# {KEYS['communicator']}\ncommunicator: " in text
    said = yaml.safe_load(text)
    before = yaml.safe_load((PROJECTS / "first/aml_config" / f"{name}.runconfig").read_text())
    before["nodeCount"] = 4
    before["arguments"] = list(rc.arguments)
    before["environment"]["docker"].pop("gpuSupport")
    assert_holds(said, before)
    again = RunConfiguration.load(".", name)
    assert again == rc
    # The list says the same, so that it stays as the team wrote it.
    packages = project / "aml_config" / "conda_dependencies.yml"
    assert packages.read_text().startswith("# Kept by the team.")
    again.environment.python.conda_dependencies.add_conda_package("numpy")
    again.save()
    assert "- numpy" in packages.read_text()
    assert RunConfiguration.load(".", name) == again


def assert_holds(whole: Any, part: Any) -> None:
    """Everything of `part` is in `whole`."""
    if isinstance(part, dict):
        for key, value in part.items():
            assert_holds(whole[key], value)
    else:
        assert whole == part


def test_a_file_of_the_later_time_comes_back_as_it_was(project: Path) -> None:
    shutil.copytree(PROJECTS / "later", project, dirs_exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rc = RunConfiguration.load(project, "gpu")
        rc.save(project, "copy")
        again = RunConfiguration.load(project, "copy")
    assert again == rc
    said = yaml.safe_load((project / ".azureml/copy.runconfig").read_text())
    assert said["history"]["enableMLflowTracking"] is True
    assert said["data"]["input1"]["dataLocation"] == {
        "dataset": {"id": "5a3c", "name": "digits", "version": "1"}, "dataPath": None
    }  # fmt: skip
    assert said["dataReferences"]["raw"]["dataStoreName"] == "workspaceblobstore"


def test_json_stays_json(project: Path) -> None:
    shutil.copytree(PROJECTS / "later", project, dirs_exist_ok=True)
    with pytest.warns(UserWarning, match=r"plain.runconfig', line 14: 'owner' is not known here"):
        rc = RunConfiguration.load(project, "plain")
    assert rc.environment.docker.base_image == "mcr.microsoft.com/azureml/base:0.2.4"
    rc.save()
    said = json.loads((project / ".azureml/plain.runconfig").read_text())
    assert said["owner"] == "the vision team"
    assert said["environment"]["python"]["condaDependencies"]["dependencies"][0] == "python=3.6.2"


def test_an_environment_that_is_only_named(project: Path) -> None:
    rc = RunConfiguration.load(PROJECTS / "later", "named")
    assert rc.environment.is_by_name()
    assert not rc.environment.clone("other").is_by_name()
    rc.save(project / "x.runconfig")
    said = yaml.safe_load((project / "x.runconfig").read_text())
    assert said["environment"] == {"name": "sk", "version": "2"}
    rc.environment.docker.enabled = True
    assert not rc.environment.is_by_name()
    with pytest.raises(RunConfigurationException, match="names the environment 'sk' and changes"):
        submission.named_environment(cast(Any, None), rc.environment)
    rc.save(project / "x.runconfig")
    assert not RunConfiguration.load(project / "x.runconfig").environment.is_by_name()


# -- where -------------------------------------------------------------------------------------


def test_aml_config_goes_before_azureml(project: Path) -> None:
    rc = RunConfiguration()
    rc.target = "cpu"
    rc.save()
    assert (project / ".azureml/cpu.runconfig").is_file()
    assert RunConfiguration.load(project) == rc
    (project / "aml_config").mkdir()
    rc.save(project, "gpu.runconfig")
    assert (project / "aml_config/gpu.runconfig").is_file()
    assert RunConfiguration.load(project / "aml_config", "gpu") == rc
    with pytest.raises(UserErrorException, match=r"no run configuration 'cpu' in .*aml_config'"):
        RunConfiguration.load(project, "cpu")
    rc.save(project / "elsewhere" / "one.yml")
    assert RunConfiguration.load(project / "elsewhere" / "one.yml") == rc


def test_what_is_not_there(project: Path) -> None:
    RunConfiguration().save(project, "cluster")
    RunConfiguration().save(project, "gpu")
    for path, name, text in (
        (
            ".",
            "clustr",
            r"no run configuration 'clustr' .*did you mean 'cluster'\?\). It has: clu",
        ),
        (".", None, "Name a run configuration of '.': there are cluster, gpu."),
        ("nowhere", "x", "no folder 'nowhere'"),
        (".azureml/clustr.runconfig", None, r"clustr.runconfig' \(did you mean 'cluster'"),
        (".", "../x", "'../x' cannot name a run configuration"),
    ):
        with pytest.raises(UserErrorException, match=text):
            RunConfiguration.load(path, name)
        with pytest.raises(UserErrorException, match=text):
            RunConfiguration.delete(path, name)
    RunConfiguration.delete(project, "gpu")
    assert not (project / ".azureml/gpu.runconfig").exists()
    RunConfiguration.delete(project / ".azureml/cluster.runconfig")
    with pytest.raises(UserErrorException, match="it has none"):
        RunConfiguration.load(project)


def test_a_list_of_packages_beside_it(project: Path) -> None:
    rc = RunConfiguration()
    rc.environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["numpy"])
    rc.save(project, "a", separate_environment_yaml=True)
    said = yaml.safe_load((project / ".azureml/a.runconfig").read_text())["environment"]["python"]
    assert said["condaDependenciesFile"] == ".azureml/conda_dependencies.yml"
    assert "condaDependencies" not in said
    assert RunConfiguration.load(project, "a") == rc
    # Another's list is not lost.
    other = RunConfiguration()
    other.environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["pandas"])
    other.save(project, "b", separate_environment_yaml=True)
    assert RunConfiguration.load(project, "a") == rc
    assert RunConfiguration.load(project, "b") == other


def test_a_list_that_is_not_there(project: Path) -> None:
    text = (
        "environment:\n  python:\n    userManagedDependencies: {}\n"
        "    condaDependenciesFile: x.yml\n"
    )
    found = refused(project, text.format("false"))
    assert "a.runconfig', line 4: there is no file 'x.yml' in '" in found
    rc = load_text(project, text.format("true"))
    rc.save()
    assert not (project / "x.yml").exists()
    (project / "x.yml").write_text("dependencies: [-r]\n")
    assert "line 4: " in refused(project, text.format("false"))


def test_a_password_is_not_written(project: Path) -> None:
    rc = load_text(
        project,
        "environment:\n  docker:\n    baseImageRegistry:\n      address: r.example.org\n"
        "      username: ana\n      password: open-sesame\n",
    )
    assert rc.environment.docker.base_image_registry.password == "open-sesame"
    with pytest.warns(UserWarning, match="registry login"):
        rc.save(project / "b.runconfig")
    assert "sesame" not in (project / "b.runconfig").read_text()


# -- what a person writes ----------------------------------------------------------------------


def test_comments_are_kept(project: Path) -> None:
    rc = load_text(
        project,
        "# mine, of the whole\n\n# and of the script\nscript: a.py   # the first one\n"
        "arguments:  # words\n# a flag\n- --x # on\n- y\n"
        "environment:\n  # in here\n  python: {interpreterPath: p}\nnodeCount: 1\n# the end\n",
    )
    rc.save()
    text = (project / "a.runconfig").read_text()
    for line in (
        "# mine, of the whole\n# and of the script\n# the first one\nscript: a.py\n",
        "# words\n# a flag\n",
        "  # in here\n  python:\n",
    ):
        assert line in text
    assert text.endswith("# the end\n")
    rc.save()
    assert (project / "a.runconfig").read_text() == text


def test_a_file_that_is_written_is_replaced_in_one_step(project: Path) -> None:
    path = project / "a.runconfig"
    path.write_text("script: a.py\n")
    path.chmod(0o600)
    link = project / "link.runconfig"
    link.symlink_to(path)
    RunConfiguration.load(link).save()
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in project.iterdir() if p.name.startswith(".")] == []
    with pytest.raises(UserErrorException, match="cannot be written: Not a directory"):
        RunConfiguration().save(path / "x", "y")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nodeCount: two\n", "line 1: 'nodeCount' must be a whole number, not 'two'"),
        ("nodeCount: true\n", "'nodeCount' must be a whole number"),
        (
            "x: {}\nenvironment:\n  docker:\n    enabled: perhaps\n",
            "line 4: 'environment.docker.enabled' must be true or false, not 'perhaps'",
        ),
        ("environment: [1]\n", "line 1: 'environment' must be a mapping of names to values"),
        ("framework: Pyton\n", "line 1: 'Pyton' is no framework (did you mean 'Python'?)"),
        ("arguments: {a: 1}\n", "'arguments' must be a list"),
        ('arguments: "it\'s"\n', "cannot be split"),
        ("script: [a]\n", "'script' must be a text"),
        ("dataReferences: [a]\n", "'dataReferences' must be a mapping"),
        ("dataReferences:\n  a: 1\n", "line 2: 'dataReferences.a' must be a mapping of names"),
        ("environment:\n  spark:\n    packages: {}\n", "packages' must be a list"),
        ("environment:\n  spark:\n    packages: [x]\n", "line 3: 'environment.spark.packages.0'"),
        ("history:\n  directoriesToWatch: [[a]]\n", "must be a list of texts"),
        ("history:\n  directoriesToWatch: a\n", "must be a list"),
        ("environmentVariables: a\n", "'environmentVariables' must be a mapping"),
        (
            "environment:\n  python:\n    condaDependencies: {dependencies: {}}\n",
            "line 3: 'dependencies' of a conda environment file must be a list",
        ),
    ],
)
def test_what_cannot_be(project: Path, text: str, found: str) -> None:
    message = refused(project, text)
    assert "a.runconfig', line " in message
    assert found in message


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", "is empty"),
        (b"- a\n", "is no mapping"),
        (b"a: [\n", "cannot be read: it is not YAML in line 2"),
        (b"{'a': 1\n", "cannot be read: it is not YAML"),
        (b"a: 1\nb: 2\na: 3\n", "line 3: 'a' is there twice; it is in line 1 already"),
        (b'{"a": 1, "a": 2}', "has 'a' twice"),
        (b"\xff\xfe\x00", "it is not text"),
        (b"a: &x {b: *x}\n", "it is too deep"),
        (b"a: 2019-13-77\n", "cannot be read"),
        (b"--- {}\n--- {}\n", "cannot be read"),
        (b"[" * 5000, "cannot be read"),
        (b"{" + b'"a": {' * 50000, "cannot be read"),
        (
            b"a: &a {x: 1, y: 1}\n"
            + b"".join(
                b"%c: &%c {x: *%c, y: *%c}\n" % (i, i, i - 1, i - 1) for i in b"bcdefghijklmnop"
            ),
            "more than",
        ),
    ],
)  # fmt: skip
def test_what_is_no_run_configuration(project: Path, text: bytes, found: str) -> None:
    path = project / "a.runconfig"
    path.write_bytes(text)
    with pytest.raises(UserErrorException, match=r"a\.runconfig") as caught:
        RunConfiguration.load(path)
    assert found in caught.value.message


def test_keys_with_a_slip_are_warned_of_and_kept(project: Path) -> None:
    with pytest.warns(UserWarning, match=r"did you mean 'nodeCount'\?\)\. It is kept"):
        rc = load_text(project, "nodeCuont: 2\n")
    rc.save()
    assert "nodeCuont: 2\n" in (project / "a.runconfig").read_text()
    # Python's spelling is understood, and nothing is lost of what has no place here.
    with pytest.warns(UserWarning, match="packages.1.licence"):
        rc = load_text(
            project,
            "node_count: 2\nenvironment:\n  spark:\n    packages:\n    - {group: a}\n"
            "    - {group: b, licence: MIT}\nr_section:\n",
        )
    assert rc.node_count == 2
    rc.save()
    said = yaml.safe_load((project / "a.runconfig").read_text())
    assert said["environment"]["spark"]["packages"][1]["licence"] == "MIT"
    rc.environment.spark.packages = []
    rc.save()


@pytest.mark.parametrize("key", ["amlCompute", "amlcompute", "aml_compute", "AmlCompute"])
def test_a_key_in_whatever_case(project: Path, key: str) -> None:
    rc = load_text(project, f"# the cluster\n{key}:\n  # small\n  vm_size: 2c4g\n")
    assert rc.amlcompute.vm_size == "2c4g"
    rc.save()
    text = (project / "a.runconfig").read_text()
    assert "# the cluster\namlcompute:\n  # small\n  vmSize: 2c4g\n" in text
    assert load_text(project, "environment_variables: {A: 010}\n").environment_variables == {
        "A": "010"
    }


def test_a_name_with_a_folder(project: Path) -> None:
    (project / "config").mkdir()
    (project / "config/packages.yml").write_text("# ours\ndependencies: [numpy]\n")
    path = project / "config/train.runconfig"
    path.write_text(
        "environment: {python: {condaDependenciesFile: config/packages.yml}}\nnodeCount: '4'\n"
    )
    for rc in (RunConfiguration.load(".", "config/train"), RunConfiguration.load(path)):
        assert rc.node_count == 4
        packages = rc.environment.python.conda_dependencies
        assert packages.conda_packages == ["numpy"]
        packages.add_pip_package("torch")
        rc.save()
        assert sorted(p.name for p in (project / "config").iterdir()) == [
            "packages.yml", "train.runconfig"
        ]  # fmt: skip
        assert "- torch" in (project / "config/packages.yml").read_text()
        (project / "config/packages.yml").write_text("# ours\ndependencies: [numpy]\n")
    RunConfiguration().save(project, "config/other")
    assert (project / "config/other.runconfig").is_file()


def test_a_dockerfile_beside_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (project / ".azureml").mkdir()
    (project / "Dockerfile").write_text("FROM python:3.12\n")
    path = project / ".azureml/box.runconfig"
    path.write_text("environment: {docker: {enabled: true, baseDockerfile: Dockerfile}}\n")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    rc = RunConfiguration.load(project, "box")
    container = rc.to_spec("t.py").environment.container
    assert container is not None
    assert container.dockerfile == "FROM python:3.12\n"
    rc.save()
    assert "baseDockerfile: Dockerfile\n" in path.read_text()


def test_every_key_is_explained(project: Path) -> None:
    rc = RunConfiguration()
    rc.environment.docker.memory, rc.environment.docker.cpus = "1g", 1
    rc.environment.docker.network, rc.environment.docker.system_packages = "none", ["libgl1"]
    rc.environment.docker.gpu_support, rc.environment.eras = True, False
    rc.restarts, rc.credential_passthrough = 0, True
    rc.save(project, "a")
    lines = (project / ".azureml/a.runconfig").read_text().splitlines()
    for before, line in itertools.pairwise(["", *lines]):
        if line.endswith(("project_environment", "dependencies: []")):
            continue  # the content of a conda environment file
        if not line.lstrip().startswith(("#", "-")):
            assert before.lstrip().startswith("# "), line


def test_databricks(project: Path) -> None:
    rc = RunConfiguration()
    rc.environment.databricks.jar_libraries = [JarLibrary("a.jar")]
    rc.environment.databricks.cluster = DatabricksCluster(spark_version="6.4", num_workers=2)
    rc.save(project, "d")
    found = RunConfiguration.load(project, "d")
    assert found == rc
    found.environment.databricks.cluster.validate()
    for cluster in (
        DatabricksCluster(existing_cluster_id="a", num_workers=1),
        DatabricksCluster(num_workers=1, min_workers=1, max_workers=2),
        DatabricksCluster(min_workers=1),
    ):
        with pytest.raises(RunConfigurationException):
            cluster.validate()
