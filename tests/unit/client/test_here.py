"""A Python that is used as it is: this process has it where nodes are parts of this machine."""

from __future__ import annotations

import sys

import pytest
from fake_service import FakeService

from turnout import CondaDependencies, RunConfiguration
from turnout.client.here import at_home, is_here
from turnout.client.http import Client


def configuration(target: str) -> RunConfiguration:
    rc = RunConfiguration()
    rc.target = target
    rc.environment.python.user_managed_dependencies = True
    return rc


@pytest.fixture(autouse=True)
def targets(service: FakeService) -> None:
    service("GET", "/v1/targets/cpu", {"kind": "cluster"})
    service("GET", "/v1/targets/lab", {"kind": "ssh"})
    service("GET", "/v1/targets/hpc", {"kind": "cluster", "config": {"engine": "slurm"}})
    service("GET", "/v1/config", {"settings": []})


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("local", True),
        ("cpu", True),
        ("amlcompute", True),
        ("AmlCompute", True),
        ("lab", False),
        ("hpc", False),
        ("nowhere", False),
    ],
)
def test_this_process_has_the_python(client: Client, target: str, expected: bool) -> None:
    assert is_here(client, target) is expected
    found = at_home(client, configuration(target).to_spec("train.py")).environment.interpreter
    assert found == (sys.executable if expected else "python")


def test_clusters_of_one_run_may_be_on_an_engine(client: Client, service: FakeService) -> None:
    service("GET", "/v1/config", {"settings": [{"key": "clusters.engine", "value": "lab"}]})
    assert not is_here(client, "amlcompute")


def test_a_hosted_service_is_another_machine(
    client: Client, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNOUT_URL", "http://team:8650")
    spec = configuration("cpu").to_spec("train.py")
    assert at_home(client, spec) is spec
    assert service.requests == []


def test_what_is_not_asked_about(client: Client, service: FakeService) -> None:
    given = configuration("cpu")
    given.environment.python.interpreter_path = "/opt/python/bin/python"
    contained = configuration("cpu")
    contained.environment.docker.enabled = True
    built = configuration("cpu")
    built.environment.python.user_managed_dependencies = False
    built.environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["idna"])
    for rc in (given, contained, built):
        spec = rc.to_spec("train.py")
        assert at_home(client, spec) is spec
    assert service.requests == []
