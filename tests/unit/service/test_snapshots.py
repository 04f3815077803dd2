"""Looking into snapshots: what is in one, what differs between two."""

from __future__ import annotations

import httpx
import pytest

from turnout.payload import bundles

FILES = dict[str, bytes]


async def add(
    web: httpx.AsyncClient, files: FILES, links: dict[str, str] | None = None, executable: str = ""
) -> str:
    """A snapshot of these files; its digest."""
    rows: list[list[object]] = []
    frames: list[bytes] = []
    for name, data in sorted(files.items()):
        frame = bundles.blob_frame(data)
        rows.append([name, int(name == executable), len(data), frame[-bundles.HASH :].hex()])
        frames.append(frame)
    manifest = {
        "files": rows, "folders": [], "links": sorted([k, v] for k, v in (links or {}).items()),
    }  # fmt: skip
    canonical = bundles.canonical_bytes(manifest)
    body = b"".join(dict.fromkeys(frames)) + bundles.manifest_frame(canonical) + bundles.END
    answer = await web.put("/v1/snapshots", content=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["digest"]


async def test_files_of_a_snapshot(web: httpx.AsyncClient) -> None:
    files = {"run.sh": b"#!/bin/sh\n", "a b/ü.py": b"x = 1\n", "data.bin": b"\0\1" * 700_000}
    digest = await add(web, files, {"link": "run.sh"}, executable="run.sh")
    found = (await web.get(f"/v1/snapshots/{digest}/files")).json()
    assert found["bytes"] == sum(len(data) for data in files.values())
    assert found["files"] == [
        {"name": "a b/ü.py", "size": 6, "executable": False},
        {"name": "data.bin", "size": 1_400_000, "executable": False},
        {"name": "link", "size": 0, "executable": False, "link": "run.sh"},
        {"name": "run.sh", "size": 10, "executable": True},
    ]
    for name, data in files.items():
        assert (await web.get(f"/v1/snapshots/{digest}/files/{name}")).content == data


async def test_a_name_that_is_no_utf_8(web: httpx.AsyncClient) -> None:
    digest = await add(web, {"odd\udcff.txt": b"x"})
    found = (await web.get(f"/v1/snapshots/{digest}/files")).json()
    assert [f["name"] for f in found["files"]] == ["odd\udcff.txt"]


async def test_what_is_not_there(web: httpx.AsyncClient) -> None:
    digest = await add(web, {"a": b"1"}, {"link": "/etc/passwd"})
    for path in (
        f"{'0' * 64}/files", "nonsense/files", f"{digest}/files/b", f"{digest}/files/link",
        f"{digest}/files/%2e%2e/a", f"{digest}/diff/{'0' * 64}", f"{digest}/diff/{digest}?name=b",
    ):  # fmt: skip
        answer = await web.get(f"/v1/snapshots/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path


async def test_two_snapshots(web: httpx.AsyncClient) -> None:
    before = await add(web, {"same": b"1", "gone": b"22", "changed": b"a\nb\n", "x": b"#!"})
    after = await add(
        web, {"same": b"1", "new": b"333", "changed": b"a\nc\nd\n", "x": b"#!"}, executable="x"
    )
    assert (await web.get(f"/v1/snapshots/{before}/diff/{after}")).json() == {
        "added": [{"name": "new", "size": 3, "executable": False}],
        "removed": [{"name": "gone", "size": 2, "executable": False}],
        "changed": [
            {"name": "changed", "size": 6, "executable": False, "size_before": 4},
            {"name": "x", "size": 2, "executable": True, "size_before": 2},
        ],
        "same": 1,
    }

    async def one(name: str) -> tuple[str, list[str], str]:
        params = {"name": name}
        found = (await web.get(f"/v1/snapshots/{before}/diff/{after}", params=params)).json()
        return found["change"], found["lines"], found["note"]

    assert await one("changed") == (
        "changed", ["@@ -1,2 +1,3 @@", " a", "-b", "+c", "+d"], "",
    )  # fmt: skip
    assert await one("new") == ("added", ["@@ -0,0 +1 @@", "+333"], "")
    assert await one("gone") == ("removed", ["@@ -1 +0,0 @@", "-22"], "")
    assert await one("same") == ("same", [], "")
    change, lines, note = await one("x")
    assert (change, lines) == ("changed", [])
    assert "executed" in note


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        (b"\0\1", b"text", "no text"),
        (b"x" * 2_000_000, b"x", "Larger than 1 MB"),
        (b"x\n" * 30_000, b"x", "Longer than 20,000 lines"),
        (b"", b"x\n" * 8_000, "The first 5,000 of 8,001 lines"),
        (b"a\r\nb\r\n", b"a\nb\n", "how lines end"),
    ],
)
async def test_what_is_not_shown_is_said(
    web: httpx.AsyncClient, old: bytes, new: bytes, note: str
) -> None:
    before, after = await add(web, {"f": old}), await add(web, {"f": new})
    found = (await web.get(f"/v1/snapshots/{before}/diff/{after}?name=f")).json()
    assert note in found["note"]
    assert len(found["lines"]) <= 5_000


async def test_links_are_told(web: httpx.AsyncClient) -> None:
    before, after = await add(web, {}, {"l": "a"}), await add(web, {"l": b"1234"})
    found = (await web.get(f"/v1/snapshots/{before}/diff/{after}?name=l")).json()
    assert found["lines"] == ["-a", "+(a file of 4 bytes)"]
