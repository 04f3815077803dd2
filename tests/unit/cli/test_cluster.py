"""`turnout target` of clusters: what is asked of the service, shown, and asked back."""

from __future__ import annotations

import doctest
import io
import json
import os
import sys
from typing import Any

import pytest
from fake_client import FakeClient

from turnout.cli import cluster, target, target_views
from turnout.cli import main as cli
from turnout.client import embedded
from turnout.spec.errors import ConflictError

Out = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
COUNTS = {"idle": 1, "running": 1, "preparing": 0, "leaving": 0, "preempted": 0, "unusable": 0}
COMMON = {
    "provisioning_state": "Succeeded", "provisioning_errors": [], "tags": {}, "description": "",
    "created_at": "2026-01-01T00:00:00+00:00", "modified_at": "2026-01-01T00:00:00+00:00",
}  # fmt: skip
CPU = {
    **COMMON,
    "id": "7",
    "name": "cpu",
    "kind": "cluster",
    "type": "AmlCompute",
    "config": {
        "vm_size": "STANDARD_D2_V2", "vm_priority": "dedicated", "min_nodes": 0, "max_nodes": 4,
        "idle_seconds_before_scaledown": 120,
    },
    "capabilities": {"created": True},
    "cluster": {
        "allocation_state": "resizing",
        "current_node_count": 2,
        "target_node_count": 3,
        "node_state_counts": COUNTS,
        "waiting": 3,
        "vm_size": "STANDARD_D2_V2",
        "size": {"cores": 2, "memory_mb": 7168, "gpus": 0},
        "limits": "Cores are held by affinity, memory is not.",
    },
}  # fmt: skip
LAB = {**COMMON, "name": "lab", "kind": "ssh", "config": {"address": "lab.example.org"}}
LOCAL = {**COMMON, "name": "local", "kind": "local", "config": {}, "created_at": None}
NODES = {
    "nodes": [
        {
            "name": "cpu-1", "state": "running", "run": "exp_1_ab", "cores": [0, 1],
            "memory_mb": 7168, "gpus": [1], "since": "2026-01-01T00:00:00+00:00",
            "usage": {"cpu": 1.5, "memory_mb": 210.0},
        },
        {
            "name": "cpu-2", "state": "idle", "run": None, "cores": [2, 3],
            "memory_mb": 7168, "gpus": [], "since": "2026-01-01T00:00:00+00:00",
        },
    ],
    "events": [{"at": "2026-01-01T00:00:00+00:00", "text": "cpu-1 came for exp_1_ab"}],
}  # fmt: skip
ACTIVE = ConflictError("2 runs are active on 'cpu'.")


@pytest.fixture(autouse=True)
def client(monkeypatch: Patch) -> FakeClient:
    made = FakeClient()
    for module in (cluster, target, target_views, embedded):
        monkeypatch.setattr(module, "default_client", lambda: made)
    monkeypatch.delenv("TURNOUT_DEBUG", raising=False)
    listed = {name: value for name, value in CPU.items() if name != "cluster"}
    made.answers["GET", "/v1/targets"] = {"targets": [LOCAL, listed, LAB]}
    made.answers["GET", "/v1/targets/cpu"] = CPU
    made.answers["GET", "/v1/targets/lab"] = LAB
    made.answers["GET", "/v1/targets/cpu/nodes"] = NODES
    return made


@pytest.mark.parametrize("module", [cluster, target_views])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


# -- looking -----------------------------------------------------------------------------------


