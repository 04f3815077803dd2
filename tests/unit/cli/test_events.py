"""`turnout events`: what is asked of the service, and how it is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_client import FakeClient

from turnout.cli import events
from turnout.cli import main as cli

Out = pytest.CaptureFixture[str]
ACT: dict[str, Any] = {
    "id": 7,
    "at": "2026-01-02T03:04:05+00:00",
    "who": "ana",
    "action": "attached",
    "kind": "target",
    "name": "lab\x1b[2J",
}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    found = FakeClient()
    found.answers["GET", "/v1/events"] = {"events": [ACT, {**ACT, "who": "", "name": "cpu"}]}
    monkeypatch.setattr(events, "default_client", lambda: found)
    return found


def test_the_list(client: FakeClient, capsys: Out) -> None:
    assert cli.main(["events", "--kind", "target", "--name", "l", "--who", "ana"]) == 0
    assert client.sent("GET") == [{"kind": "target", "name": "l", "who": "ana", "limit": 50}]
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["WHEN", "WHO", "DID", "WHAT", "NAME"]
    assert first.split()[-4:] == ["ana", "attached", "target", "lab\N{REPLACEMENT CHARACTER}[2J"]
    assert second.split()[-4:] == ["Turnout", "attached", "target", "cpu"]


def test_json(client: FakeClient, capsys: Out) -> None:
    assert cli.main(["events", "--json", "--limit", "3"]) == 0
    assert json.loads(capsys.readouterr().out)[0] == ACT
    assert client.sent("GET")[0]["limit"] == 3


def test_nothing_yet(client: FakeClient, capsys: Out) -> None:
    client.answers["GET", "/v1/events"] = {"events": []}
    assert cli.main(["events"]) == 0
    assert "Nothing" in capsys.readouterr().out
