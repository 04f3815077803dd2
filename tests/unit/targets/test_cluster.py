"""What a cluster can be made of, and which runs its virtual network takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from turnout.environments.base import Recipe
from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.spec.errors import UserError
from turnout.spec.runs import RunSpec
from turnout.targets.base import TargetResources, Ticket
from turnout.targets.cluster import ClusterConfig, ClusterTarget

LAB: dict[str, Any] = {"vnet_name": "lab", "subnet_name": "10.20.0.0/24"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vnet_name": "lab"}, "belong together"),
        ({"subnet_name": "default"}, "belong together"),
        ({"vnet_outside": True}, "vnet_outside needs a virtual network"),
        ({**LAB, "engine": "hpc"}, "on this machine only"),
        ({**LAB, "vnet_name": "a b"}, "'a b' is no vnet_name"),
        ({**LAB, "vnet_name": "a/b"}, "'a/b' is no vnet_name"),
        ({**LAB, "subnet_name": "--internal"}, "'--internal' is no subnet_name"),
        ({**LAB, "subnet_name": "10.20.0.1/24"}, "has host bits set"),
        ({**LAB, "subnet_name": "10.20.0/24"}, "is no range such as 10.20.0.0/24"),
        ({**LAB, "subnet_name": "fd00::/64"}, "is no range such as 10.20.0.0/24"),
        ({**LAB, "subnet_name": "10.20.0.0/30"}, "room for 1 nodes, less than max_nodes, 4"),
    ],
)
def test_networks_that_cannot_be(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ClusterConfig(**given)


def test_the_network_of_a_configuration() -> None:
    assert ClusterConfig().network == {}
    assert ClusterConfig(**LAB).network == {
        "name": "turnout-lab-10.20.0.0-24",
        "subnet": "10.20.0.0/24",
        "outside": False,
    }
    named = ClusterConfig(vnet_name="lab", subnet_name="default", vnet_outside=True)
    assert named.network == {"name": "turnout-lab-default", "subnet": "", "outside": True}


def make(tmp_path: Path, **config: Any) -> ClusterTarget:
    resources = TargetResources(
        home=tmp_path, store=tmp_path / "store", changed=lambda name, handles: None
    )
    return ClusterTarget("cpu", ClusterConfig(**config), resources)


def spec(container: ContainerSpec | None) -> RunSpec:
    environment = EnvironmentSpec(user_managed=True, container=container)
    return RunSpec(script="train.py", target="cpu", environment=environment)


@pytest.mark.parametrize(
    ("container", "message"),
    [
        (None, "--docker IMAGE"),
        (ContainerSpec(image="i", network="host"), "leave '--network host' out"),
        (ContainerSpec(image="i", arguments=("--network=host",)), "leave '--network=host' out"),
        (ContainerSpec(image="i", arguments=("--net", "host")), "leave '--net' out"),
    ],
)
def test_runs_that_no_network_holds(
    tmp_path: Path, container: ContainerSpec | None, message: str
) -> None:
    with pytest.raises(UserError, match="in its virtual network 'lab'") as caught:
        make(tmp_path, **LAB).check_run(spec(container))
    assert message in caught.value.message
    make(tmp_path).check_run(spec(container))


def test_runs_that_a_network_holds(tmp_path: Path) -> None:
    box = ContainerSpec(image="i", arguments=("--network-alias=x",))
    make(tmp_path, **LAB).check_run(spec(box))


def test_the_ticket_says_who_joins_what(tmp_path: Path) -> None:
    node = {"node": "cpu-1", "cores": [0], "memory_mb": 64, "gpus": []}
    ticket = Ticket("exp_1", 1, "exp", spec(ContainerSpec(image="i")), nodes=(node,))
    found = make(tmp_path, **LAB).describe(ticket, Recipe(None, "", ("python",)), {})
    assert found["network"]["host"] == "cpu-1"
    assert "network" not in make(tmp_path).describe(ticket, Recipe(None, "", ("python",)), {})
