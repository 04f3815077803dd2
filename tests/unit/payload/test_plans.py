"""What the processes of a run are told: by kind and rank."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.payload import plans

NODES = [
    {"node": "n1", "address": "10.0.0.1", "cores": [0, 1, 2, 3], "gpus": [0]},
    {"node": "n2", "address": "10.0.0.2", "cores": [4, 5, 6, 7], "gpus": []},
]


def plan(kind: str = "", **more: int) -> dict[str, Any]:
    asked = {"kind": kind, "processes": 2, "workers": 1, "parameter_servers": 0, **more}
    return plans.made({"distribution": asked}, ["python", "x.py"], NODES, list(range(100, 120)))


@pytest.mark.parametrize(
    ("ticket", "one"),
    [
        ({}, True),
        ({"distribution": {"kind": "", "processes": 1}, "node_count": 1}, True),
        ({"distribution": {"kind": "", "processes": 1}, "node_count": 2}, False),
        ({"distribution": {"kind": "", "processes": 2}, "node_count": 1}, False),
        ({"distribution": {"kind": "mpi", "processes": 1}, "node_count": 1}, False),
    ],
)
def test_one_process_needs_no_plan(ticket: dict[str, Any], one: bool) -> None:
    assert plans.is_one(ticket) is one


@pytest.mark.parametrize("kind", ["", "pytorch"])
def test_pytorch(kind: str) -> None:
    found = [plans.variables(plan(kind), rank) for rank in range(4)]
    assert [f["RANK"] for f in found] == ["0", "1", "2", "3"]
    assert [f["LOCAL_RANK"] for f in found] == ["0", "1", "0", "1"]
    assert [f["NODE_RANK"] for f in found] == ["0", "0", "1", "1"]
    for f in found:
        assert (f["MASTER_ADDR"], f["MASTER_PORT"], f["WORLD_SIZE"]) == ("10.0.0.1", "100", "4")
        assert f["AZ_BATCHAI_PYTORCH_INIT_METHOD"] == "tcp://10.0.0.1:100"
        assert f["OMP_NUM_THREADS"] == "2"
    assert [f["CUDA_VISIBLE_DEVICES"] for f in found] == ["0", "0", "", ""]


def test_mpi() -> None:
    found = plans.variables(plan("mpi"), 3)
    assert found["AZ_BATCH_MASTER_NODE"] == "10.0.0.1:100"
    assert "RANK" not in found


def test_tensorflow_shares_its_tasks_out() -> None:
    made = plan("tensorflow", workers=2, parameter_servers=1)
    found = [json.loads(plans.variables(made, rank)["TF_CONFIG"]) for rank in range(3)]
    assert [f["task"] for f in found] == [
        {"type": "worker", "index": 0},
        {"type": "worker", "index": 1},
        {"type": "ps", "index": 0},
    ]
    assert found[0]["cluster"] == {
        "worker": ["10.0.0.1:100", "10.0.0.1:101"],
        "ps": ["10.0.0.2:102"],
    }


def test_ports_are_free_and_different() -> None:
    assert len(set(plans.free_ports(20))) == 20


@pytest.mark.parametrize(
    ("ends", "first"),
    [
        ({}, None),
        ({0: {"code": 0, "at": 1.0}}, None),
        ({0: {"signal": 15, "at": 2.0}, 1: {"code": 3, "at": 1.0}}, 1),
        ({0: {"code": 0, "at": 1.0}, 1: {"signal": 15, "at": 2.0, "ended_by_us": True}}, None),
    ],
)
def test_the_first_that_failed_is_the_cause(
    ends: dict[int, dict[str, Any]], first: int | None
) -> None:
    assert plans.first_failure(plan(), ends) == first


def test_the_cause_in_words() -> None:
    assert plans.words(plan(), 2, {"code": 3}, "") == (
        "Process 2 (node n2) exited with code 3; the others were ended. "
        "Its output: azureml-logs/70_driver_log_2.txt."
    )
    made = plan("tensorflow", workers=1, parameter_servers=1)
    assert plans.words(made, 0, {"signal": 9}, "signal 9 (SIGKILL)") == (
        "Worker 0 (node n1) was killed by signal 9 (SIGKILL); the others were ended."
    )
