"""What people do in the portal, from the first look to the last, against real targets."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.acceptance.conftest import Shell
from tests.acceptance.portal.conftest import PATIENCE_MS, Portal

from turnout import Experiment, Workspace
from turnout.testing.sshd import SSHServer

SLOW = """
import sys, time
from pathlib import Path
from turnout import Run
run = Run.get_context()
go = Path(sys.argv[1])
print("before the gate", flush=True)
while not go.exists():
    time.sleep(0.05)
for step in range(30):
    run.log("loss", 1 / (step + 1))
    print("step", step, flush=True)
Path("outputs").mkdir(exist_ok=True)
Path("outputs/result.txt").write_text("the result")
print("after the gate", flush=True)
"""
QUICK = """
import sys
from turnout import Run
run = Run.get_context()
alpha = float(sys.argv[2])
for step in range(5):
    run.log("loss", alpha / (step + 1))
"""


def submit(shell: Shell, *words: str) -> str:
    """The id of a new run."""
    out, _ = shell.run("submit", "--detach", *words)
    return out.strip()


expect.set_options(timeout=PATIENCE_MS)


def badge(page: Page, text: str) -> None:
    expect(page.locator("#head .badge")).to_have_text(text)


def test_watch_a_run_to_its_end(portal: Portal, shell: Shell) -> None:
    gate = shell.cwd / "gate"
    shell.write("slow.py", SLOW)
    page = portal.open("runs")
    run = submit(shell, "--experiment", "watched", "slow.py", str(gate))
    # It appears while one looks.
    page.get_by_role("link", name=run).click()
    badge(page, "running")
    page.get_by_role("link", name="Logs", exact=True).first.click()
    expect(page.locator(".line", has_text="before the gate")).to_be_visible()
    gate.touch()
    expect(page.locator(".line", has_text="after the gate")).to_be_visible()
    badge(page, "completed")
    page.get_by_role("link", name="Metrics").click()
    chart = page.get_by_role("img", name=re.compile(r"loss: last 0\.0333333, min .*, 30 values"))
    expect(chart).to_be_visible()
    expect(chart.locator("canvas")).to_be_visible()
    page.get_by_role("link", name="Outputs").click()
    page.get_by_role("link", name="result.txt").click()
    expect(page.locator(".preview pre")).to_have_text("the result")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").click()
    assert waiting.value.path().read_text() == "the result"
    assert waiting.value.suggested_filename == "result.txt"


def test_charts_change_while_the_run_goes_on(portal: Portal, shell: Shell) -> None:
    gate = shell.cwd / "gate"
    shell.write("slow.py", SLOW)
    run = submit(shell, "slow.py", str(gate))
    page = portal.open(f"runs/{run}/metrics")
    expect(page.get_by_text("No numbers yet")).to_be_visible()
    gate.touch()
    expect(page.get_by_role("img", name=re.compile("30 values"))).to_be_visible()
    # How it is shown stands in the address, and a shared link shows the same.
    page.get_by_label("logarithmic").check()
    page.get_by_label("over").select_option("relative")
    expect(page).to_have_url(re.compile("log=1"))
    page.reload()
    expect(page.get_by_label("logarithmic")).to_be_checked()
    expect(page.get_by_label("over")).to_have_value("relative")


def test_search_in_a_log(portal: Portal, shell: Shell) -> None:
    shell.write("long.py", "for i in range(40_000):\n    print('line', i, '.' * 60)\n")
    run = submit(shell, "long.py")
    shell.run("run", "logs", "--follow", run)
    page = portal.open(f"runs/{run}/logs")
    expect(page.locator(".line").last).to_have_text(re.compile("line 39999 "))
    page.get_by_label("Search this log").fill("LINE 777 ")
    page.get_by_label("Search this log").press("Enter")
    page.locator("#hits a", has_text="line 777 ").click()
    expect(page.locator(".line.hit")).to_have_text(re.compile("line 777 "))
    place = page.url
    assert "at=" in place
    page.goto(place)
    expect(page.locator(".line.hit")).to_have_text(re.compile("line 777 "))


def test_a_log_without_line_ends(portal: Portal, shell: Shell) -> None:
    gate = shell.cwd / "gate"
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "print('begins', flush=True)\n"
        "while not Path(sys.argv[1]).exists(): time.sleep(0.05)\n"
        "for i in range(20):\n"
        "    sys.stdout.write('\\r' + '=' * 40_000 + f' {i} of 20')\n"
        "    sys.stdout.flush()\n"
        "    time.sleep(0.1)\n"
        "print('\\nends')\n"
    )
    shell.write("bar.py", code)
    run = submit(shell, "bar.py", str(gate))
    page = portal.open(f"runs/{run}/logs")
    expect(page.locator(".line", has_text="begins")).to_be_visible()
    gate.touch()
    expect(page.locator(".line").last).to_have_text("ends")
    expect(page.locator("#log-state")).to_have_text(re.compile("KB$"))


def test_cancel_and_submit_again_elsewhere(portal: Portal, shell: Shell) -> None:
    shell.run("target", "create", "cluster", "pcpu", "--size", "1c1g", "--max-nodes", "1")
    shell.write("wait.py", "import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    run = submit(shell, "--experiment", "again", "wait.py")
    page = portal.open(f"runs/{run}")
    badge(page, "running")
    page.get_by_role("button", name="Cancel").click()
    badge(page, "canceled")
    page.get_by_role("link", name="Submit again").click()
    page.get_by_label("Target").select_option("pcpu")
    page.get_by_role("button", name="Submit").click()
    expect(page).not_to_have_url(re.compile("submit$"))
    badge(page, "running")
    expect(page.locator("#head")).to_contain_text("pcpu")
    page.get_by_role("button", name="Cancel").click()
    badge(page, "canceled")


def test_compare_two_runs(portal: Portal, shell: Shell) -> None:
    shell.write("quick.py", QUICK)
    runs = [
        submit(shell, "--experiment", "compared", "quick.py", "--alpha", alpha)
        for alpha in ("0.25", "0.75")
    ]
    for run in runs:
        shell.run("run", "logs", "--follow", run)
    page = portal.open("runs?experiment=compared")
    button = page.get_by_role("button", name="Compare")
    expect(button).to_be_disabled()
    for run in runs:
        page.get_by_role("checkbox", name=f"Choose {run}").check()
    page.get_by_role("button", name="Compare 2 runs").click()
    row = page.get_by_role("row", name=re.compile("alpha"))
    expect(row).to_contain_text("0.25")
    expect(row).to_contain_text("0.75")
    both = page.get_by_role("img", name=re.compile(r"loss: .*5 values; .*5 values"))
    expect(both).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile("experiment=compared"))


def test_find_filter_sort_and_go_back(portal: Portal, shell: Shell) -> None:
    shell.write("quick.py", QUICK)
    runs = [
        submit(shell, "--experiment", name, "quick.py", "--alpha", "1")
        for name in ("found-one", "found-two")
    ]
    page = portal.open("runs")
    page.keyboard.press("/")
    page.keyboard.type("found-t")
    expect(page).to_have_url(re.compile("text=found-t"))
    expect(page.locator("#runs tbody tr")).to_have_count(1)
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.press("Backspace")
    expect(page.get_by_role("link", name=runs[0])).to_be_visible()
    page.get_by_label("Experiment").select_option("found-one")
    expect(page.get_by_role("link", name=runs[1])).to_have_count(0)
    expect(page).to_have_url(re.compile("experiment=found-one"))
    page.get_by_role("link", name=runs[0]).click()
    page.go_back()
    expect(page.get_by_label("Experiment")).to_have_value("found-one")
    expect(page.locator("#runs tbody tr")).to_have_count(1)
    page.go_back()
    expect(page.get_by_role("link", name=runs[1])).to_be_visible()
    page.get_by_role("link", name="Duration").click()
    expect(page.locator("th[aria-sort]")).to_contain_text("Duration")
    page.get_by_label("Search runs").fill("nothing is called so")
    expect(page.get_by_text("No run is like that")).to_be_visible()


def test_create_a_cluster_and_delete_it(portal: Portal) -> None:
    portal.expected = ("status of 422",)
    page = portal.open("compute")
    page.get_by_role("link", name="Create a cluster").first.click()
    page.get_by_label("Name").fill("not a name!")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert").first).to_contain_text("cannot name")
    page.get_by_label("Name").fill("from-portal")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="from-portal")).to_be_visible()
    portal.open("compute")
    page.get_by_role("link", name="from-portal").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name=re.compile("Delete")).click()
    expect(page).to_have_url(re.compile("/portal/compute/?$"))
    expect(page.get_by_role("link", name="from-portal")).to_have_count(0)


@pytest.mark.ssh
def test_attach_a_machine_and_run_there(portal: Portal, shell: Shell, server: SSHServer) -> None:
    page = portal.open("compute/attach")
    page.get_by_role("link", name=re.compile("ssh", re.IGNORECASE)).first.click()
    page.get_by_label("Name", exact=True).fill("by-portal")
    page.get_by_label("Address").fill(server.address)
    page.get_by_label("Port").fill(str(server.port))
    page.get_by_label("User", exact=True).fill(server.username)
    page.get_by_label(re.compile("Private key")).fill(server.user_key.read_text())
    page.get_by_role("button", name="Attach").click()
    expect(page.get_by_text(re.compile("SHA256:"))).to_be_visible()
    page.get_by_role("button", name="Trust and attach").click()
    expect(page.get_by_role("heading", name="by-portal")).to_be_visible()
    shell.write("there.py", "print('hello from there')")
    run = submit(shell, "--target", "by-portal", "--python", "python3", "there.py")
    page = portal.open(f"runs/{run}/logs")
    expect(page.locator(".line", has_text="hello from there")).to_be_visible()


def test_keys_alone(portal: Portal, shell: Shell) -> None:
    shell.write("quick.py", QUICK)
    run = submit(shell, "--experiment", "by-keys", "quick.py", "--alpha", "1")
    page = portal.open("runs?experiment=by-keys")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("To the content")
    page.keyboard.press("Enter")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.locator(":focus").text_content() == run:
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=run)).to_be_visible()


def test_the_service_goes_away_and_comes_back(portal: Portal, shell: Shell) -> None:
    portal.expected = ("Failed to load resource", "ERR_", "htmx:sendError")
    page = portal.open("runs")
    shell.run("service", "stop")
    expect(page.locator("#lost")).to_be_visible()
    shell.write("quick.py", QUICK)
    run = submit(shell, "--experiment", "came-back", "quick.py", "--alpha", "1")
    expect(page.get_by_role("link", name=run)).to_be_visible()
    expect(page.locator("#lost")).to_be_hidden()


def test_the_address_that_the_sdk_gives(portal: Portal, ws: Workspace) -> None:
    run = Experiment(workspace=ws, name="with-address").start_logging()
    run.log("loss", 1.0)
    run.complete()
    portal.page.goto(run.get_portal_url())
    expect(portal.page.get_by_role("heading", name=run.id)).to_be_visible()
    badge(portal.page, "completed")
    portal.page.goto(run.experiment.get_portal_url())
    expect(portal.page.get_by_role("link", name=run.id)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_kept(portal: Portal, scheme: str) -> None:
    portal.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page = portal.open("")
    other = "dark" if scheme == "light" else "light"
    page.get_by_role("button", name="Light or dark").click()
    portal.open("runs")
    assert page.evaluate("document.documentElement.dataset.theme") == other


def test_a_link_that_was_used_teaches(portal: Portal) -> None:
    page = portal.page
    # The page that is open would ask for something without the cookie.
    page.goto("about:blank")
    portal.context.clear_cookies()
    page.goto(portal.link)
    expect(page.get_by_role("alert")).to_contain_text("used already")
    expect(page.get_by_text("turnout portal", exact=True)).to_be_visible()
