"""What the processes of a run are told: by kind and rank."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from turnout.payload import plans, ranks
from turnout.payload.gangs import Gang

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


@pytest.mark.parametrize(
    ("tasks", "nodes", "expected"),
    [
        (1, 1, [0]),
        (3, 2, [0, 0, 1]),
        (4, 3, [0, 0, 1, 2]),
        (5, 3, [0, 0, 1, 1, 2]),
        (6, 3, [0, 0, 1, 1, 2, 2]),
    ],
)
def test_every_node_has_its_part(tasks: int, nodes: int, expected: list[int]) -> None:
    assert plans.places(tasks, nodes) == expected


def test_what_the_run_says_of_its_shares_goes_before_the_nodes() -> None:
    ticket = {"variables": {"OMP_NUM_THREADS": "9", "X": "y"}}
    found = plans.variables(plans.made(ticket, [], NODES, [1, 2]), 0)
    assert (found["OMP_NUM_THREADS"], found["CUDA_VISIBLE_DEVICES"]) == ("9", "0")
    assert "X" not in found


def test_ports_are_free_and_different(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(set(plans.free_ports(20))) == 20
    # All of those to choose from are taken: others do.
    with socket.socket() as held:
        held.bind(("", 0))
        monkeypatch.setattr(plans, "PORTS", [held.getsockname()[1]])
        assert len(set(plans.free_ports(2)) - {held.getsockname()[1]}) == 2


HERE = ["--host", "localhost:4", "--oversubscribe", "--bind-to", "none"]
VERSIONS = {
    "mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/\n": [
        "--mca", "plm", "isolated", *HERE,
    ],
    "mpirun (Open MPI) 5.0.11\n": HERE,
    "mpirun (OpenRTE) 1.10.2\n": ["--mca", "plm", "isolated", *HERE],
    "HYDRA build details:\n    Version:      5.0.2\n": ["-ppn", "2"],
    "Intel(R) MPI Library for Linux* OS, Version 2021.13": ["-ppn", "2"],
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.split("\n")[0])
def test_each_mpirun_is_told_in_its_words(version: str) -> None:
    made = plan("mpi")
    assert ranks.mpi_options(version, made) == ["-n", "4", *VERSIONS[version]]
    words = ["--map-by", "ppr:2:node"] if "Open" in version else ["-ppn", "2"]
    assert ranks.mpi_options(version, {**made, "slurm": True})[2:4] == words


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
    assert plans.first_failure(ends, "") == first


def test_clocks_of_nodes_do_not_decide_who_failed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan()
    (tmp_path / plans.RANKS).mkdir()
    for rank, status, clock in ((2, 3 << 8, 2000.0), (0, 15, 1000.0)):
        monkeypatch.setattr("turnout.payload.ranks.time.time", lambda clock=clock: clock)
        ranks.Rank(str(tmp_path), made, rank).ended(status)
    gang = Gang(str(tmp_path), "", {}, [])
    gang.plan = made
    assert gang.end(3, str) == (
        {"reason": "exited", "code": 3},
        plans.words(made, 2, {"code": 3}, ""),
    )


def test_the_cause_in_words() -> None:
    assert plans.words(plan(), 2, {"code": 3}, "") == (
        "Process 2 (node n2) exited with code 3; the others were ended. "
        "Its output: azureml-logs/70_driver_log_2.txt."
    )
    made = plan("tensorflow", workers=1, parameter_servers=1)
    assert plans.words(made, 0, {"signal": 9}, "signal 9 (SIGKILL)") == (
        "Worker 0 (node n1) was killed by signal 9 (SIGKILL); the others were ended."
    )
    assert plans.words(made, 1, {"code": 2}, "").startswith("Parameter server 0 (node n2) exited")
