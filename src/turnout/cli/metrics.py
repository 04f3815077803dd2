"""Metrics as a table: a value, or the last of many with their range."""

from __future__ import annotations

from typing import Any

HEAD = ("METRIC", "LAST", "VALUES", "MIN", "MAX")


def rows(metrics: dict[str, Any]) -> list[tuple[str, ...]]:
    """
    >>> rows({"mse": [3.0, 1.5, 2.0]})
    [('mse', '2.0', '3', '1.5', '3.0')]
    """
    return [(name, *cells(value)) for name, value in sorted(metrics.items())]


def cells(value: Any) -> tuple[str, str, str, str]:
    if isinstance(value, dict):
        columns = ", ".join(f"{k}={cells(v)[0]}" for k, v in value.items())
        count = max((len(v) for v in value.values() if isinstance(v, list)), default=1)
        return columns, str(count), "", ""
    if not isinstance(value, list):
        return text(value), "1", "", ""
    if not value:
        return "", "0", "", ""
    numbers = [v for v in value if isinstance(v, int | float) and v == v]
    if len(numbers) == len(value):
        return text(value[-1]), str(len(value)), text(min(numbers)), text(max(numbers))
    last = cells(value[-1])[0] if isinstance(value[-1], dict) else text(value[-1])
    return last, str(len(value)), "", ""


def text(value: Any) -> str:
    shown = f"{value:.6g}" if isinstance(value, float) else str(value)
    if isinstance(value, float) and value == int_of(value) and "e" not in shown:
        shown = f"{value:.1f}"
    return shown if len(shown) <= 40 else shown[:39] + "…"


def int_of(value: float) -> float:
    return float(int(value)) if abs(value) < 1e15 else float("nan")
