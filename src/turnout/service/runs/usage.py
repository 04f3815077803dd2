"""What runs used over time, from the lines that were collected (docs/design/run-folder.md)."""

from __future__ import annotations

import json
from typing import Any

from turnout.payload.rundir import USAGE_NAME
from turnout.service.runs.folders import LOGS, RunFolders
from turnout.spec.errors import NotFoundError

#: More than a line has, however many GPUs there are.
LINE = 8 << 10


def samples(folders: RunFolders, run: str) -> list[dict[str, Any]]:
    """All of them, the oldest first; none for a run that was over at once."""
    path = folders.path(run, LOGS, USAGE_NAME)
    return parse(path.read_bytes()) if path.exists() else []


def last(folders: RunFolders, run: str) -> dict[str, Any] | None:
    """The newest sample; None while there is none."""
    path = folders.path(run, LOGS, USAGE_NAME)
    try:
        start = max(path.stat().st_size - LINE, 0)
        found = parse(folders.read(run, LOGS, USAGE_NAME, start, LINE))
    except (FileNotFoundError, NotFoundError):
        return None
    return found[-1] if found else None


def parse(data: bytes) -> list[dict[str, Any]]:
    """The whole lines of `data` that are samples. A torn one is none.

    >>> parse(b'{"cpu": 1}\\n{"cp\\n{"cpu": 2}\\n{"cpu": 3')
    [{'cpu': 1}, {'cpu': 2}]
    """
    found: list[dict[str, Any]] = []
    for line in data.split(b"\n")[:-1]:
        try:
            sample = json.loads(line)
        except ValueError:
            continue
        if isinstance(sample, dict):
            found.append(sample)  # pyright: ignore[reportUnknownArgumentType]
    return found
