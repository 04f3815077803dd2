"""The words of a managed cluster: how large it may grow, its nodes, the runs that wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Policy:
    """How large a cluster may be, and when it shrinks."""

    min_nodes: int
    max_nodes: int
    #: Seconds without a run after which a node may be let go.
    idle_s: float


class NodeState(str, Enum):
    """What a node does. A node that is gone is not listed, and never comes back under its name."""

    STARTING = "starting"
    IDLE = "idle"
    RUNNING = "running"
    #: Let go; holds its part of the machine until it is gone.
    LEAVING = "leaving"
    #: Taken back for dedicated work; holds its part of the machine until it is gone.
    PREEMPTED = "preempted"
    #: Something is wrong with it. It is replaced after a while.
    UNUSABLE = "unusable"


#: Nodes that can serve a run now or later without anything being replaced.
USABLE = frozenset({NodeState.STARTING, NodeState.IDLE, NodeState.RUNNING})


@dataclass(frozen=True)
class Node:
    """One node: a part of the machine that nobody else uses while it is listed."""

    name: str
    state: NodeState
    #: The run that it works for, or None.
    run: str | None
    #: When it came into this state (seconds, the clock of `now`).
    since: float
    cores: tuple[int, ...]
    memory_mb: int
    gpus: tuple[int, ...] = ()

    @property
    def is_free(self) -> bool:
        return self.state is NodeState.IDLE and self.run is None


@dataclass(frozen=True)
class Waiting:
    """A run without nodes."""

    run: str
    user: str
    #: Higher goes first.
    priority: int
    #: It gets this many at once, or none.
    node_count: int
    submitted_at: float


def reach(nodes: Sequence[Node], max_nodes: int, room: int) -> int:
    """How many nodes the cluster can bring together: a run that needs more cannot start now.

    `room` is how many nodes the machine can hold beside `nodes`.
    """
    usable = sum(node.state in USABLE for node in nodes)
    return min(max_nodes, usable + max(room, 0))


def node_state_counts(states: Iterable[NodeState]) -> dict[str, int]:
    """v1's `node_state_counts`: how many nodes are in each of its states, all six named."""
    counts = dict.fromkeys(["idle", "leaving", "preempted", "preparing", "running", "unusable"], 0)
    for state in states:
        counts["preparing" if state is NodeState.STARTING else state.value] += 1
    return counts
