"""The attach form against a real sshd: what a browser posts, and what it is shown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from turnout.service.app import parts_of
from turnout.testing.missing import missing
from turnout.testing.sshd import SSHServer, TemporaryUser, Unavailable

pytestmark = pytest.mark.ssh
FORM = "/portal/compute/attach/ssh"


@pytest.fixture(scope="module")
def server() -> Iterator[SSHServer]:
    try:
        with SSHServer() as server:
            yield server
    except Unavailable as e:
        missing(e)


def where(server: SSHServer, tmp_path: Path, **changes: str) -> dict[str, str]:
    return {
        "name": "lab",
        "config.address": server.address,
        "config.port": str(server.port),
        "config.username": server.username,
        # Browsers end lines so.
        "config.private_key": server.user_key.read_text().replace("\n", "\r\n"),
        "config.folder": str(tmp_path / "there"),
        **changes,
    }


def hidden(text: str) -> dict[str, str]:
    """The hidden fields of the form, which a browser sends along."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text)
    return {name: html.unescape(value) for name, value in found}


async def targets(app: FastAPI, browser: httpx.AsyncClient) -> dict[str, Any]:
    token = {"Authorization": f"Bearer {parts_of(app).token}"}
    found = (await browser.get("/v1/targets", headers=token)).json()["targets"]
    return {view["name"]: view for view in found}


async def attach(browser: httpx.AsyncClient, form: dict[str, str]) -> httpx.Response:
    """As a person who trusts the machine would."""
    answer = await browser.post(FORM, data=form)
    if "Trust and attach" in answer.text:
        answer = await browser.post(FORM, data={**form, **hidden(answer.text)})
    return answer


async def test_a_machine_is_trusted_and_attached(
    app: FastAPI, browser: httpx.AsyncClient, server: SSHServer, tmp_path: Path
) -> None:
    form = where(server, tmp_path)
    asked = await browser.post(FORM, data=form)
    assert asked.status_code == 200
    assert "Trust and attach" in asked.text
    assert "SHA256:" in asked.text
    # What is secret stays in the browser.
    assert "OPENSSH PRIVATE KEY-----\n" not in asked.text
    assert form["config.private_key"].split("\r\n")[1] not in asked.text
    assert "lab" not in await targets(app, browser)
    answer = await browser.post(FORM, data={**form, **hidden(asked.text)})
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/portal/compute/lab"
    view = (await targets(app, browser))["lab"]
    assert view["provisioning_state"] == "Succeeded"
    assert view["config"]["host_key"] == server.host_key
    page = (await browser.get("/portal/compute/lab")).text
    assert "succeeded" in page
    assert "Private key</dt><dd>set" in page
    # Another time the key is known: it is asked for nothing but its secrets.
    again = await browser.get(FORM, params={"name": "lab"})
    assert f'value="{server.port}"' in again.text
    answer = await browser.post(FORM, data={**form, **hidden(again.text), "replace": "true"})
    assert answer.status_code == 303, answer.text


async def test_what_was_trusted_was_that_machine(
    app: FastAPI, browser: httpx.AsyncClient, server: SSHServer, tmp_path: Path
) -> None:
    form = where(server, tmp_path)
    asked = await browser.post(FORM, data=form)
    elsewhere = {**form, **hidden(asked.text), "config.address": "localhost"}
    answer = await browser.post(FORM, data=elsewhere)
    assert "Trust and attach" in answer.text
    assert "lab" not in await targets(app, browser)


async def test_a_changed_host_key_is_refused(
    app: FastAPI, browser: httpx.AsyncClient, tmp_path: Path
) -> None:
    with SSHServer() as server:
        form = where(server, tmp_path)
        assert (await attach(browser, form)).status_code == 303
        before = server.host_key
        server.change_host_key()
        server.stop()
        server.start()
        answer = await browser.post(FORM, data={**form, "replace": "true"})
        assert answer.status_code == 422
        assert "not the one that" in html.unescape(answer.text)
        assert "Trust and attach" not in answer.text
        assert (await targets(app, browser))["lab"]["config"]["host_key"] == before
        # The key that is pinned is not what the machine has: the check says so too.
        assert (await browser.post("/portal/compute/lab/check")).status_code == 303
        page = (await browser.get("/portal/compute/lab")).text
        assert "host key" in page.partition('class="problem"')[2].partition("</p>")[0]


async def test_a_wrong_password_is_told_and_tried_again(
    app: FastAPI, browser: httpx.AsyncClient, tmp_path: Path
) -> None:
    try:
        with (
            TemporaryUser() as user,
            SSHServer(user.name, options=["PasswordAuthentication yes"]) as server,
        ):
            form = where(server, tmp_path, **{"config.folder": ""})
            form |= {"config.private_key": "", "config.password": "wrong-horse-battery"}
            asked = await browser.post(FORM, data=form)
            form |= hidden(asked.text)
            answer = await browser.post(FORM, data=form)
            assert answer.status_code == 422
            assert "wrong-horse-battery" not in answer.text
            problem = answer.text.partition('class="problem"')[2].partition("</p>")[0]
            assert "password" in problem
            assert (await targets(app, browser))["lab"]["provisioning_state"] == "Failed"
            # The form holds that the key is trusted, and that this is another try.
            retry = {**form, **hidden(answer.text), "config.password": user.password}
            assert 'name="replace" value="true" checked' in answer.text
            answer = await browser.post(FORM, data={**retry, "replace": "true"})
            assert answer.status_code == 303, answer.text
            assert (await targets(app, browser))["lab"]["provisioning_state"] == "Succeeded"
    except Unavailable as e:
        missing(e)


async def test_a_machine_that_does_not_answer(
    app: FastAPI, browser: httpx.AsyncClient, server: SSHServer, tmp_path: Path
) -> None:
    form = where(server, tmp_path, **{"config.port": "1"})
    answer = await browser.post(FORM, data=form)
    assert answer.status_code == 422
    assert "refused the connection" in answer.text
    assert "lab" not in await targets(app, browser)
