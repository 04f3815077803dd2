"""The table: as text, as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

from bench.timing import Row, p50

HEADS = ("what", "first line, ms", "result known, ms", "x plain", "note")


def cells(row: Row, plain: float | None) -> list[str]:
    done = p50(row.times.done)
    ratio = f"{done / plain:.1f}" if done and plain and row.unit == "ms" else ""
    return [row.name, spread(row.times.first), spread(row.times.done), ratio, row.note]


def spread(values: Sequence[float]) -> str:
    middle = p50(values)
    if middle is None:
        return ""
    if len(values) == 1:
        return number(middle)
    return f"{number(middle)} [{number(min(values))}-{number(max(values))}]"


def number(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    out: dict[str, list[Row]] = {}
    for row in rows:
        out.setdefault(row.group, []).append(row)
    return out


def tables(rows: Sequence[Row]) -> list[tuple[str, list[list[str]]]]:
    out = []
    for group, members in groups(rows).items():
        plain = next((p50(r.times.done) for r in members if r.name.startswith("plain")), None)
        heads = list(HEADS)
        if not any(row.times.first for row in members):
            heads[2] = members[0].unit
        out.append((group, [heads, *(cells(row, plain) for row in members)]))
    return out


def text(rows: Sequence[Row]) -> str:
    lines = []
    for group, table in tables(rows):
        widths = [max(len(line[i]) for line in table) for i in range(len(HEADS))]
        lines += ["", group, "-" * len(group)]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in table
        ]
    return "\n".join(lines)


def markdown(rows: Sequence[Row], about: str) -> str:
    lines = ["# Bench", "", about]
    for group, table in tables(rows):
        lines += ["", f"## {group}", ""]
        lines += ["| " + " | ".join(line) + " |" for line in table]
        lines.insert(len(lines) - len(table) + 1, "|---|--:|--:|--:|---|")
    return "\n".join(lines) + "\n"


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def write(rows: Sequence[Row], runs: int, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    on = time.strftime("%Y-%m-%d")
    about = (
        f"{on}, {machine()}. p50 [min-max] of {runs} runs after one that does not count, unless "
        "the note says otherwise. Written by `make bench`."
    )
    data = {
        "date": on,
        "machine": machine(),
        "runs": runs,
        "rows": [
            {
                "group": row.group,
                "name": row.name,
                "unit": row.unit,
                "first": row.times.first,
                "done": row.times.done,
                "note": row.note,
            }
            for row in rows
        ],
    }
    (folder / "latest.json").write_text(json.dumps(data, indent=1) + "\n")
    (folder / "latest.md").write_text(markdown(rows, about))
