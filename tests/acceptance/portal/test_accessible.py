"""Every page, looked at by axe: nothing serious, in light and in dark, wide and narrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from tests.acceptance.conftest import Shell
from tests.acceptance.portal.conftest import Portal

AXE = Path(__file__).parents[3] / ".tools" / "axe.js"
SCRIPT = """
import sys
from pathlib import Path
from turnout import Run
run = Run.get_context()
for step in range(20):
    run.log("loss", 1 / (step + 1))
run.log_table("table", {"a": [1, 2], "b": ["x", "y"]})
run.tag("kind", "seen")
Path("outputs").mkdir(exist_ok=True)
Path("outputs/notes.txt").write_text("notes")
print("done")
sys.exit(int(sys.argv[1]))
"""
PLACES = (
    "",
    "runs",
    "runs?text=nothing-is-called-so",
    "runs/RUN",
    "runs/RUN/metrics",
    "runs/RUN/logs",
    "runs/RUN/outputs",
    "runs/RUN/outputs?name=outputs/notes.txt",
    "runs/RUN/code",
    "runs/RUN/code?with=OTHER",
    "runs/RUN/environment",
    "runs/RUN/details",
    "runs/RUN/submit",
    "compare?run=RUN&run=OTHER",
    "experiments",
    "compute",
    "compute/create",
    "compute/attach",
    "compute/attach/ssh",
    "compute/local",
    "compute/seen",
    "compute/seen/detach",
    "environments",
    "environments/built",
    "environments/named/scikit-learn",
    "data",
    "data/stores/workspaceblobstore",
    "models",
    "workspace",
    "workspace?quota=runs",
    "workspace/events",
    "workspace/settings",
    "workspace/settings?key=environments.conda",
    "workspace/logins",
    "workspace/kinds",
    "workspace/versions",
    "sign-in",
    "no-such-page",
)


def violations(page: Page) -> list[str]:
    found: list[dict[str, Any]] = page.evaluate(
        "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
    )
    return [
        f"{x['id']}: {x['help']}: {[n['html'][:200] for n in x['nodes'][:3]]}"
        for x in found
        if x["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_every_page(portal: Portal, shell: Shell, scheme: str, width: int) -> None:
    portal.expected = ("status of 404",)
    shell.write("seen.py", SCRIPT)
    run = shell.run("submit", "--detach", "--experiment", "seen", "seen.py", "0")[0].strip()
    other = shell.run("submit", "--detach", "--experiment", "seen", "seen.py", "1")[0].strip()
    for each in (run, other):
        shell.run("run", "logs", "--follow", each)
    if "seen" not in shell.run("target", "list")[0].split():
        shell.run("target", "create", "cluster", "seen", "--size", "1c1g", "--max-nodes", "1")
    shell.run("model", "register", "seen", "seen.py")
    page = portal.page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    axe = AXE.read_text()
    found: dict[str, list[str]] = {}
    for place in PLACES:
        portal.open(place.replace("RUN", run).replace("OTHER", other))
        assert portal.status == (404 if place == "no-such-page" else 200), place
        # Not as a script of the page: its policy forbids that, as it should.
        page.evaluate(axe)
        problems = violations(page)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            problems.append("wider than the screen")
        if problems:
            found[place] = problems
    assert not found, "\n".join(f"{place}: {p}" for place, ps in found.items() for p in ps)


def test_axe_would_find_something(portal: Portal) -> None:
    page = portal.open("")
    page.evaluate(AXE.read_text())
    page.evaluate("document.getElementById('content').append(document.createElement('button'))")
    assert any("button-name" in text for text in violations(page))
