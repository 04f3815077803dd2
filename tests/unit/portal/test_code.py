"""A run's source folder in its page, and what differs from another run's."""

from __future__ import annotations

from typing import Any

import httpx
from tests.unit.service.test_snapshots import FILES, add

EVIL = "<script>alert(1)</script>"


async def submit(web: httpx.AsyncClient, number: int, files: FILES | None) -> str:
    """A run with this source folder; canceled at once: only its folder matters."""
    spec: dict[str, Any] = {"command": ["true"], "environment": {"user_managed": True}}
    if files is not None:
        spec["snapshot"] = await add(web, files)
    body = {"key": f"key-{number:06}", "experiment": "exp", "spec": spec}
    answer = await web.post("/v1/runs", json=body)
    assert answer.status_code == 201, answer.text
    run = answer.json()["id"]
    await web.post(f"/v1/runs/{run}/cancel")
    return run


async def page(browser: httpx.AsyncClient, run: str, status: int = 200, /, **query: Any) -> str:
    answer = await browser.get(f"/portal/runs/{run}/code", params=query)
    assert answer.status_code == status, answer.text
    return answer.text


async def test_files_are_shown(web: httpx.AsyncClient, browser: httpx.AsyncClient) -> None:
    files: FILES = {
        "train.py": f"print('{EVIL}')\n".encode(), "lib/a.py": b"a = 1\n", "lib/deep/b.py": b"",
        f"{EVIL.replace('/', '-')}.txt": b"x", "data.bin": b"\0\1", "odd\udcff.txt": b"odd text",
    }  # fmt: skip
    run = await submit(web, 1, files)
    text = await page(browser, run)
    assert "train.py" in text
    assert "lib/a.py" not in text
    assert "<script>alert" not in text
    assert "folder=lib%2Fdeep" in await page(browser, run, folder="lib")
    shown = await page(browser, run, name="train.py")
    assert "&lt;script&gt;alert(1)" in shown
    assert "no text" in await page(browser, run, name="data.bin")
    assert "odd text" in await page(browser, run, name="odd\ufffd.txt")
    answer = await browser.get(f"/portal/runs/{run}/code/file", params={"name": "train.py"})
    assert answer.content == files["train.py"]
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    for field, value in (("name", "nothing"), ("folder", "nothing"), ("name", "../train.py")):
        assert "has no" in await page(browser, run, 404, **{field: value})


async def test_differences_are_shown(web: httpx.AsyncClient, browser: httpx.AsyncClient) -> None:
    before = await submit(web, 1, {"same": b"1", "gone": b"2", "train.py": b"lr = 1\n"})
    after = await submit(web, 2, {"same": b"1", "new": b"3", "train.py": b"lr = 2\n"})
    text = await page(browser, after, **{"with": before})
    assert "3 files differ." in text
    assert ">same<" not in text
    one = await page(browser, after, **{"with": before, "name": "train.py"})
    assert ">-lr = 1" in one
    assert ">+lr = 2" in one
    assert "folders are the same" in await page(browser, before, **{"with": before})
    assert before in await page(browser, after), "runs of the same experiment are offered"


async def test_what_cannot_be_compared_is_said(
    web: httpx.AsyncClient, browser: httpx.AsyncClient
) -> None:
    run, bare = await submit(web, 1, {"a": b"1"}), await submit(web, 2, None)
    assert "no run &#39;nobody&#39;" in await page(browser, run, 404, **{"with": "nobody"})
    assert "had no source folder" in await page(browser, run, 400, **{"with": bare})
    assert "No source folder" in await page(browser, bare)
