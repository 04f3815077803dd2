import json
from typing import Any

import pytest

from turnout.service.db import Database
from turnout.service.runs import logic, records
from turnout.service.runs.logic import NewRun


async def new_run(db: Database, key: str = "key-00001") -> str:
    row, _ = await logic.create(db, NewRun(key, "exp", interactive=True), None)
    return row.id


def test_only_complete_lines_are_taken() -> None:
    data = b'{"t": "metric"}\nnot json\n[1]\n\n{"t": "tags"}\n{"t": "tor'
    found, taken, bad = records.parse(data)
    assert [r["t"] for r in found] == ["metric", "tags"]
    assert data[taken:] == b'{"t": "tor'
    assert bad == 2


async def test_metrics_are_summed_up_as_v1_does(db: Database) -> None:
    run = await new_run(db)
    logged: list[dict[str, Any]] = [
        {"t": "metric", "name": "mse", "value": 1.5},
        {"t": "metric", "name": "mse", "value": 0.5},
        {"t": "metric", "name": "once", "value": "x"},
        {"t": "list", "name": "l", "value": [1, 2]},
        {"t": "row", "name": "r", "value": {"a": 1, "b": 2}},
        {"t": "row", "name": "r", "value": {"a": 3, "b": 4}},
        {"t": "row", "name": "single", "value": {"a": 1}},
    ]
    await logic.add_records(db, run, logged)
    assert await logic.metrics(db, run, recursive=False) == {
        "mse": [1.5, 0.5],
        "once": "x",
        "l": [1, 2],
        "r": {"a": [1, 3], "b": [2, 4]},
        "single": {"a": 1},
    }


async def test_tags_and_properties(db: Database) -> None:
    run = await new_run(db)
    await logic.add_records(
        db,
        run,
        [
            {"t": "tags", "set": {"a": "1", "b": None}},
            {"t": "tags", "remove": ["a"]},
            {"t": "properties", "add": {"p": "1"}},
            {"t": "properties", "add": {"p": "2"}},
            {"t": "display_name", "value": "nice"},
        ],
    )
    row = await logic.get(db, run)
    assert row.tags == {"b": None}
    assert row.properties == {"p": "1"}
    assert row.display_name == "nice"


async def test_children_are_runs(db: Database) -> None:
    run = await new_run(db)
    child = f"{run}_1"
    begins = {"t": "child", "id": child, "name": "first", "tags": {"k": "v"}}
    await logic.add_records(
        db, run, [begins, {"t": "metric", "name": "m", "value": 1, "run": child}]
    )
    await logic.add_records(db, run, [begins, {"t": "state", "state": "completed", "run": child}])
    row = await logic.get(db, child)
    assert (row.parent, row.state, row.display_name) == (run, "completed", "first")
    assert await logic.metrics(db, run, recursive=True) == {run: {}, child: {"m": 1}}


@pytest.mark.parametrize(
    "record",
    [
        {"t": "metric"},
        {"t": "nonsense"},
        {"t": "state", "state": "flying"},
        {"t": "child", "id": "somebody_elses_run"},
        {"t": "metric", "name": "m", "value": 1, "run": "other_run_id"},
        {"t": "tags", "set": 5},
    ],
)
async def test_what_is_not_understood_is_a_warning(db: Database, record: dict[str, Any]) -> None:
    run = await new_run(db)
    good = {"t": "metric", "name": "kept", "value": 1}
    await logic.add_records(db, run, [record, good])
    row = await logic.get(db, run)
    assert len(row.warnings) == 1
    assert await logic.metrics(db, run, recursive=False) == {"kept": 1}


async def test_children_have_a_history_too(db: Database) -> None:
    run = await new_run(db)
    child = f"{run}_1"
    begins = {"t": "child", "id": child, "name": "first", "at": 1000.0}
    ends = {"t": "state", "state": "failed", "error": "No data.", "run": child, "at": 1060.0}
    for records_ in ([begins], [begins, ends], [ends]):
        await logic.add_records(db, run, records_)
    assert (await logic.get(db, child)).history == [
        {"state": "running", "at": "1970-01-01T00:16:40+00:00", "message": "", "attempt": 1},
        {
            "state": "failed", "at": "1970-01-01T00:17:40+00:00", "message": "No data.",
            "attempt": 1,
        },
    ]  # fmt: skip
    await logic.request_cancel(db, run)
    states = [entry["state"] for entry in (await logic.get(db, run)).history]
    assert states == ["running", "canceled"]


async def test_a_child_cannot_touch_another_run(db: Database) -> None:
    run, other = await new_run(db), await new_run(db, "key-00002")
    await logic.add_records(db, run, [{"t": "tags", "set": {"x": "y"}, "run": other}])
    assert (await logic.get(db, other)).tags == {}


async def test_a_childs_id_leads_nowhere_else(db: Database) -> None:
    run = await new_run(db)
    await logic.add_records(db, run, [{"t": "child", "id": f"{run}_x/../../../elsewhere"}])
    assert len((await logic.get(db, run)).warnings) == 1


async def test_names_that_are_not_text_can_be_kept(db: Database) -> None:
    line = json.dumps({"t": "metric", "name": "\ud800 \U0001f600", "value": 1}).encode() + b"\n"
    found, _, bad = records.parse(line)
    assert (found[0]["name"], bad) == ("? \U0001f600", 0)
    run = await new_run(db)
    await logic.add_records(db, run, [{"t": "tags", "set": {"\udcff": "x"}}])
    assert (await logic.get(db, run)).tags == {"?": "x"}


async def test_a_repeated_request_adds_nothing(db: Database) -> None:
    run = await new_run(db)
    record = [{"t": "metric", "name": "m", "value": 1}]
    assert await logic.add_records(db, run, record, "key-1") == {run}
    assert await logic.add_records(db, run, record, "key-1") == set()
    await logic.add_records(db, run, record, "key-2")
    assert await logic.metrics(db, run, recursive=False) == {"m": [1, 1]}
