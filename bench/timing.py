"""What a measurement is: commands run again and again, their first line and their end timed."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class Unavailable(Exception):
    """This way will not install or run here; the text says why."""


@dataclass
class Times:
    """Milliseconds, one per repetition."""

    done: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)


@dataclass
class Row:
    """One line of the table. `note` says why there is no number, or what the number means."""

    group: str
    name: str
    times: Times = field(default_factory=Times)
    unit: str = "ms"
    note: str = ""


def p50(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def repeat(once: Callable[[], tuple[float | None, float]], runs: int, warm_ups: int = 1) -> Times:
    """Call `once` (first line and end, in ms) `runs` times after `warm_ups` that do not count."""
    times = Times()
    for turn in range(warm_ups + runs):
        first, done = once()
        if turn >= warm_ups:
            times.done.append(done)
            if first is not None:
                times.first.append(first)
    return times


def take(once: Callable[[], object]) -> float:
    """How long one call takes, in ms."""
    began = time.perf_counter()
    once()
    return (time.perf_counter() - began) * 1000


def first_line(began: float, stamp: Path) -> float | None:
    """When the script's first line ran, in ms after `began` (seconds since the epoch)."""
    try:
        return (float(stamp.read_text()) - began) * 1000
    except (OSError, ValueError):
        return None


def timed(call: Callable[[], object], stamp: Path) -> tuple[float | None, float]:
    """First line and end of a script that is started by `call` and writes `stamp`."""
    stamp.unlink(missing_ok=True)
    began = time.time()
    call()
    done = (time.time() - began) * 1000
    first = first_line(began, stamp)
    if first is None:
        raise Unavailable("the script did not run")
    return first, done


def command(
    argv: Sequence[str | Path],
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout_s: float = 300,
) -> Callable[[], None]:
    """A call that runs `argv` to its end; a failure is `Unavailable`, with its last words."""
    words = [str(word) for word in argv]

    def run() -> None:
        try:
            done = subprocess.run(
                words,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{Path(words[0]).name}: {error}") from None
        if done.returncode:
            said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
            last = said[-1] if said else ""
            raise Unavailable(f"{Path(words[0]).name} ended with {done.returncode}: {last[:160]}")

    return run
