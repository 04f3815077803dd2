"""The table: as text, as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

from bench.timing import Row, p50

#: Rows that others are compared with, where their group has them.
PLAIN, OURS = "plain", "turnout SDK"


def cells(row: Row, plain: float | None, ours: float | None) -> list[str]:
    ratios = [ratio(row, base) for base in (plain, ours)]
    return [row.name, spread(row.times.first), spread(row.times.done), *ratios, row.note]


def ratio(row: Row, base: float | None) -> str:
    done = p50(row.times.done)
    return f"{done / base:.1f}" if done and base else ""


def base_of(members: Sequence[Row], start: str) -> float | None:
    return next((p50(row.times.done) for row in members if row.name.startswith(start)), None)


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
    """Per group: its name, and its lines under a head; columns that say nothing are left out."""
    out = []
    for group, members in groups(rows).items():
        plain, ours = base_of(members, PLAIN), base_of(members, OURS)
        known = "result known, ms" if any(r.times.first for r in members) else members[0].unit
        table = [["what", "first line, ms", known, "x plain", f"x {OURS}", "note"]]
        table += [cells(row, plain, ours) for row in members]
        said = [i for i in range(len(table[0])) if any(line[i] for line in table[1:])]
        out.append((group, [[line[i] for i in said] for line in table]))
    return out


def text(rows: Sequence[Row]) -> str:
    lines = []
    for group, table in tables(rows):
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
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
        rule = "|".join("--:" if "note" != head != "what" else "---" for head in table[0])
        lines.insert(len(lines) - len(table) + 1, f"|{rule}|")
    return "\n".join(lines) + "\n"


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def describe(on: str, machine_: str, load: float, runs: int) -> str:
    return (
        f"{on}, {machine_}. 15-minute load average at the end {load}: what is beyond 1 or 2 is "
        f"other work that slowed these. p50 [min-max] of {runs} runs after one or two that do not "
        "count, unless the note says otherwise. Written by `make bench`."
    )


def write(rows: Sequence[Row], runs: int, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    on = time.strftime("%Y-%m-%d")
    load = round(os.getloadavg()[2], 1)
    about = describe(on, machine(), load, runs)
    data = {
        "date": on,
        "machine": machine(),
        "load": load,
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
