"""Runs side by side."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from turnout.service.runs.comparison import arguments, environment


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", {}),
        ("--lr 0.1 --epochs=3", {"--lr": "0.1", "--epochs": "3"}),
        ("a b --x", {"1": "a", "2": "b", "--x": ""}),
        ("--x -5 --y -.5e3", {"--x": "-5", "--y": "-.5e3"}),
        ("--x --y --z= --eq=a=b", {"--x": "", "--y": "", "--z": "", "--eq": "a=b"}),
        ("-v -o out --many 1 2 --many 3", {"-v": "", "-o": "out", "--many": "1 2 3"}),
        ("python train.py --lr 1", {"1": "python", "2": "train.py", "--lr": "1"}),
    ],
)
def test_arguments(words: str, found: dict[str, str]) -> None:
    assert arguments(words.split()) == found


def test_environments() -> None:
    assert environment(
        {
            "python": "3.11",
            "pip": ["a>=1", "b[x]==2", "git+https://e.org/x", "./local.whl"],
            "variables": {"A": "1"},
            "origins": {"a": "somewhere"},
            "user_managed": False,
        }
    ) == {
        "python": "3.11", "pip a": ">=1", "pip b[x]": "==2", "pip git+https://e.org/x": "any",
        "pip ./local.whl": "any", "variables.A": "1", "user_managed": "no",
    }  # fmt: skip


async def create(web: httpx.AsyncClient, number: int, **spec: Any) -> str:
    body: dict[str, Any] = {
        "key": f"key-{number:06}", "experiment": "exp", "tags": {"n": str(number), "same": None},
    }  # fmt: skip
    spec = {"command": ["true"], "environment": {"user_managed": True}, **spec}
    answer = await web.post("/v1/runs", json={**body, "spec": spec})
    assert answer.status_code == 201, answer.text
    run = answer.json()["id"]
    await web.post(f"/v1/runs/{run}/cancel")
    return run


async def log(web: httpx.AsyncClient, run: str, *records: dict[str, Any]) -> None:
    answer = await web.post(f"/v1/runs/{run}/records", json={"records": list(records)})
    assert answer.status_code == 201


async def test_runs_side_by_side(web: httpx.AsyncClient) -> None:
    one = await create(web, 1, command=["train", "--lr", "0.1", "--fast"])
    two = await create(web, 2, command=["train", "--lr", "0.2"])
    for run, values in ((one, [1.0, 0.5]), (two, [1.0, 0.25])):
        for value in values:
            await log(web, run, {"t": "metric", "name": "loss", "value": value})
            await log(web, run, {"t": "row", "name": "fit", "value": {"a": value, "b": "x"}})
    await log(web, two, {"t": "metric", "name": "odd", "value": {"$float": "NaN"}})
    await log(web, two, {"t": "table", "name": "table", "value": {"a": [1]}})

    found = (await web.get("/v1/runs/compare", params={"run": [one, two, one]})).json()
    assert [run["id"] for run in found["runs"]] == [one, two]
    rows = {(r["group"], r["name"]): (r["values"], r["differs"]) for r in found["rows"]}
    assert rows["arguments", "1"] == (["train", "train"], False)
    assert rows["arguments", "--lr"] == (["0.1", "0.2"], True)
    assert rows["arguments", "--fast"] == (["", None], True)
    assert rows["metrics", "loss"] == ([0.5, 0.25], True)
    assert rows["metrics", "fit.a"] == ([0.5, 0.25], True)
    assert rows["metrics", "fit.b"] == (["x", "x"], False)
    assert rows["metrics", "odd"] == ([None, {"$float": "NaN"}], True)
    assert ("metrics", "table") not in rows
    assert rows["tags", "n"] == (["1", "2"], True)
    assert rows["tags", "same"] == (["", ""], False)
    assert rows["run", "target"] == (["local", "local"], False)
    assert rows["environment", "user_managed"] == (["yes", "yes"], False)


async def test_what_cannot_be_compared(web: httpx.AsyncClient) -> None:
    run = await create(web, 1)
    many = [f"run-{i}" for i in range(11)]
    for runs, status, word in (
        ([], 400, "1 to 10"), (many, 400, "not 11"), ([run, "nobody"], 404, "nobody"),
    ):  # fmt: skip
        answer = await web.get("/v1/runs/compare", params={"run": runs})
        assert answer.status_code == status
        assert word in answer.json()["error"]["message"]
