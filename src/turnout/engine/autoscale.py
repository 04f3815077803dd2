"""How many nodes a cluster should gain or lose. Pure: no I/O, no clock of its own.

A run that needs several nodes at once only counts when the cluster can bring all of them
together. So two clusters on one machine never sit on half of what each needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.spec.clusters import USABLE, Node, NodeState, Policy, Waiting, reach

#: Seconds that a node which cannot be used stays listed before it is replaced: long enough to be
#: seen, and a machine that breaks every node is not asked for new ones all the time.
REPLACE_AFTER_S = 30.0


@dataclass(frozen=True)
class Plan:
    """Add `grow` nodes, let the nodes named in `shrink` go. `reason` is for a person."""

    grow: int
    shrink: tuple[str, ...]
    reason: str
    #: Nodes that would be added too if only the machine had room: what other clusters on it may
    #: be asked to give up (idle nodes, low-priority ones).
    short: int = 0


def plan(
    waiting: Sequence[Waiting],
    nodes: Sequence[Node],
    policy: Policy,
    room: int,
    now: float,
    bound: str = "this machine",
) -> Plan:
    """What to do next, given all nodes of the cluster and the runs that have none yet.

    `room` is how many more nodes `bound` has room for. Nodes that leave count against
    `max_nodes` until they are gone.
    """
    low = min(policy.min_nodes, policy.max_nodes)
    usable = sum(node.state in USABLE for node in nodes)
    idle = sorted((node for node in nodes if node.is_free), key=lambda n: (n.since, n.name))
    starting = sum(node.state is NodeState.STARTING for node in nodes)
    most = reach(nodes, policy.max_nodes, room)
    counted = [run for run in waiting if run.node_count <= most]
    needed = sum(run.node_count for run in counted)

    wanted = max(needed - len(idle) - starting, low - usable, 0)
    allowed = policy.max_nodes - len(nodes)
    grow = max(0, min(wanted, allowed, room))
    possible = sum(run.node_count for run in waiting if run.node_count <= policy.max_nodes)
    short = min(max(possible - len(idle) - starting, low - usable), allowed) - grow

    # Above the maximum (it was lowered): idle nodes go at once, needed or not.
    excess = min(max(usable - policy.max_nodes, 0), len(idle))
    spare = min(len(idle) - needed, usable - low)
    old = [node for node in idle if now - node.since >= policy.idle_s]
    leave = max(excess, min(spare, len(old)), 0)
    broken = [
        node.name
        for node in nodes
        if node.state is NodeState.UNUSABLE and now - node.since >= REPLACE_AFTER_S
    ]
    shrink = (*(node.name for node in idle[:leave]), *sorted(broken))

    reasons: list[str] = []
    if wanted:
        reasons.append(_growth(len(counted), needed, usable, low))
        if grow < wanted:
            reasons.append(_bound(grow, allowed, policy.max_nodes, room, bound))
    if excess:
        reasons.append(f"more than max_nodes {policy.max_nodes}")
    elif leave:
        reasons.append(f"{_count(leave, 'node')} idle for {policy.idle_s:g} s or more")
    if broken:
        reasons.append(f"{_count(len(broken), 'node')} cannot be used")
    return Plan(grow, shrink, "; ".join(reasons), max(short, 0))


def _growth(runs: int, needed: int, usable: int, low: int) -> str:
    if usable < low:
        return f"min_nodes is {low}, {_count(usable, 'node')} there"
    return f"{_count(runs, 'run')} waiting for {_count(needed, 'node')}"


def _bound(grow: int, allowed: int, max_nodes: int, room: int, bound: str) -> str:
    if allowed <= room:
        return f"max_nodes is {max_nodes}"
    return f"{bound} has room for {grow or 'no'} more"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
