"""What Slurm's accounting remembers of runs that its controller has forgotten, where it is kept.

A controller forgets what is over after MinJobAge, 300 s by default.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from turnout.payload.slurm import commands
from turnout.payload.slurm.words import OVER

#: Seconds after the handing over in which Slurm wrote it down. What has the same number and came
#: later is another one: a controller that lost its state gives numbers twice.
SAME_S = 10.0
FORMAT = "State,ExitCode,NodeList,Submit,WorkDir"


class Ended(NamedTuple):
    """How a run ended for Slurm."""

    #: As squeue names it: "CANCELLED", "OUT_OF_MEMORY".
    state: str
    exit_code: int
    #: As Slurm writes them; "" for none.
    nodes: str


def ended(number: str, root: str, at: float) -> Ended | None:
    """How Slurm's `number`, handed over from `root` at time `at`, ended; None for not known."""
    argv = ["sacct", "-nPX", "-j", number, "-o", FORMAT]
    done = commands.call(argv, timeout_s=5.0)
    return None if done.code else ended_of(done.out, root, at)


def ended_of(text: str, root: str, at: float) -> Ended | None:
    """
    >>> ended_of("CANCELLED by 0|0:15|None assigned|2026-01-01T00:00:00|/work\\n", "/work", 2e9)
    Ended(state='CANCELLED', exit_code=0, nodes='')
    >>> ended_of("PENDING|0:0|None assigned|2026-01-01T00:00:00|/work\\n", "/work", 2e9)
    """
    for line in text.splitlines():
        parts = line.split("|", 4)
        if len(parts) == 5 and parts[4] == root and submitted_at(parts[3]) <= at + SAME_S:
            state = parts[0].partition(" ")[0]
            nodes = "" if parts[2] == "None assigned" else parts[2]
            if state in OVER:
                return Ended(state, commands.whole(parts[1]), nodes)
    return None


def submitted_at(text: str) -> float:
    """Seconds since 1970 of Slurm's local time; for ever for none ("Unknown")."""
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return float("inf")
