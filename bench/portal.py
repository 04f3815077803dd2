"""How fast the portal's pages are there when there are 10,000 runs."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from bench import ours
from bench.timing import Row, Times, Unavailable, take
from turnout.client.embedded import default_client
from turnout.client.portal import sign_in_link
from turnout.service import db
from turnout.service.runs.tables import ExperimentRow, RunRow
from turnout.service.settings import Settings
from turnout.service.state import build

RUNS = 10_000
GROUP = f"Portal, {RUNS:,} runs"
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
PAGES = (
    ("list of runs", "/portal/runs"),
    ("list of runs, sorted by duration", "/portal/runs?sort=duration"),
    ("list of runs, searched", "/portal/runs?text=trial+77"),
    ("page of a run", "/portal/runs/bench_00000042"),
    ("overview", "/portal/"),
)
PAINT = "performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime)[0]"


def rows(root: Path, runs: int) -> list[Row]:
    """Of each page: the service's answer, and what the browser calls its first paint."""
    home = root / "portal"
    asyncio.run(fill(home))
    with ours.home(home):
        try:
            return measured(max(runs, 5))
        except Unavailable as error:
            return [Row(GROUP, "pages", note=f"skipped: {error}")]


def measured(runs: int) -> list[Row]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise Unavailable("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    found: list[Row] = []
    link = sign_in_link(default_client(), "/portal/")
    base = link.partition("/portal/")[0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.goto(link)
        for name, path in PAGES:
            address = base + path

            def answer(address: str = address) -> object:
                got = context.request.get(address)
                assert got.ok, got.status
                return got.body()

            def paint(address: str = address) -> float:
                page.goto(address)
                page.wait_for_function(f"() => {PAINT} !== undefined")
                return float(page.evaluate(PAINT))

            found.append(Row(GROUP, f"{name}: answer", many(lambda a=answer: take(a), runs)))
            found.append(Row(GROUP, f"{name}: first contentful paint", many(paint, runs)))
        browser.close()
    return found


def many(once: Callable[[], float], runs: int) -> Times:
    once()
    return Times(done=[once() for _ in range(runs)])


async def fill(home: Path) -> None:
    """A home with runs that are over, of three experiments."""
    chance = random.Random(7)
    settings = Settings(home=home)
    parts = build(settings)
    db.migrate(settings.database_url)
    start = db.now() - timedelta(days=60)
    experiments = ("diabetes", "iris", "sweep")
    async with parts.db.write() as session:
        for name in experiments:
            session.add(ExperimentRow(name=name, created_at=start, tags={}))
        await session.flush()
        made = [one(number, start, chance, experiments) for number in range(RUNS)]
        await session.execute(insert(RunRow), made)
    await parts.db.aclose()
    parts.store.close()


def one(number: int, start: Any, chance: random.Random, experiments: tuple[str, ...]) -> Any:
    began = start + timedelta(minutes=5 * number)
    return {
        "id": f"bench_{number:08d}",
        "key": f"bench-key-{number}",
        "experiment": chance.choice(experiments),
        "display_name": f"trial {number}",
        "description": "",
        "type": "azureml.scriptrun",
        "target": chance.choice(("local", "lab", "cpu")),
        "state": chance.choice(("completed", "completed", "completed", "failed", "canceled")),
        "message": "",
        "spec": {"script": "train.py", "arguments": ["--alpha", str(chance.random())]},
        "tags": {"fold": str(number % 5)},
        "properties": {},
        "history": [],
        "created_at": began,
        "started_at": began,
        "ended_at": began + timedelta(seconds=chance.random() * 900),
        "attempt": 1,
        "losses": 0,
        "log_starts": {},
        "warnings": [],
        "records_offset": 0,
        "record_keys": [],
        "version": 1,
    }
