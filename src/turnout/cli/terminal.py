"""What a person sees: tables, a status line, times in words, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, TextIO

#: State → colour of the terminal (SGR).
COLOURS = {"completed": 32, "failed": 31, "canceled": 33, "running": 36, "Failed": 31}


#: How often the status line's time moves, and after how long it shows one.
TICK_S = 1.0
SHOWN_FROM_S = 2.0


def print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))


def printable(text: object) -> str:
    """`text` without control characters: what comes from a run must not drive the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[object]], out: TextIO | None = None
) -> None:
    """Columns as wide as their content; on a terminal the line is cut at its edge."""
    stream: TextIO = sys.stdout if out is None else out
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    is_terminal = stream.isatty()
    room = columns(stream) if is_terminal else 0
    for number, row in enumerate([list(head), *cells]):
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        line = "  ".join(padded).rstrip()
        line = line[:room] if room else line
        if is_terminal and number == 0:
            line = f"\x1b[1m{line}\x1b[0m"
        elif is_terminal:
            line = paint(line, row)
        print(line, file=stream)


def paint(line: str, row: Sequence[str]) -> str:
    for cell in row:
        if cell in COLOURS:
            return line.replace(cell, f"\x1b[{COLOURS[cell]}m{cell}\x1b[0m", 1)
    return line


def print_fields(fields: dict[str, object]) -> None:
    """`name  value` lines; those without a value are left out."""
    shown = {k: v for k, v in fields.items() if v not in (None, "", {}, [])}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        print(f"{name.ljust(width)}  {value}")


def say(text: str) -> None:
    """Our own words, apart from the script's output."""
    print(text, file=sys.stderr, flush=True)


def parse_time(text: str | None) -> datetime | None:
    # `fromisoformat` of Python 3.10 does not know the Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def ago(text: str | None) -> str:
    at = parse_time(text)
    return f"{span((datetime.now(timezone.utc) - at).total_seconds())} ago" if at else ""


def took(view: dict[str, Any]) -> str:
    """How long a run ran, up to now if it still does."""
    begin, end = parse_time(view["started_at"]), parse_time(view["ended_at"])
    if begin is None:
        return ""
    return span(((end or datetime.now(timezone.utc)) - begin).total_seconds())


def span(seconds: float) -> str:
    """
    >>> span(0.5), span(90), span(7500), span(200000)
    ('0.5 s', '1 m 30 s', '2 h 5 m', '2 d 7 h')
    """
    seconds = max(seconds, 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} m" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def size(count: int) -> str:
    """
    >>> size(999), size(2048), size(5 * 1024**3)
    ('999 B', '2.0 KB', '5.0 GB')
    """
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"


def columns(stream: TextIO) -> int:
    # A terminal that nobody has told its size says 0.
    return os.get_terminal_size(stream.fileno()).columns or 80


class StatusLine:
    """One line on the terminal's stderr that says what is being done and for how long, rewritten
    in place.

    Silent where stderr is no terminal: a log file wants results, not progress."""

    def __init__(self) -> None:
        self.is_terminal = sys.stderr.isatty()
        self.shown = ""
        self.began = 0.0
        self.lock = threading.Lock()
        self.cleared = threading.Event()

    def show(self, text: str) -> None:
        if not self.is_terminal or text == self.shown:
            return
        with self.lock:
            is_new = not self.shown
            self.shown = text
            if is_new:
                self.began = time.monotonic()
                self.cleared = threading.Event()
            self.draw()
        if is_new:
            threading.Thread(target=self.tick, args=(self.cleared,), daemon=True).start()

    def tick(self, cleared: threading.Event) -> None:
        """A long silence is where a person looks at the clock."""
        while not cleared.wait(TICK_S):
            with self.lock:
                if not cleared.is_set():
                    self.draw()

    def draw(self) -> None:
        lasted = time.monotonic() - self.began
        end = f"  {span(int(lasted))}".replace(".0 s", " s") if lasted >= SHOWN_FROM_S else ""
        room = max(columns(sys.stderr) - 1 - len(end), 0)
        sys.stderr.write(f"\r\x1b[K\x1b[2m{printable(self.shown)[:room]}{end}\x1b[0m")
        sys.stderr.flush()

    def clear(self) -> None:
        with self.lock:
            if self.shown:
                self.cleared.set()
                self.shown = ""
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
