"""The portal of a service for a team: reached over TCP, entered with the token."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.acceptance.conftest import Shell

from turnout.testing.sshd import free_port


@dataclass
class Hosted:
    url: str
    token: str


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Hosted]:
    home, port = tmp_path / "hosted", free_port()
    argv = [sys.executable, "-m", "turnout.service.server", "--home", str(home)]
    with subprocess.Popen([*argv, "--port", str(port)], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while not (home / "service.json").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield Hosted(f"http://127.0.0.1:{port}", (home / "token").read_text().strip())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_in_with_the_token_and_out_again(chromium: Browser, hosted: Hosted) -> None:
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(hosted.url)
        expect(page).to_have_url(f"{hosted.url}/portal/sign-in?next=%2Fportal%2F")
        page.get_by_label("Token").fill("a guess")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("not the token")
        page.get_by_label("Token").fill(hosted.token)
        page.get_by_label("Your name").fill("ana")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        page.goto(f"{hosted.url}/portal/workspace/events")
        expect(page.get_by_role("row", name="ana signed in")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        page.goto(f"{hosted.url}/portal/runs")
        expect(page.get_by_label("Token")).to_be_visible()


def test_a_link_of_the_command_line(chromium: Browser, hosted: Hosted, shell: Shell) -> None:
    shell.env |= {"TURNOUT_URL": hosted.url, "TURNOUT_TOKEN": hosted.token}
    link, _ = shell.run("portal", "--no-browser")
    assert link.startswith(f"{hosted.url}/portal/sign-in?code=")
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(link.strip())
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        expect(page.get_by_text("turnout submit train.py")).to_be_visible()
