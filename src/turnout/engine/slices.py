"""Which part of the machine a new node gets. Nothing is given twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.spec.clusters import Node
from turnout.spec.sizes import Size


@dataclass(frozen=True)
class Slice:
    """A part of the machine for one node."""

    cores: tuple[int, ...]
    memory_mb: int
    gpus: tuple[int, ...] = ()


def carve(
    machine_cores: Sequence[int],
    machine_memory_mb: int,
    machine_gpus: Sequence[int],
    taken: Sequence[Node],
    size: Size,
    count: int,
) -> list[Slice]:
    """Up to `count` slices of `size` beside `taken`; fewer when the machine is full.

    `taken` are the nodes of every cluster on the machine in whatever state: a node that leaves
    holds its slice until it is gone. Cores and GPUs are given in the order of the machine's.
    """
    used_cores = {core for node in taken for core in node.cores}
    used_gpus = {gpu for node in taken for gpu in node.gpus}
    cores = [core for core in dict.fromkeys(machine_cores) if core not in used_cores]
    gpus = [gpu for gpu in dict.fromkeys(machine_gpus) if gpu not in used_gpus]
    memory_mb = machine_memory_mb - sum(node.memory_mb for node in taken)
    fits = [count, len(cores) // size.cores, memory_mb // max(size.memory_mb, 1)]
    if size.gpus:
        fits.append(len(gpus) // size.gpus)
    return [
        Slice(
            cores=tuple(cores[i * size.cores : (i + 1) * size.cores]),
            memory_mb=size.memory_mb,
            gpus=tuple(gpus[i * size.gpus : (i + 1) * size.gpus]),
        )
        for i in range(max(0, min(fits)))
    ]
