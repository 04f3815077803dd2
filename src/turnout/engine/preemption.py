"""Which low-priority nodes are taken back for dedicated work. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from turnout.engine import placement
from turnout.spec.clusters import Node, NodeState, Waiting

#: States of nodes that hold their part of the machine only until they are gone.
GOING = frozenset({NodeState.LEAVING, NodeState.PREEMPTED})


def worth_having(
    waiting: Sequence[Waiting], nodes: Sequence[Node], most: int, max_nodes: int
) -> list[int]:
    """How many new nodes, up to `most`, are worth it for a cluster that has `nodes`: with each of
    these numbers more runs start than with one node fewer. The largest comes first."""
    starts = [0] * (max(most, 0) + 1)
    for more in range(len(starts)):
        new = [Node(f"new {n}", NodeState.IDLE, None, 0.0, (), 0) for n in range(more)]
        placed = placement.place(waiting, [*nodes, *new], {}, max_nodes=max_nodes, room=0)
        starts[more] = len(placed.assigned)
    return [more for more in range(len(starts) - 1, 0, -1) if starts[more] > starts[more - 1]]


def preempt(
    low_priority: Sequence[Node], cores: int, memory_mb: int, gpus: int = 0
) -> tuple[str, ...]:
    """Nodes of low-priority clusters to take back so that this much more of the machine is free.

    Nodes without a run go first, then the runs that started last, each with all of its nodes.
    Nothing is taken when all of it together would not be enough. Nodes that are going already
    count and are not named again, so asking twice takes nothing more.
    """
    going = [node for node in low_priority if node.state in GOING]
    parties: defaultdict[str, list[Node]] = defaultdict(list)
    for node in low_priority:
        if node.state not in GOING:
            parties[f"run {node.run}" if node.run else f"node {node.name}"].append(node)

    def enough(nodes: Sequence[Node]) -> bool:
        return (
            sum(len(node.cores) for node in nodes) >= cores
            and sum(node.memory_mb for node in nodes) >= memory_mb
            and sum(len(node.gpus) for node in nodes) >= gpus
        )

    chosen: list[list[Node]] = []
    for party in sorted(parties.values(), key=_loss):
        if enough([*going, *_flat(chosen)]):
            break
        chosen.append(party)
    if not enough([*going, *_flat(chosen)]):
        return ()
    # What was taken on the way and is not needed after all stays; the greatest loss first.
    for party in reversed(list(chosen)):
        rest = [other for other in chosen if other is not party]
        if enough([*going, *_flat(rest)]):
            chosen = rest
    return tuple(sorted(node.name for node in _flat(chosen)))


def _flat(parties: Sequence[Sequence[Node]]) -> list[Node]:
    return [node for party in parties for node in party]


def _loss(party: Sequence[Node]) -> tuple[bool, float, str]:
    """Sort key: what is lost least comes first."""
    first = min(node.since for node in party)
    return party[0].run is not None, -first, min(node.name for node in party)
