"""Metrics as small pictures: inline SVG, with no script and nothing from the network."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

from turnout.client.markup import escape, table

WIDTH, HEIGHT, MARGIN = 220, 70, 4
#: More points than this cannot be told apart in a picture of that width.
POINTS = 200
#: Pictures shown at once, and rows of a table.
CHARTS, ROWS = 12, 8


def render_metrics(metrics: dict[str, Any]) -> str:
    """A chart for every metric that is a series of numbers, a table for one with columns, and one
    list of all that have a single value."""
    single: list[tuple[str, Any]] = []
    charts: list[str] = []
    tables: list[str] = []
    for name, value in metrics.items():
        if isinstance(value, list) and len(value) > 1 and all(is_number(x) for x in value):
            charts.append(chart(name, value))
        elif isinstance(value, dict) and any(isinstance(x, list) for x in value.values()):
            tables.append(columns(name, value))
        else:
            single.append((name, short(value)))
    parts = [*charts[:CHARTS], *tables[:CHARTS]]
    left = max(0, len(charts) - CHARTS) + max(0, len(tables) - CHARTS)
    if single:
        parts.append(table(["Metric", "Value"], single[: 4 * CHARTS]))
        left += max(0, len(single) - 4 * CHARTS)
    if left:
        parts.append(f"<p>and {left} more: run.get_metrics() has them all.</p>")
    return "".join(parts)


def chart(name: str, values: Sequence[float]) -> str:
    """A line over the values in their order, with the last, the least and the greatest."""
    finite = [x for x in values if math.isfinite(x)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    line = "".join(
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        for points in lines(values, low, high)
    )
    note = f"last {short(values[-1])}"
    if finite:
        note += f" · min {short(low)} · max {short(high)} · {len(values)} values"
    return (
        '<div style="display:inline-block;margin:4px 16px 4px 0;vertical-align:top">'
        f"<div><b>{escape(name)}</b></div>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{escape(f"{name}: {note}")}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="currentColor" '
        f'stroke-opacity="0.25"/>{line}</svg>'
        f'<div style="font-size:85%;opacity:0.75">{escape(note)}</div></div>'
    )


def lines(values: Sequence[float], low: float, high: float) -> list[str]:
    """The points of the chart's lines: one line, broken where a value is no finite number.

    >>> lines([0.0, 1.0], 0.0, 1.0)
    ['4.0,66.0 216.0,4.0']
    """
    thin = thinned(values)
    # Halves, so that a range beyond the largest float is none.
    span = high / 2 - low / 2
    parts: list[list[str]] = [[]]
    for place, value in thin:
        if not math.isfinite(value):
            parts.append([])
            continue
        x = MARGIN + (WIDTH - 2 * MARGIN) * place / max(1, len(values) - 1)
        share = (value / 2 - low / 2) / span if span else 0.5
        parts[-1].append(f"{x:.1f},{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share:.1f}")
    # A single point is drawn as a line of no length, which shows nothing; give it a little.
    return [" ".join(part if len(part) > 1 else part * 2) for part in parts if part]


def thinned(values: Sequence[float]) -> list[tuple[int, float]]:
    """(place, value) of at most about `POINTS` values: of each stretch the least and the greatest,
    so that no peak is lost."""
    step = math.ceil(2 * len(values) / POINTS)
    if step <= 2:
        return list(enumerate(values))
    found: list[tuple[int, float]] = []
    for start in range(0, len(values), step):
        stretch = [(i, values[i]) for i in range(start, min(start + step, len(values)))]
        finite = [pair for pair in stretch if math.isfinite(pair[1])]
        if not finite:
            found.append(stretch[0])
            continue
        ends = {min(finite, key=lambda p: p[1]), max(finite, key=lambda p: p[1])}
        found.extend(sorted(ends))
    return found


def columns(name: str, value: dict[str, Any]) -> str:
    """The last rows of a metric that has columns."""
    sides = {k: v if isinstance(v, list) else [v] for k, v in value.items()}
    size = max(len(side) for side in sides.values())
    first = max(0, size - ROWS)
    rows = [
        [short(side[i]) if i < len(side) else "" for side in sides.values()]
        for i in range(first, size)
    ]
    more = f" (the last {ROWS} of {size} rows)" if first else ""
    return (
        '<div style="display:inline-block;margin:4px 16px 4px 0;vertical-align:top">'
        f"<div><b>{escape(name)}</b>{more}</div>{table(list(sides), rows)}</div>"
    )


def is_number(value: object) -> bool:
    """Whether it can be drawn: no integer that is too large for a float."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return isinstance(value, float)


def short(value: object, length: int = 80) -> str:
    """
    >>> short(0.123456789), short(3), short([1, 2])
    ('0.123457', '3', '[1, 2]')
    """
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= length else text[: length - 1] + "…"
