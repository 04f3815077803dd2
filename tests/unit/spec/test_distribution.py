"""Numbers of processes and nodes that go together, and those that do not."""

from __future__ import annotations

import pytest

from turnout.client.run_config import (
    MpiConfiguration,
    PyTorchConfiguration,
    RunConfiguration,
    TensorflowConfiguration,
)
from turnout.client.script_run_config import ScriptRunConfig
from turnout.spec.distribution import Distribution, total_on_nodes
from turnout.spec.errors import UserError


@pytest.mark.parametrize(
    ("asked", "nodes", "words"),
    [
        (Distribution("horovod"), 1, "'horovod' is no way"),
        (Distribution(), 0, "node_count must be 1 or more"),
        (Distribution(processes=0), 1, "at least one process"),
        (Distribution("tensorflow", workers=0), 1, "a worker at least"),
        (Distribution("tensorflow", workers=2), 3, "do not need 3 nodes"),
    ],
)
def test_what_cannot_be(asked: Distribution, nodes: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        asked.check(nodes)


def test_a_total_is_shared_out_evenly() -> None:
    assert [total_on_nodes(n, 2) for n in (None, 2, 6)] == [1, 1, 3]
    with pytest.raises(UserError, match="cannot be shared out evenly over 2 nodes"):
        total_on_nodes(3, 2)


@pytest.mark.parametrize(
    ("given", "nodes", "found"),
    [
        (MpiConfiguration(2, 3), 3, Distribution("mpi", 2)),
        (PyTorchConfiguration(process_count=4, node_count=2), 2, Distribution("pytorch", 2)),
        (PyTorchConfiguration("Gloo"), 1, Distribution("pytorch", 1)),
        (
            TensorflowConfiguration(2, 1),
            3,
            Distribution("tensorflow", workers=2, parameter_servers=1),
        ),
    ],
)
def test_v1s_later_configurations(given: object, nodes: int, found: Distribution) -> None:
    config = ScriptRunConfig(".", "x.py", distributed_job_config=given)
    assert config.run_config.distribution() == (nodes, found)
    assert config.run_config.node_count == nodes


@pytest.mark.parametrize(
    ("communicator", "found"),
    [
        ("None", Distribution()),
        ("OpenMpi", Distribution("mpi", 2)),
        ("IntelMpi", Distribution("mpi", 2)),
        ("Mpi", Distribution("mpi", 2)),
        ("Nccl", Distribution("pytorch")),
        ("Gloo", Distribution("pytorch")),
        ("ParameterServer", Distribution("tensorflow", workers=1, parameter_servers=1)),
    ],
)
def test_v1s_older_communicators(communicator: str, found: Distribution) -> None:
    rc = RunConfiguration()
    rc.node_count, rc.communicator = 2, communicator
    if found.kind == "mpi":
        rc.mpi.process_count_per_node = 2
    assert rc.distribution() == (2, found)
