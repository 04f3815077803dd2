"""Runs side by side: what they were asked to do, how long it took, what came out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from turnout.service.db import Database
from turnout.service.runs import logic, series
from turnout.service.runs.tables import RunRow
from turnout.service.runs.views import run_view
from turnout.spec.errors import UserError

#: Runs in one comparison.
LIMIT = 10
OPTION = re.compile(r"--?[A-Za-z][^=\s]*")
PACKAGE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^\]]*\])?)\s*((?:[<>=!~;@].*)?)")
#: Groups of rows, in the order in which they are shown.
GROUPS = ("run", "arguments", "metrics", "environment", "tags")
View = dict[str, Any]


async def compare(db: Database, runs: Sequence[str]) -> View:
    """`{"runs": [run], "rows": [{"group", "name", "values", "differs"}]}`.

    `values` has one for each run, None where it has no such thing. Raises `UserError` for no run
    or more than `LIMIT`, `NotFoundError` for one that is none.
    """
    asked = list(dict.fromkeys(runs))
    if not 1 <= len(asked) <= LIMIT:
        raise UserError(f"Name 1 to {LIMIT} runs to compare, not {len(asked)}.")
    found: list[RunRow] = []
    columns: list[dict[str, View]] = []
    async with db.read() as session:
        for name in asked:
            row = await logic.find(session, name)
            if row.id not in [other.id for other in found]:
                found.append(row)
                metrics = await series.newest_values(session, row.id)
                columns.append({**about(row), "metrics": dict(sorted(metrics.items()))})
                # Long series take their time: others have their turn between the runs.
                await asyncio.sleep(0)
    return {"runs": [run_view(row) for row in found], "rows": rows_of(columns)}


def rows_of(columns: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[View]:
    """Rows out of columns: for each group what any run has in it."""
    found: list[View] = []
    for group in GROUPS:
        for name in dict.fromkeys(name for column in columns for name in column[group]):
            values = [column[group].get(name) for column in columns]
            differs = any(value != values[0] for value in values)
            found.append({"group": group, "name": name, "values": values, "differs": differs})
    return found


def about(row: RunRow) -> dict[str, View]:
    """What of a run can be laid beside another."""
    spec: Mapping[str, Any] = row.spec
    took = (row.ended_at - row.started_at) if row.ended_at and row.started_at else None
    script, words = spec.get("script"), list(spec.get("arguments") or ())
    if not script and spec.get("command"):
        words = list(spec["command"])
    run: View = {
        "state": row.state,
        "experiment": row.experiment,
        "target": row.target,
        "duration": None if took is None else took.total_seconds(),
        "script": script,
        "snapshot": row.snapshot,
        "nodes": spec.get("node_count", 1) if spec else None,
        "attempts": row.attempt,
        "error": (row.error or {}).get("message"),
    }
    run |= {f"distribution {k}": v for k, v in flat(spec.get("distribution") or {}).items()}
    for side in ("inputs", "outputs"):
        for item in spec.get(side) or ():
            said = flat({k: v for k, v in item.items() if k != "name"})
            run[f"{side[:-1]} {item.get('name')}"] = ", ".join(f"{k}={v}" for k, v in said.items())
    return {
        "run": {name: value for name, value in run.items() if value not in (None, "")},
        "arguments": arguments(words),
        "environment": environment(spec.get("environment") or {}),
        "tags": {name: value or "" for name, value in row.tags.items()},
    }


def arguments(words: Iterable[str]) -> dict[str, str]:
    """A script's arguments by their names; what stands before the first option by its place.

    >>> arguments(["data", "--lr", "-0.1", "--layers", "2", "3", "--fast", "--name=x"])
    {'1': 'data', '--lr': '-0.1', '--layers': '2 3', '--fast': '', '--name': 'x'}
    """
    found: dict[str, list[str]] = {}
    current: str | None = None
    for word in map(str, words):
        option = OPTION.match(word)
        if option is None:
            name = current or str(len(found) + 1)
            found.setdefault(name, []).append(word)
            continue
        current, is_given, value = option[0], *word[option.end() :].partition("=")[1:]
        found.setdefault(current, [])
        if is_given:
            found[current].append(value)
    return {name: " ".join(values) for name, values in found.items()}


def environment(spec: Mapping[str, Any]) -> dict[str, str]:
    """An environment in rows: each package is one.

    >>> environment({"pip": ["numpy==1.2", "torch"], "container": {"image": "a"}})
    {'pip numpy': '==1.2', 'pip torch': 'any', 'container.image': 'a'}
    """
    found: dict[str, str] = {}
    for key, value in spec.items():
        # Where packages were asked for decides nothing.
        if key == "origins":
            continue
        if key in ("pip", "conda") and isinstance(value, Sequence) and not isinstance(value, str):
            packages: Sequence[Any] = value
            for package in map(str, packages):
                name, version = package_of(package)
                found[f"{key} {name}"] = version
        else:
            found |= flat({key: value})
    return found


def package_of(text: str) -> tuple[str, str]:
    match = PACKAGE.fullmatch(text.strip())
    return (match[1], match[2] or "any") if match else (text, "any")


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Nested plain data as texts by dotted names; a list is one text.

    >>> flat({"a": {"b": 1, "c": [1, "x"]}, "d": True})
    {'a.b': '1', 'a.c': '1, x', 'd': 'yes'}
    """
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            inner: Mapping[str, Any] = value
            found |= flat(inner, f"{before}{key}.")
        elif isinstance(value, list | tuple):
            items: Sequence[Any] = value
            found[f"{before}{key}"] = ", ".join(text_of(item) for item in items)
        elif value is not None:
            found[f"{before}{key}"] = text_of(value)
    return found


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        inner: Mapping[str, Any] = value
        return " ".join(f"{k}={v}" for k, v in flat(inner).items())
    return str(value)
