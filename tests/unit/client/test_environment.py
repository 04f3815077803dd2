"""`Environment` with v1's names: made from things, registered, saved, sent."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_service import FakeService, error, run_view

from turnout import (
    CondaDependencies,
    ContainerRegistry,
    DockerConfiguration,
    Environment,
    Experiment,
    Run,
    RunConfiguration,
    ScriptRun,
    ScriptRunConfig,
    Workspace,
)
from turnout.client import environment_folders, environment_sources
from turnout.client.details import details
from turnout.client.environment import DEFAULT_CPU_IMAGE
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.client.run import from_view
from turnout.spec.environments import ContainerSpec
from turnout.spec.errors import NotFoundError, UserError

pytestmark = pytest.mark.usefixtures("client")
PASSWORD = "hunter2"


@pytest.mark.parametrize("module", [environment_folders, environment_sources])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.fixture
def workspace() -> Workspace:
    return Workspace(workspace_name="w")


class Keeper:
    """What the service does with names."""

    def __init__(self, service: FakeService) -> None:
        self.versions: list[dict[str, Any]] = []
        service("POST", "/v1/environments", self.register)
        service("POST", "/v1/registries", lambda query, body: body)
        service("GET", "/v1/environments/sk", self.get)
        service("GET", "/v1/environments", lambda q, b: {"environments": self.versions[-1:]})

    def register(self, query: Any, body: Any) -> Any:
        if not self.versions or self.versions[-1]["definition"] != body["definition"]:
            version = body["version"] or str(len(self.versions) + 1)
            self.versions.append({**body, "version": version})
        return self.versions[-1]

    def get(self, query: Any, body: Any) -> Any:
        wanted = query.get("version", [self.versions[-1]["version"]])[0]
        found = [v for v in self.versions if v["version"] == wanted]
        return found[0] if found else (404, error("not_found", "no such version"))


def test_register_and_get(service: FakeService, workspace: Workspace) -> None:
    keeper = Keeper(service)
    env = Environment("sk")
    env.python.conda_dependencies.add_pip_package("numpy")
    env.environment_variables["A"] = "1"
    kept = env.register(workspace)
    assert (kept.name, kept.version, env.version) == ("sk", "1", "1")
    found = Environment.get(workspace, "sk")
    assert found == kept == env
    assert found.to_spec("lab", {}).name == "sk:1"
    # A change is the next version, though the object says the one that it came from.
    found.python.conda_dependencies.add_pip_package("pandas")
    assert found.to_spec("lab", {}).name == ""
    assert found.register(workspace).version == "2"
    assert found.to_spec("lab", {}).name == "sk:2"
    assert Environment.get(workspace, name="sk", version="1") == env
    assert Environment.get(workspace, "sk", label="Latest").version == "2"
    # One that is asked for is passed on.
    found.version = "spring"
    found.python.conda_dependencies.add_pip_package("scipy")
    assert found.register(workspace).version == "spring"
    assert list(Environment.list(workspace)) == list(workspace.environments) == ["sk"]
    assert len(keeper.versions) == 3
    with pytest.raises(NotFoundError):
        Environment.get(workspace, "sk", "9")
    with pytest.raises(UserErrorException, match="label 'mine'"):
        Environment.get(workspace, "sk", label="mine")
    with pytest.raises(UserErrorException, match="needs a name"):
        Environment().register(workspace)


def test_everything_survives_being_kept(service: FakeService, workspace: Workspace) -> None:
    Keeper(service)
    env = Environment("sk", eras=False)
    env.python.conda_dependencies = CondaDependencies.create(
        pip_packages=["a==1"], conda_packages=["b=1"], python_version="3.11"
    )
    env.python.conda_dependencies.set_pip_option("--pre")
    env.python.conda_dependencies.add_channel("conda-forge")
    env.docker.enabled = True
    env.docker.base_image = "base:1"
    env.docker.base_image_registry.address = "r.example.org"
    env.docker.arguments = ["--init"]
    env.docker.shm_size, env.docker.memory, env.docker.cpus = "1g", "4g", 2
    env.docker.system_packages = ["libgl1"]
    env.spark.precache_packages = False
    env.register(workspace)
    found = Environment.get(workspace, "sk")
    assert found == env
    assert found.to_spec("lab", {}) == env.to_spec("lab", {})
    # Docker that is not there yet can be switched on later.
    plain = Environment("sk")
    plain.register(workspace)
    found = Environment.get(workspace, "sk")
    assert found.docker.base_image == DEFAULT_CPU_IMAGE
    found.docker.enabled = True
    assert found.to_spec("lab", {}).container == ContainerSpec(image=DEFAULT_CPU_IMAGE)


def test_clones_are_on_their_own(service: FakeService, workspace: Workspace) -> None:
    Keeper(service)
    env = Environment("sk")
    env.register(workspace)
    other = env.clone("mine")
    other.python.conda_dependencies.add_pip_package("x")
    assert (other.name, other.version) == ("mine", None)
    assert env.python.conda_dependencies.pip_packages == []
    assert env.clone("mine").to_spec("lab", {}).name == ""


def test_passwords_go_to_the_vault_alone(
    service: FakeService, workspace: Workspace, tmp_path: Path
) -> None:
    Keeper(service)
    service("POST", "/v1/runs", lambda query, body: run_view(spec=body["spec"]))
    registry = ContainerRegistry("r.example.org", "ana", PASSWORD)
    env = Environment.from_docker_image("sk", "base:1", registry)
    env.register(workspace)
    rc = RunConfiguration()
    rc.environment = env
    rc.history.snapshot_project = False
    (tmp_path / "a.py").touch()
    Experiment(workspace, "e").submit(ScriptRunConfig(tmp_path, "a.py", run_config=rc))
    login = {"address": "r.example.org", "username": "ana", "password": PASSWORD}
    assert service.sent("POST", "/v1/registries") == [login, login]
    others = [body for _, path, body in service.requests if path != "/v1/registries"]
    assert PASSWORD not in json.dumps(others)
    assert PASSWORD not in repr(env)
    container = service.sent("POST", "/v1/runs")[0]["spec"]["environment"]["container"]
    assert container == {
        "image": "base:1", "registry": "r.example.org", "registry_username": "ana",
    }  # fmt: skip
    registry.address = None
    with pytest.raises(UserErrorException, match="needs address"):
        env.register(workspace)


def test_build_is_a_run_that_only_prepares(service: FakeService, workspace: Workspace) -> None:
    service("POST", "/v1/runs", lambda query, body: run_view(spec=body["spec"]))
    env = Environment("sk")
    env.python.conda_dependencies.add_pip_package("idna")
    assert isinstance(env.build(workspace, target="lab"), ScriptRun)
    env.build(workspace, "cpu-cluster")
    env.build_local(workspace)
    sent = service.sent("POST", "/v1/runs")
    assert sent[0]["spec"] == {
        "target": "lab", "prepare_only": True, "environment": {"pip": ["idna"]},
    }  # fmt: skip
    assert [body["spec"].get("target", "local") for body in sent] == [
        "lab",
        "cpu-cluster",
        "local",
    ]
    assert len({body["key"] for body in sent}) == 3


def test_the_environment_of_a_run(workspace: Workspace) -> None:
    spec = {
        "script": "a.py",
        "environment": {"pip": ["idna"], "name": "sk:2", "python_version": "3.11"},
    }
    run: Run = from_view(workspace, run_view(spec=spec))
    env = run.get_environment()
    assert (env.name, env.version) == ("sk", "2")
    assert env.python.conda_dependencies.get_python_version() == "3.11"
    assert env.to_spec("lab", {}).pip == ("idna",)


# -- containers --------------------------------------------------------------------------------


def test_from_images_and_dockerfiles(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("idna\n")
    (tmp_path / "c.yml").write_text("dependencies: [numpy]\n")
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    spec = Environment.from_docker_image("e", "a:1").to_spec("local", {})
    # The Python of the image, not of this machine.
    assert (spec.user_managed, spec.interpreter) == (True, "python")
    assert spec.container == ContainerSpec(image="a:1")
    env = Environment.from_docker_image("e", "a:1", pip_requirements=tmp_path / "r.txt")
    assert (env.to_spec("lab", {}).user_managed, env.to_spec("lab", {}).pip) == (False, ("idna",))
    for given in (str(tmp_path / "Dockerfile"), tmp_path / "Dockerfile", "FROM a\n", "FROM a"):
        env = Environment.from_dockerfile("e", given, conda_specification=tmp_path / "c.yml")
        spec = env.to_spec("lab", {})
        assert spec.conda == ("numpy",)
        assert spec.container is not None
        assert spec.container.dockerfile.strip() == "FROM a"
    with pytest.raises(UserErrorException, match="Dockerfile 'none' cannot be read"):
        Environment.from_dockerfile("e", "none")
    with pytest.raises(UserErrorException, match="not both"):
        Environment.from_docker_image("e", "a", None, tmp_path / "c.yml", tmp_path / "r.txt")


def test_a_dockerfile_by_v1s_settings(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    for image in (DEFAULT_CPU_IMAGE, None):
        env = Environment("e")
        env.docker.enabled = True
        env.docker.base_image = image
        env.docker.base_dockerfile = str(tmp_path / "Dockerfile")
        assert env.to_spec("lab", {}).container == ContainerSpec(dockerfile="FROM a\n")
    env.docker.base_image = "python:3.12"
    with pytest.raises(UserError, match="one of the two"):
        env.to_spec("lab", {})


def test_docker_configurations_add_to_the_environment(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    env = Environment("e")
    env.docker.base_image = "a:1"
    env.docker.arguments = ["--init"]
    env.docker.gpu_support = True
    more = DockerConfiguration(use_docker=True, arguments=["-v", "/a:/b"], shm_size="1g")
    config = ScriptRunConfig(tmp_path, "a.py", environment=env, docker_runtime_config=more)
    container = config.to_spec().environment.container
    assert container == ContainerSpec(
        image="a:1", arguments=("--init", "-v", "/a:/b"), shm_size="1g"
    )
    assert (env.docker.enabled, env.docker.arguments) == (False, ["--init"])
    config = ScriptRunConfig(tmp_path, "a.py", docker_runtime_config=DockerConfiguration(True))
    spec = config.to_spec().environment
    assert spec.container == ContainerSpec(image=DEFAULT_CPU_IMAGE)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("memory", "lots", "memory 'lots' is not a size"),
        ("cpus", "many", "cpus must be a number"),
        ("cpus", 0, "cpus must be more than 0"),
        ("network", "--privileged", "cannot name a network"),
        ("system_packages", ["-o x"], "Debian package"),
        ("base_image", "--privileged", "not an image's name"),
    ],
)
def test_containers_that_cannot_be(name: str, value: Any, word: str) -> None:
    env = Environment("e")
    env.docker.enabled = True
    setattr(env.docker, name, value)
    with pytest.raises(UserError, match=word):
        env.to_spec("lab", {})


def test_v1s_other_settings_are_taken() -> None:
    env = Environment(name="e")
    env.inferencing_stack_version = "latest"
    env.databricks.pypi_libraries.append("x")
    env.docker.shared_volumes = False
    env.docker.platform = {"os": "Linux"}
    env.python._base_conda_environment = "x"
    assert env.to_spec("lab", {}).container is None
    with pytest.raises(RunConfigurationException, match="'inferencing_stack_version'"):
        env.inferencing_stack = "x"  # type: ignore[attr-defined]


# -- folders -----------------------------------------------------------------------------------


def test_folders(tmp_path: Path) -> None:
    env = Environment("e", environment_variables={"my_var": "1"})
    env.python.conda_dependencies.add_pip_package("idna")
    env.docker.enabled = True
    env.docker.base_image = None
    env.docker.base_dockerfile = "FROM a\n"
    env.docker.base_image_registry.password = PASSWORD
    env.docker.shm_size = "1g"
    folder = tmp_path / "new" / "env"
    env.save_to_directory(folder)
    assert sorted(p.name for p in folder.iterdir()) == [
        "BaseDockerfile", "azureml_environment.json", "conda_dependencies.yml",
    ]  # fmt: skip
    assert PASSWORD not in "".join(p.read_text() for p in folder.iterdir())
    data = json.loads((folder / "azureml_environment.json").read_text())
    assert data["environmentVariables"] == {"my_var": "1"}
    assert data["docker"]["shmSize"] == "1g"
    found = Environment.load_from_directory(folder)
    assert found.definition() == env.definition()
    with pytest.raises(UserErrorException, match="overwrite=True"):
        env.save_to_directory(folder)
    env.save_to_directory(folder, overwrite=True)
    with pytest.raises(UserErrorException, match=r"no azureml_environment\.json"):
        Environment.load_from_directory(tmp_path)


V1_FILE = {
    "name": "testenv",
    "version": None,
    "environmentVariables": {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"},
    "python": {
        "userManagedDependencies": False,
        "interpreterPath": "python",
        "condaDependenciesFile": None,
        "baseCondaEnvironment": None,
    },
    "docker": {
        "enabled": True,
        "baseImage": "mcr.microsoft.com/azureml/base:intelmpi2018.3-ubuntu16.04",
        "baseDockerfile": None,
        "sharedVolumes": True,
        "shmSize": "2g",
        "arguments": [],
        "baseImageRegistry": {"address": None, "username": None, "password": None},
        "platform": {"os": "Linux", "architecture": "amd64"},
    },
    "spark": {"repositories": [], "packages": [], "precachePackages": True},
    "databricks": {"mavenLibraries": [], "pypiLibraries": [], "rcranLibraries": []},
    "r": None,
    "inferencingStackVersion": None,
    "assetId": "x",
}


def test_v1s_folders_are_read(tmp_path: Path) -> None:
    path = tmp_path / "azureml_environment.json"
    path.write_text(json.dumps(V1_FILE))
    found = Environment.load_from_directory(tmp_path)
    assert (found.name, found.docker.shm_size) == ("testenv", "2g")
    assert found.environment_variables == {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"}
    path.write_text(json.dumps({"docker": {"baseImge": "x"}}))
    with pytest.raises(RunConfigurationException, match="did you mean 'base_image'"):
        Environment.load_from_directory(tmp_path)
    path.write_text("{")
    with pytest.raises(UserErrorException, match="cannot be read"):
        Environment.load_from_directory(tmp_path)


# -- what is there already ---------------------------------------------------------------------


def record(prefix: Path, name: str, version: str, channel: str = "conda-forge") -> None:
    (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
    (prefix / f"conda-meta/{name}-{version}-0.json").write_text(
        json.dumps(
            {
                "name": name,
                "version": version,
                "channel": f"https://conda.anaconda.org/t/secret/{channel}/linux-64",
            }
        )
    )


@pytest.fixture
def conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with one conda, which has environments `base` and `ml`."""
    for name in ("CONDA_EXE", "CONDA_PREFIX", "MAMBA_EXE", "MAMBA_ROOT_PREFIX", "CONDA_ENVS_PATH",
                 "CONDA_ROOT"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tmp_path / "miniforge3"
    record(root, "conda", "25.1")
    record(root / "envs/ml", "python", "3.11.7")
    record(root / "envs/ml", "numpy", "1.26.4")
    record(root / "envs/ml", "team-tool", "2", channel="team")
    site = root / "envs/ml/lib/python3.11/site-packages"
    for name, installer in (("numpy", "conda"), ("idna", "pip")):
        info = site / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.7\n")
        (info / "INSTALLER").write_text(f"{installer}\n")
    return root


def test_conda_environments_of_this_machine(conda: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ml", str(conda / "envs/ml")):
        env = Environment.from_existing_conda_environment("e", name)
        found = env.python.conda_dependencies
        assert found.get_python_version() == "3.11.7"
        assert found.conda_packages == ["numpy=1.26.4", "team-tool=2"]
        assert found.pip_packages == ["idna==3.7"]
        assert found.conda_channels == ["conda-forge", "team"]
    base = Environment.from_existing_conda_environment("e", "base")
    assert base.python.conda_dependencies.conda_packages == ["conda=25.1"]
    with pytest.raises(UserErrorException, match=r"no conda environment 'nl'.*There are: ml"):
        Environment.from_existing_conda_environment("e", "nl")
    with pytest.raises(UserErrorException, match="no conda-meta"):
        Environment.from_existing_conda_environment("e", "./nowhere")
    (conda / "envs/ml/conda-meta/x.json").write_text("{")
    with pytest.raises(UserErrorException, match=r"x\.json"):
        Environment.from_existing_conda_environment("e", "ml")
    monkeypatch.setenv("HOME", str(conda / "elsewhere"))
    with pytest.raises(UserErrorException, match="None was found"):
        Environment.from_existing_conda_environment("e", "ml")


def test_environments_that_conda_noted_elsewhere(conda: Path, tmp_path: Path) -> None:
    record(tmp_path / "far/away", "python", "3.12.1")
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda/environments.txt").write_text(f"{tmp_path}/gone\n{tmp_path}/far/away\n")
    env = Environment.from_existing_conda_environment("e", "away")
    assert env.python.conda_dependencies.get_python_version() == "3.12.1"


def installed(site: Path, name: str, version: str, origin: dict[str, Any] | None = None) -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if origin is not None:
        (info / "direct_url.json").write_text(json.dumps(origin))


def test_what_this_python_has_installed(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    commit = {"vcs": "git", "commit_id": "abc"}
    installed(first, "turnout", "0.1")
    installed(first, "Scikit_Learn", "1.5.2")
    installed(second, "scikit-learn", "1.0")
    installed(second, "pkg", "1", {"url": "https://x.org/p.git", "vcs_info": commit})
    installed(second, "wheel-of-net", "1", {"url": "https://x.org/w.whl"})
    installed(second, "mine", "1", {"url": "file:///home/me/mine", "dir_info": {"editable": True}})
    installed(second, "sneaky", "1", {"url": f"https://u:{PASSWORD}@x.org/w.whl"})
    from importlib import metadata

    found = metadata.distributions(path=[str(first), str(second)])
    lines, left_out = environment_sources.requirements(found)
    assert lines == [
        "pkg @ git+https://x.org/p.git@abc",
        "Scikit_Learn==1.5.2",
        "wheel-of-net @ https://x.org/w.whl",
    ]
    assert left_out == ["mine", "sneaky"]


def test_this_very_python() -> None:
    script = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from turnout import Environment\n"
        "env = Environment.from_current_interpreter('e')\n"
        "spec = env.to_spec('lab', {})\n"
        "print(spec.python_version, *spec.pip)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    from importlib.metadata import version

    words = done.stdout.split()
    assert words[0] == sys.version.split()[0]
    assert f"pytest=={version('pytest')}" in words
    assert not any(word.startswith("turnout==") for word in words)


def test_v1s_folders_with_an_inline_list(tmp_path: Path) -> None:
    inline = {"dependencies": ["python=3.8.5", {"pip": ["idna"]}], "channels": ["conda-forge"]}
    data = {"name": "e", "python": {"condaDependencies": inline}}
    (tmp_path / "azureml_environment.json").write_text(json.dumps(data))
    found = Environment.load_from_directory(tmp_path).python.conda_dependencies
    assert (found.get_python_version(), found.pip_packages) == ("3.8.5", ["idna"])


def test_details_show_the_container() -> None:
    spec = {
        "script": "a.py",
        "environment": {"name": "box:2", "pip": ["idna"], "container": {"image": "a:1"}},
    }
    shown = details(run_view(spec=spec), {})["runDefinition"]["environment"]
    assert (shown["name"], shown["version"]) == ("box", "2")
    assert (shown["docker"]["enabled"], shown["docker"]["baseImage"]) == (True, "a:1")
