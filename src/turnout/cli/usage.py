"""What runs use over time, in numbers and as lines of small bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from turnout.cli.terminal import columns, print_table, size, span

BARS = "▁▂▃▄▅▆▇█"
#: Where the terminal knows no bars.
PLAIN = "_.-=+*%#"
#: Width of the bars where there is no terminal, and the least on one.
WIDTH = 40
LEAST = 10
#: A line of the table: (time it stands for, value) of every sample that has one.
Series = list[tuple[float, float]]


def print_usage(samples: Sequence[dict[str, Any]], *, over: bool) -> None:
    """The table; of a run that is `over` nothing is used now."""
    lines = series(samples)
    names = list(lines)
    texts = [cells(name, lines[name], over=over) for name in names]
    taken = sum(max(len(row[i]) for row in [*texts, HEAD]) + 2 for i in range(len(HEAD)))
    width = max(columns(sys.stdout) - taken, LEAST) if sys.stdout.isatty() else WIDTH
    lasted = span(sum(float(sample["seconds"]) for sample in samples))
    marks = marks_of(sys.stdout.encoding)
    rows = [
        (*row, bars(lines[name], width, ceiling(name, lines[name]), marks))
        for name, row in zip(names, texts, strict=True)
    ]
    print_table((*HEAD, f"OVER {lasted}"), rows)


HEAD = ("USE OF", "NOW", "MEAN", "PEAK")


def peak_words(samples: Sequence[dict[str, Any]]) -> str:
    """
    >>> peak_words([{"peak_mb": 20}, {"peak_mb": 200.5}]), peak_words([])
    ('200.5 MB', '')
    """
    return size(int(max(s["peak_mb"] for s in samples) * (1 << 20))) if samples else ""


def node_words(sample: dict[str, Any] | None) -> tuple[str, str]:
    """Busy cores and memory at the last look, for a line of a node.

    >>> node_words({"cpu": 1.5, "memory_mb": 20}), node_words(None)
    (('1.50', '20.0 MB'), ('', ''))
    """
    if sample is None:
        return "", ""
    return f"{sample['cpu']:.2f}", size(int(sample["memory_mb"] * (1 << 20)))


def series(samples: Sequence[dict[str, Any]]) -> dict[str, Series]:
    """Every line of the table by its name, in order.

    >>> gpu = {"index": 0, "use": 90, "memory_mb": 400}
    >>> one = {"seconds": 1, "cpu": 0.5, "memory_mb": 20, "processes": 1, "gpus": [gpu]}
    >>> list(series([one]))
    ['CPU', 'memory', 'GPU 0', 'GPU 0 memory']
    """
    found: dict[str, Series] = {"CPU": [], "memory": []}
    for sample in samples:
        seconds = float(sample["seconds"])
        found["CPU"].append((seconds, sample["cpu"]))
        # The last one of a run is taken when nothing is left of it.
        if sample["processes"]:
            found["memory"].append((seconds, sample["memory_mb"]))
        for gpu in sample["gpus"]:
            for name, key in (("GPU {}", "use"), ("GPU {} memory", "memory_mb")):
                if gpu[key] is not None:
                    line = found.setdefault(name.format(gpu["index"]), [])
                    line.append((seconds, gpu[key]))
    return {name: line for name, line in found.items() if line}


def cells(name: str, line: Series, *, over: bool) -> tuple[str, str, str, str]:
    words = unit(name)
    now = "" if over else words(line[-1][1])
    return name, now, words(mean(line)), words(max(value for _, value in line))


def unit(name: str) -> Callable[[float], str]:
    """How values of that line are written."""
    if name.endswith("memory"):
        return lambda mb: size(int(mb * (1 << 20)))
    if name == "CPU":
        return lambda cores: f"{cores:.2f} cores"
    return lambda percent: f"{percent:.0f} %"


def mean(line: Series) -> float:
    """
    >>> mean([(1, 0.0), (3, 1.0)])
    0.75
    """
    time = sum(seconds for seconds, _ in line)
    return sum(seconds * value for seconds, value in line) / time if time else line[-1][1]


def ceiling(name: str, line: Series) -> float:
    """What a full bar stands for: one core or more, all of a GPU, the most memory there was."""
    least = {"CPU": 1.0, "memory": 1.0}.get(name, 1.0 if name.endswith("memory") else 100.0)
    return max(least, *(value for _, value in line))


def bars(line: Series, width: int, full: float, marks: str = BARS) -> str:
    """One bar for each part of the time, the highest value in it; not more than seconds.

    >>> bars([(1, 0.0), (5, 1.0), (5, 0.5)], 11, 1.0)
    '▁█████▅▅▅▅▅'
    """
    time = sum(seconds for seconds, _ in line)
    count = min(width, max(len(line), round(time)))
    highest = [0.0] * count
    at = 0.0
    for seconds, value in line:
        first, last = at * count / time, (at + seconds) * count / time
        # A part belongs to every sample that reaches into it, beyond what rounding does.
        for part in range(int(first + 1e-6), min(max(int(last - 1e-6), 0), count - 1) + 1):
            highest[part] = max(highest[part], value)
        at += seconds
    top = len(marks) - 1
    return "".join(marks[min(top, int(value / full * top + 0.5))] for value in highest)


def marks_of(encoding: str | None) -> str:
    """
    >>> marks_of("ascii") == PLAIN
    True
    """
    try:
        BARS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return BARS
