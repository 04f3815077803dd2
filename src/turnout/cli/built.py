"""Environments that targets have built: list, show, prune."""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from typing import Any

from turnout.cli.terminal import ago, print_fields, print_json, print_table, printable, say, size
from turnout.client.embedded import default_client
from turnout.client.http import segment
from turnout.spec.errors import NotFoundError, TargetError, UserError

DAY_S = 86400
#: Digits of a key that a list shows, enough to name it.
SHOWN = 12


def fetch(target: str) -> list[dict[str, Any]]:
    """What the target has built, the last used first; each with the target's name."""
    found = default_client().get(f"/v1/targets/{segment(target)}/environments")["environments"]
    rows = [{"target": target, **row} for row in found]
    return sorted(rows, key=lambda row: row.get("used_at") or 0.0, reverse=True)


def stamp(at: float | None) -> str | None:
    """Targets count seconds since the epoch; elsewhere times are texts."""
    return None if at is None else datetime.fromtimestamp(at, timezone.utc).isoformat()


def show_all(given: argparse.Namespace) -> int:
    if given.target:
        rows = fetch(given.target)
    else:
        rows = []
        for target in default_client().get("/v1/targets")["targets"]:
            try:
                rows += fetch(target["name"])
            except TargetError as e:
                say(f"'{target['name']}' cannot be asked: {printable(e.message)}")
    if given.json:
        print_json(rows)
    elif rows:
        print_rows(rows)
    else:
        print("Nothing is built yet. The first run that lists packages builds what it needs.")
    return 0


def print_rows(rows: list[dict[str, Any]]) -> None:
    cells = [
        (
            row["key"][:SHOWN],
            row["target"],
            row.get("kind") or "",
            size(row["size"]) if row.get("size") else "",
            ago(stamp(row.get("used_at"))),
            state(row),
            row.get("label") or "",
        )
        for row in rows
    ]
    print_table(("KEY", "TARGET", "KIND", "SIZE", "USED", "STATE", "HOLDS"), cells)


def state(row: dict[str, Any]) -> str:
    if not row.get("ready", True):
        return "half-made"
    return "in use" if row.get("in_use") else "ready"


def choose(rows: list[dict[str, Any]], key: str, target: str) -> dict[str, Any]:
    """The row whose key begins so. Raises `NotFoundError` for none or several."""
    found = [row for row in rows if row["key"].startswith(key)]
    if len(found) == 1 and key:
        return found[0]
    if found:
        raise NotFoundError(f"Several environments on '{target}' begin with '{key}'; give more.")
    raise NotFoundError(
        f"'{target}' has built no environment '{key}'. "
        f"`turnout environments list --target {target}` shows what there is."
    )


def show_one(given: argparse.Namespace) -> int:
    row = choose(fetch(given.target), given.name, given.target)
    if given.json:
        print_json(row)
        return 0
    print_fields(
        {
            "environment": row["key"],
            "target": row["target"],
            "kind": row.get("kind"),
            "holds": printable(row.get("label") or ""),
            "state": state(row),
            "size": size(row["size"]) if row.get("size") else "",
            "built": ago(stamp(row.get("built_at"))),
            "used": ago(stamp(row.get("used_at"))),
        }
    )
    return 0


def prune(given: argparse.Namespace) -> int:
    if given.keys and (given.all or given.older_than):
        raise UserError("Give KEYs, or --all, or --older-than: one of the three.")
    if given.all and given.older_than:
        raise UserError("Give --all or --older-than, not both.")
    keys: list[str] | None = None
    if given.keys:
        rows = fetch(given.target)
        found = [choose(rows, key, given.target) for key in given.keys]
        refuse_in_use(found, given.target)
        keys = [row["key"] for row in found]
    body = {
        "older_than_s": 0 if given.keys or given.all else given.older_than or keep_s(),
        "keys": keys,
        "dry_run": given.dry_run,
    }
    path = f"/v1/targets/{segment(given.target)}/environments/prune"
    answer = default_client().post(path, body)
    if given.json:
        print_json(answer)
        return 0
    removed = [{"target": given.target, **row} for row in answer["removed"]]
    if not removed:
        print(f"Nothing to remove.{nothing_hint(given)}")
        return 0
    print_rows(removed)
    would = "would be removed" if given.dry_run else "removed"
    print(f"{len(removed)} {would}, {size(answer['freed'])}.")
    return 0


def nothing_hint(given: argparse.Namespace) -> str:
    if given.keys or given.all or given.older_than is not None:
        return ""
    return (
        f" All were used in the last {keep_s() // DAY_S} days; --all takes what no run uses now."
    )


def refuse_in_use(rows: list[dict[str, Any]], target: str) -> None:
    used = [row for row in rows if row.get("in_use")]
    if used:
        raise UserError(
            f"A run on '{target}' uses {used[0]['key'][:SHOWN]} ({printable(used[0]['label'])}). "
            "Wait for it, or cancel it: turnout run list --state running"
        )


def keep_s() -> int:
    """What the workspace's setting says."""
    found = default_client().get("/v1/config")["settings"]
    days = next(x["value"] for x in found if x["key"] == "environments.keep_days")
    return int(days) * DAY_S
