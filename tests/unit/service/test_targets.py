from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from turnout.service.accounts import vault
from turnout.service.accounts.vault import Vault
from turnout.service.app import parts_of
from turnout.spec.errors import ServiceError

#: Nothing listens there: refused at once.
CLOSED = {"address": "127.0.0.1", "port": 1, "username": "ana"}
PASSWORD = "hunter2-correct-horse"


async def attach(web: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    body = {"name": "lab", "kind": "ssh", "config": CLOSED, **changes}
    return await web.post("/v1/targets", json=body)


async def test_local_is_always_there(web: httpx.AsyncClient) -> None:
    targets = (await web.get("/v1/targets")).json()["targets"]
    assert [(t["name"], t["provisioning_state"]) for t in targets] == [("local", "Succeeded")]
    assert (await web.delete("/v1/targets/local")).status_code == 409
    assert (await attach(web, name="local")).status_code == 409


async def test_an_attach_that_fails_says_why_and_is_kept(web: httpx.AsyncClient) -> None:
    target = (await attach(web)).json()
    assert target["provisioning_state"] == "Failed"
    assert "127.0.0.1" in target["provisioning_errors"][0]["message"]
    assert (await web.get("/v1/targets/lab")).json()["provisioning_state"] == "Failed"
    assert (await web.delete("/v1/targets/lab")).status_code == 204
    assert (await web.get("/v1/targets/lab")).status_code == 404


async def test_secrets_are_encrypted_and_never_shown(app: FastAPI, web: httpx.AsyncClient) -> None:
    config = {**CLOSED, "password": PASSWORD}
    answer = await attach(web, config=config)
    assert answer.json()["config"] == {**CLOSED, "agent": False, "folder": "~/.turnout/host"}
    shown = answer.text + (await web.get("/v1/targets")).text
    assert PASSWORD not in shown
    home = parts_of(app).settings.home
    for path in home.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path
    kind, opened = await parts_of(app).pool.configuration("lab")
    assert (kind, opened["password"]) == ("ssh", PASSWORD)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"config": {"address": "x"}}, "username"),
        ({"config": {**CLOSED, "pasword": PASSWORD}}, "did you mean 'password'"),
        ({"config": {**CLOSED, "port": 0}}, "port"),
        ({"config": {**CLOSED, "address": "-oProxyCommand=x"}}, "address"),
        ({"config": {**CLOSED, "passphrase": PASSWORD}}, "private key"),
        ({"kind": "shh"}, "did you mean 'ssh'"),
        ({"name": "a b"}, "cannot name a target"),
    ],
)
async def test_bad_configurations_are_refused(
    web: httpx.AsyncClient, changes: dict[str, Any], word: str
) -> None:
    answer = await attach(web, **changes)
    assert 400 <= answer.status_code < 500
    assert word in answer.json()["error"]["message"]
    assert PASSWORD not in answer.text
    assert len((await web.get("/v1/targets")).json()["targets"]) == 1


@pytest.mark.parametrize(
    ("kind", "config", "fields"),
    [
        ("ssh", {"address": "x"}, {"": "give an address and a username, or ssh_config_host"}),
        ("ssh", {**CLOSED, "port": "many"}, {"port": "Input should be a valid integer"}),
        ("ssh", {**CLOSED, "pasword": "x"}, {"pasword": "did you mean 'password'"}),
        ("cluster", {"vm_size": "huge"}, {"vm_size": "huge"}),
        ("cluster", {"vm_size": "1000c1g"}, {"vm_size": "larger than this machine"}),
        (
            "cluster",
            {"max_nodes": 0, "vm_priority": "high"},
            {"max_nodes": "greater", "vm_priority": "dedicated"},
        ),
    ],
)
async def test_an_error_says_which_fields_it_means(
    web: httpx.AsyncClient, kind: str, config: dict[str, Any], fields: dict[str, str]
) -> None:
    error = (await attach(web, kind=kind, config=config)).json()["error"]
    assert error["code"] == "configuration"
    assert error["fields"].keys() == fields.keys()
    for name, word in fields.items():
        assert word in error["fields"][name]


def test_a_lost_key_says_what_to_do(tmp_path: Path) -> None:
    sealed = Vault(tmp_path / "a").seal({"password": PASSWORD})
    with pytest.raises(ServiceError, match="Attach the target again"):
        Vault(tmp_path / "b").open(sealed)


def test_owned_files_are_made_once(tmp_path: Path) -> None:
    first = vault.token(tmp_path)
    assert vault.token(tmp_path) == first
    assert len(first) >= 40
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
