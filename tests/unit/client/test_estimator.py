from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from turnout import (
    Chainer,
    Environment,
    Estimator,
    PyTorch,
    RunConfigurationException,
    SKLearn,
    TensorFlow,
    UserErrorException,
)
from turnout.client.distributed_training import Gloo, Mpi, Nccl, ParameterServer


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "train.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_parameters_become_arguments_and_flags_stay_alone() -> None:
    est = Estimator(
        ".", entry_script="train.py", compute_target="cpu",
        script_params={"--alpha": 0.5, "--verbose": "", "--n": 0, "-v": None},
    )  # fmt: skip
    spec = est.to_spec()
    assert spec.arguments == ("--alpha", "0.5", "--verbose", "--n", "0", "-v")
    assert (spec.script, spec.target) == ("train.py", "cpu")
    assert est.run_config.arguments[1] == 0.5


def test_a_submission_replaces_parameters_and_leaves_the_estimator_alone() -> None:
    est = Estimator(".", entry_script="train.py", script_params={"--alpha": 0.5, "--beta": 1})
    other = est.with_overrides({"script_params": {"--alpha": 0.7, "--new": 2}})
    assert other.to_spec().arguments == ("--alpha", "0.7", "--beta", "1", "--new", "2")
    assert est.to_spec().arguments == ("--alpha", "0.5", "--beta", "1")
    assert est.script_params == {"--alpha": 0.5, "--beta": 1}
    with pytest.raises(UserErrorException, match=r"no argument 'script_parms'.*script_params"):
        est.with_overrides({"script_parms": {}})


@pytest.mark.parametrize(
    ("given", "kind", "nodes", "processes"),
    [
        ({}, "", 1, 1),
        ({"node_count": 2}, "mpi", 2, 1),
        ({"process_count_per_node": 3}, "mpi", 1, 3),
        ({"node_count": 2, "distributed_training": Mpi(process_count_per_node=2)}, "mpi", 2, 2),
        ({"distributed_training": Mpi()}, "mpi", 1, 1),
        ({"node_count": 2, "distributed_backend": "gloo"}, "pytorch", 2, 1),
        ({"node_count": 2, "process_count_per_node": 2, "distributed_training": Nccl()},
         "pytorch", 2, 2),
        ({"node_count": 2, "distributed_training": Gloo()}, "pytorch", 2, 1),
    ],
)  # fmt: skip
def test_ways_to_distribute(given: Any, kind: str, nodes: int, processes: int) -> None:
    spec = Estimator(".", entry_script="train.py", compute_target="cpu", **given).to_spec()
    found = spec.distribution
    assert (found.kind, spec.node_count, found.processes) == (kind, nodes, processes)


def test_parameter_servers() -> None:
    ways: tuple[dict[str, Any], ...] = (
        {"distributed_training": ParameterServer(worker_count=2, parameter_server_count=1)},
        {"distributed_backend": "ps", "worker_count": 2, "parameter_server_count": 1},
    )
    for given in ways:
        est = TensorFlow(".", entry_script="train.py", node_count=2, **given)
        found = est.to_spec().distribution
        assert (found.kind, found.workers, found.parameter_servers) == ("tensorflow", 2, 1)


def test_ways_that_are_none() -> None:
    with pytest.raises(RunConfigurationException, match=r"did you mean 'nccl'"):
        Estimator(".", distributed_backend="ncl")
    with pytest.raises(RunConfigurationException, match="must be Mpi"):
        Estimator(".", distributed_training="mpi")  # pyright: ignore[reportArgumentType]
    with pytest.raises(RunConfigurationException, match="no argument 'entry'"):
        Estimator(".", entry="train.py")


def test_packages_of_every_source_come_together(folder: Path) -> None:
    (folder / "conda.yml").write_text("dependencies: [python=3.11, numpy, {pip: [idna==1]}]\n")
    (folder / "req.txt").write_text("requests\nidna==2\n")
    est = Estimator(
        ".", entry_script="train.py", conda_dependencies_file="conda.yml",
        pip_requirements_file_path="req.txt", conda_packages=["scipy"], pip_packages=["idna==3"],
    )  # fmt: skip
    found = est.conda_dependencies
    assert found.conda_packages == ["numpy", "scipy"]
    assert found.pip_packages == ["idna==3", "requests"]
    assert found.get_python_version() == "3.11"


@pytest.mark.parametrize(
    ("kind", "given", "pip"),
    [
        (SKLearn, {}, ["scikit-learn"]),
        (SKLearn, {"framework_version": "0.20.3"}, ["scikit-learn==0.20.3"]),
        (SKLearn, {"pip_packages": ["scikit-learn==1.5"]}, ["scikit-learn==1.5"]),
        (SKLearn, {"conda_packages": ["scikit-learn"]}, []),
        (PyTorch, {"framework_version": "1.4"}, ["torch==1.4.*", "torchvision"]),
        (PyTorch, {"conda_packages": ["pytorch"]}, ["torchvision"]),
        (TensorFlow, {"pip_packages": ["tensorflow-gpu"]}, ["tensorflow-gpu"]),
        (TensorFlow, {"pip_packages": ["keras"]}, ["keras", "tensorflow"]),
        (Chainer, {}, ["chainer"]),
    ],
)
def test_frameworks_bring_their_packages(kind: Any, given: Any, pip: list[str]) -> None:
    assert kind(".", entry_script="train.py", **given).conda_dependencies.pip_packages == pip


def test_containers_are_made_when_one_is_asked_for() -> None:
    def docker(**given: Any) -> tuple[bool, str | None]:
        section = Estimator(".", entry_script="train.py", **given).run_config.environment.docker
        return section.enabled, section.base_image

    plain = docker()[1]
    assert docker() == docker(use_docker=False) == (False, plain)
    assert docker(use_docker=True) == (True, plain)
    assert docker(custom_docker_image="python:3.12") == (True, "python:3.12")
    assert docker(custom_docker_base_image="python:3.12") == (True, "python:3.12")
    assert docker(custom_docker_image="python:3.12", use_docker=False) == (False, plain)


def test_an_environment_says_it_all() -> None:
    env = Environment("mine")
    est = SKLearn(
        ".", entry_script="train.py", environment_definition=env, pip_packages=["idna"],
        environment_variables={"A": 1},
    )  # fmt: skip
    assert est.run_config.environment is env
    assert est.to_spec().environment.pip == ()
    assert dict(est.to_spec().environment.variables) == {"A": "1"}


def test_a_size_without_a_target_is_a_cluster_for_the_run() -> None:
    est = Estimator(".", entry_script="train.py", vm_size="STANDARD_D2_V2", node_count=2)
    spec = est.to_spec()
    assert spec.target == "amlcompute"
    assert spec.sections["amlcompute"] == {
        "vm_size": "STANDARD_D2_V2",
        "cluster_max_node_count": 2,
    }


def test_user_managed_and_limits() -> None:
    est = Estimator(
        ".", entry_script="train.py", user_managed=True, max_run_duration_seconds=60,
        environment_variables={"A": 1}, shm_size="1g", use_gpu=True, _disable_validation=True,
    )  # fmt: skip
    spec = est.to_spec()
    assert spec.environment.user_managed
    assert spec.max_run_duration_s == 60
    assert est.run_config.environment.environment_variables == {"A": "1"}
