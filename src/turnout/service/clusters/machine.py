"""What this machine has to be cut into nodes."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

from turnout.payload import slices
from turnout.spec.sizes import Machine

#: Left to the service, the system and runs on `local`, in MB: nodes get the rest.
RESERVE_MB = 512


@functools.cache
def cores() -> tuple[int, ...]:
    """Numbers of the cores that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))


@functools.cache
def gpus() -> tuple[int, ...]:
    """Numbers of NVIDIA's GPUs, as the driver shows them."""
    names = [p.name for p in Path("/dev").glob("nvidia*")]
    return tuple(sorted(int(n[6:]) for n in names if re.fullmatch(r"nvidia\d+", n)))


@functools.cache
def memory_mb() -> int:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)
    return max(256, whole - RESERVE_MB)


@functools.cache
def limits() -> str:
    """How nodes are held here, tried once."""
    return slices.limits()


def machine() -> Machine:
    return Machine(len(cores()), memory_mb(), len(gpus()))
