"""Hints: the page, the templates and the service mean the same by them."""

import re
from pathlib import Path

from turnout.portal import app
from turnout.portal.views import live
from turnout.service.runs.hub import Hub

PORTAL = Path(app.__file__).parent


def test_names_of_hints() -> None:
    script = (PORTAL / "static" / "live.js").read_text()
    listed = re.search(r"const kinds = \[(.*?)\]", script)
    assert listed
    assert tuple(re.findall(r'"(\w+)"', listed[1])) == live.KINDS
    used = {
        kind
        for path in (PORTAL / "templates").rglob("*.html")
        for kind in re.findall(r"live:(\w+)", path.read_text())
    }
    assert used
    assert used <= set(live.KINDS)


async def test_a_page_hears_of_what_came_after_it() -> None:
    hub = Hub()
    seen = hub.news
    hub.note("runs")
    hints = live.hints(hub, "", seen)
    assert await anext(hints) == b": here\n\n"
    heard = [(await anext(hints)).decode().split()[1] for _ in live.KINDS]
    assert sorted(heard) == sorted(live.KINDS)
    await hints.aclose()  # type: ignore[attr-defined]


async def test_only_the_run_that_is_watched() -> None:
    hub = Hub()
    with hub.watch("one") as watcher:
        hub.tell("other")
        assert watcher.take() == {"runs"}
        hub.grew("other")
        assert watcher.take() == set()
        hub.tell("one")
        hub.grew("one")
        assert watcher.take() == {"runs", "run", "log"}
    assert not hub.watchers
