"""A real browser before the real service."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from tests.acceptance.conftest import Shell

from turnout.testing.missing import missing

#: Quiet: no look at the network, no first-run pages.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 20_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        missing("Chromium is not installed (Debian's package chromium)")
    # For a module: while Playwright works, no other event loop can in this thread.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        yield browser
        browser.close()


class Portal:
    """One person's browser, signed in, that notes whatever goes wrong in it."""

    def __init__(self, context: BrowserContext, shell: Shell) -> None:
        self.context = context
        self.shell = shell
        self.wrong: list[str] = []
        self.status = 0
        #: Beginnings of what may go wrong in this test.
        self.expected: tuple[str, ...] = ()
        context.set_default_timeout(PATIENCE_MS)
        context.on("weberror", lambda e: self.wrong.append(f"page: {e.error}"))
        context.on("console", self.heard)
        out, _ = shell.run("portal", "--no-browser")
        self.link = out.strip()
        self.base = self.link.partition("/portal/")[0]
        self.page = context.new_page()
        self.page.goto(self.link)

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def open(self, path: str) -> Page:
        """The page at a path of the portal."""
        answer = self.page.goto(f"{self.base}/portal/{path.lstrip('/')}")
        self.status = answer.status if answer is not None else 0
        return self.page

    def check(self) -> None:
        """Nothing went wrong that was not expected."""
        found = [w for w in self.wrong if not any(text in w for text in self.expected)]
        assert not found, found


@pytest.fixture
def portal(chromium: Browser, shell: Shell) -> Iterator[Portal]:
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    made = Portal(context, shell)
    yield made
    try:
        made.check()
    finally:
        context.close()
