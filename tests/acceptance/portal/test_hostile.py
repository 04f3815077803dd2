"""What a script, a name or another site could try against the person who looks at the portal."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.acceptance.conftest import Shell
from tests.acceptance.portal.conftest import Portal

from turnout import Dataset, Workspace

#: Each breaks out of another place: text, attribute, script, style, template, address.
EVIL = (
    "<img src=x onerror=window.broken=1>",
    '"><script>window.broken=1</script>',
    "'><svg onload=window.broken=1>",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "javascript:window.broken=1//",
    "</code></pre></textarea></title><iframe srcdoc='<script>parent.broken=1</script>'>",
)
ALL = " ".join(EVIL)
SCRIPT = """
import sys, struct, zlib
from pathlib import Path
from turnout import Run
evil = Path("evil.txt").read_text()
run = Run.get_context()
print(evil)
print(evil, file=sys.stderr)
run.log(evil, 1.0)
run.log(evil, 2.0)
run.log("text", evil)
run.log_list("list " + evil, [evil, 1])
run.log_row("row " + evil, **{evil: 1, "b": evil})
run.log_table("table " + evil, {evil: [evil, 2]})
schema = {"schema_type": "residuals", "schema_version": "1", "data": {evil: evil}}
run.log_residuals("schema " + evil, schema)
run.tag(evil, evil)
run.add_properties({evil: evil})
name = evil.replace("/", "_")[:200]
outputs = Path("outputs")
outputs.mkdir(exist_ok=True)
(outputs / name).write_text(evil)
(outputs / "page.html").write_text("<script>window.broken=1</script>" + evil)
svg = "<svg xmlns='http://www.w3.org/2000/svg' onload='window.broken=1'></svg>"
(outputs / "picture.svg").write_text(svg)
(outputs / "notpng.png").write_text("<script>window.broken=1</script>")
raw = b"\\0\\xff\\0\\0"
def chunk(kind, data):
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check
png = [b"\\x89PNG\\r\\n\\x1a\\n"]
png.append(chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)))
png += [chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b"")]
Path("small.png").write_bytes(b"".join(png))
run.log_image(evil, path="small.png")
child = run.child_run(name=evil)
child.log(evil, 3)
child.complete()
run.fail(evil)
raise ValueError(evil)
"""
#: What none of it may have made.
MARKUP = """() => [...document.querySelectorAll(
    "img[src='x'], script:not([src]), iframe, [onerror], [onload], a[href^='javascript:']"
)].map((e) => e.outerHTML.slice(0, 200))"""


def look(page: Page) -> None:
    assert page.evaluate("window.broken") is None, page.url
    assert page.evaluate(MARKUP) == [], page.url


def test_nothing_that_a_user_controls_is_markup(
    portal: Portal, shell: Shell, ws: Workspace
) -> None:
    client = ws.client
    portal.expected = ("status of 4",)
    shell.write("evil.txt", ALL)
    shell.write("evil.py", SCRIPT)
    shell.write(EVIL[0].replace("/", "_"), ALL)
    argument = shell.run(
        "submit", "--detach", "--experiment", "evil", "evil.py", ALL, "--name", EVIL[1]
    )
    run = argument[0].strip()
    shell.run("run", "logs", "--follow", run)
    client.request("PATCH", f"/v1/runs/{run}", {"display_name": ALL, "description": ALL})
    other = {
        "key": "evil-interactive",
        "experiment": "evil",
        "interactive": True,
        "display_name": ALL,
        "tags": {ALL: ALL},
    }
    second = client.post("/v1/runs", other)["id"]
    if "evil" not in shell.run("target", "list")[0].split():
        made = {"name": "evil", "kind": "cluster", "description": ALL, "tags": {"tag": ALL}}
        client.post("/v1/targets", {**made, "config": {"vm_size": "1c1g", "max_nodes": 1}})
    definition = {"environment_variables": {"A": ALL}}
    client.post(
        "/v1/environments",
        {"name": "evil", "definition": definition, "description": ALL, "tags": {"tag": ALL}},
    )
    shell.write("model.txt", ALL)
    shell.run("model", "register", "evil", "model.txt", "--description", ALL)
    client.request("PUT", "/v1/secrets/evil", {"value": ALL})
    store = ws.get_default_datastore()
    store.upload_files([str(shell.write(EVIL[0].replace("/", "_"), ALL))], target_path="evil")
    dataset = Dataset.File.from_files((store, "evil/**"))
    dataset.register(ws, "evil", description=ALL, tags={"tag": ALL})
    files = client.get(f"/v1/runs/{run}/files")["files"]
    assert any(f["name"].startswith("outputs/<img") for f in files)
    encoded = "%3Cimg%20src%3Dx%20onerror%3Dwindow.broken%3D1%3E%22%3E%3Cscript%3E"
    places = [
        "",
        "runs",
        f"runs?text={encoded}",
        f"runs?tag={encoded}&experiment={encoded}&target={encoded}&parent={encoded}",
        f"runs?state={encoded}",
        f"runs?sort={encoded}",
        f"runs/{encoded}",
        f"runs/{run}",
        f"runs/{run}/metrics",
        f"runs/{run}/logs",
        f"runs/{run}/logs?name={encoded}",
        f"runs/{run}/outputs",
        f"runs/{run}/outputs?name={encoded}",
        f"runs/{run}/code",
        f"runs/{run}/code?with={encoded}",
        f"runs/{run}/environment",
        f"runs/{run}/details",
        f"runs/{run}/submit",
        f"runs/{second}",
        f"runs/{second}/details",
        f"compare?run={run}&run={second}",
        f"compare?run={encoded}",
        "experiments",
        f"experiments?text={encoded}",
        "compute",
        "compute/evil",
        "compute/evil/detach",
        f"compute/{encoded}",
        f"compute/attach/{encoded}",
        f"compute/attach/ssh?name={encoded}",
        "environments",
        "environments/named/evil",
        f"environments/named/{encoded}",
        "data",
        "data/stores/workspaceblobstore",
        f"data/stores/workspaceblobstore?folder={encoded}",
        "data/datasets/evil",
        "models",
        "models/evil",
        "workspace",
        "workspace/events",
        f"workspace/events?name={encoded}&who={encoded}&kind={encoded}",
        "workspace/logins",
        "workspace/settings",
        f"experiments/{encoded}",
        f"sign-in?next={encoded}",
        encoded,
    ]
    for place in places:
        page = portal.open(place)
        look(page)
    # The service is shared with tests that count secrets.
    client.request("DELETE", "/v1/secrets/evil")
    page = portal.open(f"runs/{run}/logs")
    expect(page.locator(".line", has_text=EVIL[0]).first).to_be_visible()
    page.get_by_label("Search this log").fill(EVIL[0])
    page.get_by_label("Search this log").press("Enter")
    expect(page.locator("#hits")).to_contain_text(EVIL[0])
    look(page)
    page = portal.open(f"runs/{run}/metrics")
    chart = page.get_by_role("img", name=re.compile(re.escape(EVIL[0]))).first
    expect(chart.locator("canvas")).to_be_visible()
    chart.hover()
    look(page)
    page = portal.open(f"runs/{run}/outputs")
    for link in page.locator(".tree a").all_text_contents():
        page.get_by_role("link", name=link.strip(), exact=True).first.click()
        expect(page.locator(".preview h2")).to_contain_text(link.strip()[-20:])
        look(page)


def test_files_of_runs_do_not_run(portal: Portal, shell: Shell) -> None:
    shell.write(
        "files.py",
        "from pathlib import Path\n"
        "Path('outputs').mkdir(exist_ok=True)\n"
        "for name in ('page.html', 'picture.svg', 'fake.png'):\n"
        "    Path('outputs', name).write_text('<script>window.broken=1</script>')\n",
    )
    run = shell.run("submit", "--detach", "files.py")[0].strip()
    shell.run("run", "logs", "--follow", run)
    for name in ("page.html", "picture.svg", "fake.png"):
        for query in ("", "?show=true"):
            place = f"{portal.base}/portal/runs/{run}/files/outputs/{name}{query}"
            answer = portal.context.request.get(place)
            assert answer.status == 200
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
            kept = answer.headers.get("content-disposition", "")
            assert kept.startswith("attachment") or answer.headers["content-type"] == "image/png"


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Another site, on another port of this machine: browsers send it the same cookies."""

    page = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(type(self).page.encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def elsewhere() -> Iterator[tuple[type[Elsewhere], str]]:
    class Site(Elsewhere):
        pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Site, f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_another_site_cannot_act(
    portal: Portal, shell: Shell, elsewhere: tuple[type[Elsewhere], str]
) -> None:
    portal.expected = ("status of 403", "frame", "status of 401")
    site, address = elsewhere
    shell.write("wait.py", "import time\ntime.sleep(300)\n")
    run = shell.run("submit", "--detach", "wait.py")[0].strip()
    cancel = f"{portal.base}/portal/runs/{run}/cancel"
    site.page = (
        f"<form method=post action='{cancel}'><button>win a prize</button></form>"
        f"<iframe src='{portal.base}/portal/' width=400 height=300></iframe>"
    )
    page = portal.page
    page.goto(address)
    # Not in a frame of another site, where one would click without knowing on what.
    frame = page.frames[-1]
    assert frame.get_by_role("heading", name="Overview").count() == 0
    with page.expect_response(cancel) as waiting:
        page.get_by_role("button", name="win a prize").click()
    assert waiting.value.status == 403
    sent = waiting.value.request.all_headers()
    assert "turnout_" in sent["cookie"], (
        "the browser sent no cookie: this test would prove nothing"
    )
    assert portal.context.request.get(cancel).status == 405
    page = portal.open(f"runs/{run}")
    expect(page.locator("#head .badge")).not_to_contain_text("cancel")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#head .badge")).to_have_text("canceled")
