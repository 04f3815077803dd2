"""Finding runs: filters, words, order, pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from turnout.service.db import Database, now
from turnout.service.runs import logic, search
from turnout.service.runs.logic import NewRun
from turnout.service.runs.search import Search
from turnout.service.runs.tables import by_id
from turnout.spec.errors import UserError


async def add(db: Database, name: str, experiment: str = "exp", **columns: Any) -> str:
    parent = columns.pop("parent", None)
    tags = columns.pop("tags", {})
    new = NewRun(
        f"key-{name:>08}", experiment, tags=tags, display_name=name, interactive=True,
        parent=parent,
    )  # fmt: skip
    row, _ = await logic.create(db, new, None)
    async with db.write() as session:
        stored = await by_id(session, row.id)
        assert stored is not None
        for column, value in columns.items():
            setattr(stored, column, value)
    return row.id


async def names(db: Database, **wanted: Any) -> list[str]:
    found = await search.page(db, Search(**wanted))
    return [row["display_name"] for row in found.rows]


async def test_filters_and_counts(db: Database) -> None:
    one = await add(db, "one", "a", tags={"t": "1"}, target="lab")
    await add(db, "two", "b", tags={"t": None}, state="failed")
    await add(db, "three", "b", parent=one, state="completed")

    assert await names(db) == ["two", "one"]
    assert await names(db, include_children=True) == ["three", "two", "one"]
    assert await names(db, parent=one) == ["three"]
    assert await names(db, experiment="b") == ["two"]
    assert await names(db, target="lab") == ["one"]
    assert await names(db, tag="t") == ["two", "one"]
    assert await names(db, tag="t=1") == ["one"]
    assert await names(db, type="azureml.scriptrun") == []
    assert await names(db, states=("failed", "canceled")) == ["two"]
    assert await search.counts(db, Search(states=("failed",))) == {"running": 1, "failed": 1}
    assert await search.counts(db, Search(include_children=True)) == {
        "running": 1, "completed": 1, "failed": 1,
    }  # fmt: skip
    assert await search.choices(db) == {"experiments": ["a", "b"], "targets": ["lab", "sdk"]}
    found = await search.page(db, Search(experiment="a"))
    assert (found.total, found.rows[0]["children"]) == (1, 1)
    assert "spec" not in found.rows[0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MODEL", ["Big Model", "model%"]),
        ("del%", ["model%"]),
        ("_", ["snow_line"]),
        ("exp-two", ["Big Model"]),
        ("blue", ["snow_line"]),
        ("größe", ["snow_line"]),
        ("  ", ["Big Model", "model%", "snow_line"]),
        ("' OR 1=1 --", []),
    ],
)
async def test_words(db: Database, text: str, found: list[str]) -> None:
    await add(db, "snow_line", "e", tags={"colour": "Blue", "size": "Größe"}, id="run1")
    await add(db, "model%", "e", id="run2")
    await add(db, "Big Model", "exp-two", id="run3")
    assert await names(db, text=text) == found


async def test_any_tag_can_be_asked_for(db: Database) -> None:
    hostile = {'a"b': "1", "back\\slash": "2", "dot.ted": "3", "$[0]": "4"}
    await add(db, "one", tags=hostile)
    for name, value in hostile.items():
        assert await names(db, tag=name) == ["one"]
        assert await names(db, tag=f"{name}={value}") == ["one"]
        assert await names(db, tag=f"{name}=5") == []


async def test_order_and_pages(db: Database) -> None:
    at = now()
    for i, (name, minutes) in enumerate((("b", 5), ("A", 1), ("c", 3))):
        began = at - timedelta(minutes=10 * (i + 1))
        await add(db, name, started_at=began, ended_at=began + timedelta(minutes=minutes))
    await add(db, "waiting", started_at=None, state="queued")

    assert await names(db, sort="name", descending=False) == ["A", "b", "c", "waiting"]
    assert await names(db, sort="duration") == ["b", "c", "A", "waiting"]
    assert await names(db, sort="duration", descending=False) == ["A", "c", "b", "waiting"]
    assert await names(db, sort="started") == ["b", "A", "c", "waiting"]
    assert (await names(db, sort="state", descending=False))[0] == "waiting"
    for column in search.SORTS:
        pages = [await names(db, sort=column, size=3, offset=offset) for offset in (0, 3, 6)]
        assert sorted(name for found in pages for name in found) == ["A", "b", "c", "waiting"], (
            column
        )
    assert (await search.page(db, Search(size=1, offset=2))).total == 4
    with pytest.raises(UserError, match="cannot be sorted by 'colour'"):
        await search.page(db, Search(sort="colour"))
    with pytest.raises(UserError, match="'flying' is no state"):
        await search.page(db, Search(states=("flying",)))


async def test_over_http(web: httpx.AsyncClient) -> None:
    body = {"key": "key-000001", "experiment": "exp", "interactive": True}
    run = (await web.post("/v1/runs", json=body)).json()
    query = {"state": ["running", "failed"], "text": "EXP", "sort": "duration"}
    found = (await web.get("/v1/runs/search", params=query)).json()
    assert [r["id"] for r in found["runs"]] == [run["id"]]
    assert (found["total"], found["counts"]) == (1, {"running": 1})
    assert (found["experiments"], found["targets"]) == (["exp"], ["sdk"])
    for bad in ({"state": "flying"}, {"sort": "x"}, {"colour": "red"}, {"size": 1000}):
        assert (await web.get("/v1/runs/search", params=bad)).status_code in (400, 422)
