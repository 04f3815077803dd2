"""Targets: attach with a look at the host key first, concrete classes, v1's attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_service import FakeService, error

from turnout import ComputeTarget, RemoteCompute, Workspace
from turnout.client.exceptions import ComputeTargetException

pytestmark = pytest.mark.usefixtures("client")
HOST_KEY = "ssh-ed25519 AAAA"
FOUND = {"host_key": HOST_KEY, "fingerprint": "SHA256:abc", "known": False, "pinned": {}}


def target_view(**given: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "name": "lab",
        "kind": "ssh",
        "type": "VirtualMachine",
        "config": {"address": "lab.example.org", "username": "ana"},
        "provisioning_state": "Succeeded",
        "provisioning_errors": [],
        "created_at": "2026-01-01T00:00:00+00:00",
        "modified_at": "2026-01-01T00:00:00+00:00",
        "tags": {},
        "description": "",
        "capabilities": {"gpu": True, "created": False},
        **given,
    }


@pytest.fixture
def ws() -> Workspace:
    return Workspace(name="w")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "id"
    path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n")
    return path


def attach_config(**given: Any) -> Any:
    return RemoteCompute.attach_configuration(
        **{"username": "ana", "address": "lab.example.org", **given}
    )


def test_attach_looks_at_the_host_key_without_secrets_shows_and_pins_it(
    service: FakeService, ws: Workspace, key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service("POST", "/v1/targets/host-key", FOUND)
    service("POST", "/v1/targets", target_view())
    config = attach_config(
        private_key_file=key_file, private_key_passphrase="open", ssh_port=2222, python="python3"
    )
    target = ComputeTarget.attach(ws, "lab", config)
    assert isinstance(target, RemoteCompute)
    (looked,) = service.sent("POST", "/v1/targets/host-key")
    assert looked == {
        "kind": "ssh",
        "config": {
            "address": "lab.example.org",
            "username": "ana",
            "port": 2222,
            "python": "python3",
        },
    }
    (sent,) = service.sent("POST", "/v1/targets")
    assert sent["config"]["host_key"] == HOST_KEY
    assert "secret" in sent["config"]["private_key"]
    assert sent["config"]["passphrase"] == "open"
    assert capsys.readouterr().out == "Host key of lab (new): SHA256:abc\n"
    assert "open" not in repr(config) + repr(target)


def test_a_given_host_key_is_not_asked_for(service: FakeService, ws: Workspace) -> None:
    service("POST", "/v1/targets", target_view())
    config = attach_config(host_key=HOST_KEY, password="p")
    ComputeTarget.attach(ws, "lab", config)
    # v1's notebooks have both names of the argument.
    ComputeTarget.attach(ws, name="lab", attach_configuration=config)
    ComputeTarget.attach(ws, name="lab", attach_config=config)
    assert [p for _, p, _ in service.requests] == ["/v1/targets"] * 3
    with pytest.raises(ComputeTargetException, match=r"attach\(\) needs what"):
        ComputeTarget.attach(ws, "lab")


def test_the_host_key_can_be_refused(service: FakeService, ws: Workspace) -> None:
    service("POST", "/v1/targets/host-key", FOUND)
    with pytest.raises(ComputeTargetException, match="not accepted"):
        ComputeTarget.attach(ws, "lab", attach_config(password="p"), confirm=lambda found: False)
    assert service.sent("POST", "/v1/targets") == []


def test_an_unreachable_machine_is_attached_as_failed(
    service: FakeService, ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = {"code": "unreachable", "message": "No answer.", "fix": "Is it on?"}
    service("POST", "/v1/targets/host-key", (502, error("target", "No answer.")))
    failed = target_view(provisioning_state="Failed", provisioning_errors=[problem])
    service("POST", "/v1/targets", failed)
    service("GET", "/v1/targets/lab", failed)
    target = ComputeTarget.attach(ws, "lab", attach_config(password="p"))
    target.wait_for_completion(show_output=True)
    assert (target.provisioning_state, target.provisioning_errors) == ("Failed", [problem])
    assert capsys.readouterr().out == "Failed\nNo answer. Is it on?\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"address": None}, "needs address"),
        ({"username": ""}, "needs username"),
        ({"password": "a", "private_key_file": "b"}, "not both"),
        ({"private_key_passphrase": "a"}, "needs private_key_file"),
        ({"private_key_file": "/no/such/key"}, "/no/such/key' cannot be read"),
        ({"private_key_file": __file__ + ".pub"}, "cannot be read"),
        ({"private_key_file": "/etc/hostname"}, "holds no private key"),
        ({"adress": "x"}, "no argument 'adress'"),
        ({"resource_id": "/subscriptions/x"}, "give address=… instead of resource_id"),
        ({"use_agent": True}, "SSH_AUTH_SOCK"),
    ],
)
def test_bad_configurations_are_refused_before_anything_is_sent(
    service: FakeService,
    ws: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(ComputeTargetException, match=message):
        ComputeTarget.attach(ws, "lab", attach_config(**given))
    assert service.requests == []


def test_the_agents_socket_and_the_ssh_configurations_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    config = RemoteCompute.attach_configuration(ssh_config_host="lab", use_agent=True, jump="j")
    config.validate_configuration()
    assert config.to_config() == {"ssh_config_host": "lab", "agent": "/agent", "jump": "j"}


def test_getting_gives_the_concrete_class(service: FakeService, ws: Workspace) -> None:
    service("GET", "/v1/targets/lab", target_view(tags={"a": "b"}))
    target = ComputeTarget(ws, "lab")
    assert isinstance(target, RemoteCompute)
    assert (target.type, target.address, target.ssh_port) == (
        "VirtualMachine",
        "lab.example.org",
        22,
    )
    assert target.serialize()["tags"] == {"a": "b"}
    assert RemoteCompute(workspace=ws, name="lab").name == "lab"
    service("GET", "/v1/targets/local", target_view(name="local", kind="local", type="Local"))
    assert type(ComputeTarget(ws, "local")) is ComputeTarget
    with pytest.raises(ComputeTargetException, match="of type Local"):
        RemoteCompute(ws, "local")


def test_a_target_that_is_not_there(service: FakeService, ws: Workspace) -> None:
    service("GET", "/v1/targets", {"targets": [target_view()]})
    with pytest.raises(ComputeTargetException, match=r"no target 'lob' \(did you mean 'lab'\?\)"):
        ComputeTarget(ws, "lob")


def test_list_check_detach_delete(service: FakeService, ws: Workspace) -> None:
    local = target_view(name="local", kind="local")
    service("GET", "/v1/targets", {"targets": [local, target_view()]})
    (target,) = ComputeTarget.list(ws)
    assert ws.compute_targets.keys() == {"lab"}
    service("POST", "/v1/targets/lab/check", target_view(provisioning_state="Failed"))
    target.check()
    assert target.provisioning_state == "Failed"
    service("GET", "/v1/targets/lab", target_view())
    assert target.get_status() == "Succeeded"
    with pytest.raises(ComputeTargetException, match="use detach"):
        target.delete()
    service("DELETE", "/v1/targets/lab", (409, error("conflict", "2 runs are active on 'lab'.")))
    with pytest.raises(ComputeTargetException, match="2 runs are active"):
        target.detach()
    service("DELETE", "/v1/targets/lab", (204, b""))
    target.detach()
    with pytest.raises(ComputeTargetException, match="not NoneType"):
        ComputeTarget.create(ws, "c", None)