def test_the_list_shows_nodes_and_waiting_runs(capsys: Out, client: FakeClient) -> None:
    assert cli.main(["target", "list"]) == 0
    head, local, cpu, lab = capsys.readouterr().out.splitlines()
    assert head.split() == ["TARGET", "KIND", "STATE", "WHERE", "NODES", "WAITING", "SINCE"]
    assert "STANDARD_D2_V2  1 busy, 1 idle of 4  3 " in cpu
    assert "busy" not in local + lab
    # Deleted between the list and the look at it.
    del client.answers["GET", "/v1/targets/cpu"]
    assert cli.main(["target", "list"]) == 0
    assert "busy" not in capsys.readouterr().out
    assert cli.main(["target", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_show_says_what_a_cluster_is_and_does(capsys: Out) -> None:
    assert cli.main(["target", "show", "cpu"]) == 0
    out = capsys.readouterr().out
    for line in (
        "size      STANDARD_D2_V2: 2 cores, 7.0 GB of memory",
        "priority  dedicated",
        "scale     0 to 4 nodes; one without a run leaves after 2 m 0 s",
        "limits    Cores are held by affinity, memory is not.",
        "nodes     1 busy, 1 idle of 4, becoming 3",
        "waiting   3 runs",
        "cpu-1  busy   exp_1_ab  0,1    7.0 GB  1     1.50      210.0 MB  ",
    ):
        assert line in out
    assert "cpu-1 came for exp_1_ab" in out
    assert cli.main(["target", "show", "lab"]) == 0
    assert "nodes" not in capsys.readouterr().out
    assert cli.main(["target", "show", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == CPU


def test_nodes(capsys: Out, client: FakeClient) -> None:
    assert cli.main(["target", "nodes", "cpu"]) == 0
    assert "cpu-2  idle" in capsys.readouterr().out
    assert cli.main(["target", "nodes", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == NODES
    client.answers["GET", "/v1/targets/cpu/nodes"] = {"nodes": [], "events": []}
    assert cli.main(["target", "nodes", "cpu"]) == 0
    assert capsys.readouterr().out == (
        "'cpu' has no nodes at the moment. Up to 4 come when runs wait.\n"
    )


def test_sizes(capsys: Out, client: FakeClient) -> None:
    sizes = [{"name": "STANDARD_NC6", "cores": 6, "memory_mb": 57344, "gpus": 1}]
    client.answers["GET", "/v1/sizes"] = {"sizes": sizes}
    assert cli.main(["target", "sizes"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "STANDARD_NC6", "6", "56.0", "GB", "1",
    ]  # fmt: skip
    assert cli.main(["target", "sizes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == sizes


# -- watching ----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1


def test_watch_draws_until_interrupted(client: FakeClient, monkeypatch: Patch) -> None:
    looks = 0

    def look(asked: Any) -> Any:
        nonlocal looks
        looks += 1
        waiting = {**CPU["cluster"], "waiting": 10 + looks}
        return KeyboardInterrupt() if looks == 3 else {**CPU, "cluster": waiting}

    client.answers["GET", "/v1/targets/cpu"] = look
    monkeypatch.setattr(target_views, "POLL_S", 0.0)
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((40, 15)))
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    assert cli.main(["target", "show", "cpu", "--watch"]) == 0
    first, second = screen.getvalue().split("\x1b[H")[1:]
    assert "11 runs" in first
    assert "12 runs" in second
    # As many lines as the terminal has, less the one below; none that wraps.
    lines = second.removesuffix("\x1b[J\n").splitlines()
    assert len(lines) < 15
    assert max(len(line.removesuffix("\x1b[K")) for line in lines) <= 40


def test_watch_needs_a_terminal(capsys: Out) -> None:
    assert cli.main(["target", "show", "cpu", "--watch"]) == 2
    assert "turnout target show cpu --json" in capsys.readouterr().err
    assert cli.main(["target", "show", "cpu", "--watch", "--json"]) == 2


# -- changing ----------------------------------------------------------------------------------


def test_create(capsys: Out, client: FakeClient) -> None:
    client.answers["POST", "/v1/targets"] = CPU
    argv = "target create cluster cpu --size STANDARD_D2_V2 --max-nodes 4 --idle-seconds 2m"
    assert cli.main([*argv.split(), "--tag", "team=a", "--description", "ours"]) == 0
    assert client.changes() == [
        (
            "POST",
            "/v1/targets",
            {
                "name": "cpu",
                "kind": "cluster",
                "config": CPU["config"],
                "tags": {"team": "a"},
                "description": "ours",
            },
        )
    ]
    assert capsys.readouterr().out == (
        "'cpu' is ready: turnout submit train.py --target cpu\n"
        "STANDARD_D2_V2: 2 cores, 7.0 GB of memory\n"
        "0 to 4 nodes; one without a run leaves after 2 m 0 s\n"
        "Cores are held by affinity, memory is not.\n"
    )
    assert cli.main([*argv.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == CPU


def test_create_with_a_network(capsys: Out, client: FakeClient) -> None:
    network = {
        "vnet_resourcegroup_name": "", "vnet_name": "lab", "subnet_name": "10.20.0.0/24",
        "vnet_outside": False,
    }  # fmt: skip
    made = {**CPU, "config": {**CPU["config"], **network}}
    client.answers["POST", "/v1/targets"] = client.answers["GET", "/v1/targets/cpu"] = made
    argv = "target create cluster cpu --size STANDARD_D2_V2 --vnet lab"
    assert cli.main([*argv.split(), "--subnet", "10.20.0.0/24"]) == 0
    ((_, _, sent),) = client.changes()
    assert {name: sent["config"][name] for name in network} == network
    words = "lab, subnet 10.20.0.0/24, and reach nothing outside of it"
    assert f"Runs are containers in the virtual network {words}." in capsys.readouterr().out
    assert cli.main(["target", "show", "cpu"]) == 0
    assert f"network   {words}\n" in capsys.readouterr().out
    assert cli.main(argv.split()) == 2
    assert "--vnet and --subnet belong together" in capsys.readouterr().err


def test_a_cluster_that_cannot_be(capsys: Out, client: FakeClient) -> None:
    problem = {"code": "too_large", "message": "8 cores; here are 2.", "fix": "Take a smaller."}
    failed = {**CPU, "provisioning_state": "Failed", "provisioning_errors": [problem]}
    client.answers["POST", "/v1/targets"] = failed
    client.answers["GET", "/v1/targets/cpu"] = failed
    assert cli.main(["target", "create", "cluster", "cpu", "--size", "STANDARD_D4"]) == 1
    err = capsys.readouterr().err
    assert "8 cores; here are 2. Take a smaller." in err
    assert "create it again" in err


def test_update(capsys: Out, client: FakeClient) -> None:
    changed = {**CPU, "config": {**CPU["config"], "max_nodes": 1}}
    client.answers["PATCH", "/v1/targets/cpu"] = changed
    assert cli.main(["target", "update", "cpu", "--max-nodes", "1", "--idle-seconds", "0"]) == 0
    wanted = {"max_nodes": 1, "idle_seconds_before_scaledown": 0}
    assert client.changes() == [("PATCH", "/v1/targets/cpu", wanted)]
    assert capsys.readouterr().out.startswith("'cpu': 0 to 1 node; ")
    assert cli.main(["target", "update", "cpu", "--min-nodes", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == changed


def test_delete_a_quiet_one(capsys: Out, client: FakeClient) -> None:
    client.answers["DELETE", "/v1/targets/cpu"] = None
    assert cli.main(["target", "delete", "cpu"]) == 0
    assert client.changes() == [("DELETE", "/v1/targets/cpu", None)]
    assert capsys.readouterr().out == "'cpu' is deleted.\n"


class Person:
    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return bool(self.answer)

    def readline(self) -> str:
        return self.answer


@pytest.mark.parametrize(
    ("argv", "answer", "code", "forced", "text"),
    [
        (
            [],
            "",
            2,
            [None],
            "2 runs are active on 'cpu'. This cancels them: turnout target delete cpu --force",
        ),
        ([], "n\n", 1, [None], "Nothing is changed."),
        ([], "y\n", 0, [None, {"force": True}], "Cancel them and delete 'cpu'? [y/N]"),
        (["--force"], "", 0, [{"force": True}], ""),
        (["--yes"], "n\n", 0, [{"force": True}], ""),
    ],
)
def test_delete_with_runs_on_it(
    client: FakeClient, capsys: Out, monkeypatch: Patch, argv: list[str], answer: str, code: int,
    forced: list[Any], text: str,
) -> None:  # fmt: skip
    client.answers["DELETE", "/v1/targets/cpu"] = lambda query: None if query else ACTIVE
    monkeypatch.setattr(sys, "stdin", Person(answer))
    assert cli.main(["target", "delete", "cpu", *argv]) == code
    assert [query for _, _, query in client.changes()] == forced
    caught = capsys.readouterr()
    assert text in caught.err
    assert ("is deleted" in caught.out) == (code == 0)


def test_delete_of_runs_that_take_their_time(client: FakeClient, capsys: Out) -> None:
    client.answers["DELETE", "/v1/targets/cpu"] = ACTIVE
    assert cli.main(["target", "delete", "cpu", "--force"]) == 2
    assert "They are being canceled: try again in a moment." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ("create", "required: KIND"),
        ("create cluster cpu", "required: --size"),
        (
            "create cluster cpu --size S --max-nodes many",
            "'many' is no number",
        ),
        ("create cluster cpu --size S --max-nodes 0", "max_nodes must be a whole number, 1"),
        ("create cluster cpu --size S --min-nodes 5", "min_nodes (5) is more than max_nodes (4)"),
        ("create cluster cpu --size S --priority high", "invalid choice: 'high'"),
        ("create cluster cpu --size S --idle-seconds soon", "'soon' is no duration"),
        ("update cpu", "Say what to change"),
        ("update lab --max-nodes 2", "'lab' is no cluster but of kind ssh"),
        ("update cup --max-nodes 2", "no target 'cup' (did you mean 'cpu'?)"),
        ("nodes lab", "it has no nodes"),
        ("delete lab", "turnout target detach lab"),
        ("detach cpu", "turnout target delete cpu"),
    ],
)
def test_mistakes_change_nothing(client: FakeClient, capsys: Out, argv: str, text: str) -> None:
    assert cli.main(["target", *argv.split()]) == 2
    assert text in capsys.readouterr().err
    assert client.changes() == []
