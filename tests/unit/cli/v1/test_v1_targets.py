"""`turnout computetarget`: every spelling, v1's keys and formats, what is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_v1 import CPU, LAB, PROBLEM, FakeClient, Out, call

from turnout.cli import main as cli
from turnout.cli import v1_run
from turnout.cli.v1_computetarget import NOT_ATTACHED, NOT_CREATED


@pytest.mark.parametrize(
    "words",
    [
        "--max_nodes 4 --min_nodes 1 --size 2c4g --idle_time 300 --priority lowpriority",
        "--max-nodes 4 --min-nodes 1 -s 2c4g --idle-seconds-before-scaledown 300 "
        "--vm-priority LowPriority",
        "--max-nodes 4 --min-nodes 1 --vm-size 2c4g --idle-time 300 --vm-priority lowpriority "
        "--admin-username a --assign-identity [system] -w w -g g --subscription-id s --verbose",
    ],
)
def test_create_in_every_spelling(capsys: Out, client: FakeClient, words: str) -> None:
    found = call(capsys, "computetarget", "create", "amlcompute", "-n", "cpu", *words.split())
    assert found == {
        "location": "local", "name": "cpu", "provisioningErrors": None,
        "provisioningState": "Succeeded",
    }  # fmt: skip
    body = client.sent("POST")[0]
    assert (body["name"], body["kind"]) == ("cpu", "cluster")
    wanted = {"vm_size": "2c4g", "vm_priority": "lowpriority", "max_nodes": 4, "min_nodes": 1,
              "idle_seconds_before_scaledown": 300}  # fmt: skip
    assert {k: body["config"][k] for k in wanted} == wanted


@pytest.mark.parametrize(
    "words",
    [
        "update --name cpu --max_nodes 8 --idle_time 60 --workspace w --group g",
        "update amlcompute -n cpu --max-nodes 8 --idle-seconds-before-scaledown 60",
    ],
)
def test_update_in_both_forms(capsys: Out, client: FakeClient, words: str) -> None:
    assert call(capsys, "computetarget", *words.split())["name"] == "cpu"
    assert client.sent("PATCH") == [{"max_nodes": 8, "idle_seconds_before_scaledown": 60}]


def test_update_wants_something(capsys: Out) -> None:
    assert call(capsys, "computetarget", "update", "-n", "cpu", code=2) is None


def test_list_show_delete_detach(capsys: Out, client: FakeClient) -> None:
    listed = call(capsys, "computetarget", "list", "-w", "w", "-g", "g")
    assert [(x["name"], x["type"]) for x in listed] == [
        ("cpu", "AmlCompute"), ("lab", "VirtualMachine")
    ]  # fmt: skip
    assert listed[1]["provisioningErrors"] == [PROBLEM]
    shown = call(capsys, "computetarget", "show", "--name", "cpu")
    assert shown["properties"]["scaleSettings"]["maxNodeCount"] == 4
    assert call(capsys, "computetarget", "show", "-n", "lab")["properties"] == {"address": "h"}
    assert call(capsys, "computetarget", "delete", "-n", "lab", code=2) is None
    assert call(capsys, "computetarget", "detach", "-n", "cpu", code=2) is None
    assert client.sent("DELETE") == []
    gone = call(capsys, "computetarget", "detach", "-n", "lab")
    assert gone == {"id": "7", "name": "lab"}
    assert call(capsys, "computetarget", "delete", "-n", "cpu", "-y")["name"] == "cpu"
    assert client.sent("DELETE") == [None, {"force": True}]


def test_attach_remote(capsys: Out, client: FakeClient) -> None:
    seen = {"host_key": "ssh-ed25519 AAAA", "fingerprint": "SHA256:x", "known": False}
    client.answers["POST", "/v1/targets/host-key"] = seen
    client.answers["POST", "/v1/targets"] = LAB
    words = [
        "-n",
        "lab",
        "-a",
        "h",
        "--ssh-port",
        "2222",
        "-u",
        "ana",
        "-p",
        "secret",
        "-w",
        "w",
        "-g",
        "g",
    ]
    assert cli.main(["computetarget", "attach", "remote", *words]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["provisioningState"] == "Failed"
    assert "SHA256:x (accepted)" in err
    assert "It does not answer. Start it." in err
    shown, body = client.sent("POST")
    assert "password" not in shown["config"]
    assert body["config"] == {
        "address": "h", "username": "ana", "port": 2222, "password": "secret",
        "host_key": "ssh-ed25519 AAAA",
    }  # fmt: skip
    assert cli.main(["computetarget", "attach", "remote", *words, "--host-key", "SHA256:y"]) == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        *((f"computetarget attach {k} -n x -i y", v) for k, v in NOT_ATTACHED.items()),
        *((f"computetarget create {k} -n x -i y", v) for k, v in NOT_CREATED.items()),
        *((f"run {k} -c x y.py", v) for k, v in v1_run.ABSENT.items()),
        ("computetarget create cloud", "Argument KIND: invalid choice: 'cloud'"),
        ("computetarget create amlcompute -n x", "required: -s/--vm-size"),
        ("run update -r exp_1_ab", "required: --add-tag"),
    ],
)  # fmt: skip
def test_what_is_not_there(capsys: Out, client: FakeClient, words: str, text: str) -> None:
    assert cli.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("turnout: error: ")
    assert text in err
    assert err.count("\n") == 1
    assert client.asked == []


# -- formats -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (
            "table",
            "Location  Name  ProvisioningState  Type\nlocal     cpu   Succeeded          Aml",
        ),
        ("tsv", "local\tcpu\tSucceeded\tAmlCompute\n"),
        ("none", ""),
        ("yaml", "- location: local\n  name: cpu\n"),
        ("jsonc", '[\n  {\n    "location"'),
    ],
)
def test_formats(capsys: Out, client: FakeClient, output: str, text: str) -> None:
    view = {**CPU, "provisioning_errors": [PROBLEM]}
    client.answers["GET", "/v1/targets"] = {"targets": [view]}
    assert cli.main(["computetarget", "list", "--output", output]) == 0
    assert capsys.readouterr().out.startswith(text)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("[].name", ["cpu", "lab"]),
        ("[0].name", "cpu"),
        ("[-1].provisioningErrors[0].code", "unreachable"),
        ('[0]."type"', "AmlCompute"),
        ("[*].provisioningErrors[].fix", [["Start it."]]),
        ("[7].name", None),
        ("[0].name.no", None),
        ("name[]", None),
    ],
)
def test_query(capsys: Out, query: str, found: Any) -> None:
    assert call(capsys, "computetarget", "list", "--query", query) == found


def test_query_in_tables(capsys: Out) -> None:
    assert cli.main(["computetarget", "list", "--query", "[].name", "-o", "tsv"]) == 0
    assert capsys.readouterr().out == "cpu\nlab\n"
    assert cli.main(["computetarget", "show", "-n", "cpu", "--query", "x", "-o", "tsv"]) == 0
    assert capsys.readouterr().out == "\n"
    assert cli.main(["computetarget", "list", "--query", "[?name=='a']"]) == 2
    assert "only names, indexes and [] are understood" in capsys.readouterr().err
