"""`turnout engine`: what is asked of the service."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.cli import engine
from turnout.cli import main as cli

Out = pytest.CaptureFixture[str]


class Service:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert path == "/v1/engines"
        self.bodies.append(body)
        return {"name": body["name"], "provisioning_state": "Succeeded"}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    found = Service()
    monkeypatch.setattr(engine, "default_client", lambda: found)
    return found


def test_all_that_is_said_of_an_engine_is_kept(service: Service) -> None:
    words = ["--tag", "room=b12", "--description", "ours", "--partition", "gpu", "--json"]
    assert cli.main(["engine", "attach", "slurm", "lab", *words]) == 0
    assert service.bodies == [
        {
            "name": "lab",
            "config": {"partition": "gpu"},
            "description": "ours",
            "tags": {"room": "b12"},
        }
    ]


@pytest.mark.parametrize(
    "words", [["--address", ""], ["--username", "ana"], ["--port", "2222"], ["--jump", "a@b"]]
)
def test_an_address_that_is_missing(service: Service, words: list[str], capsys: Out) -> None:
    """Such as a variable of the shell that is not set: this machine is not meant."""
    assert cli.main(["engine", "attach", "slurm", "lab", *words]) == 2
    assert "--address is missing" in capsys.readouterr().err
    assert not service.bodies
