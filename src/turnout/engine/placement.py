"""Which waiting run gets which idle nodes, and why the others wait. Pure.

The rule: runs stand in one order (priority; then the user with fewer nodes in use; then age) and
are taken strictly in it. A run gets all of its nodes at once or none. The first that does not fit
holds every idle node back, so nothing behind it starts until it does: as runs end, its nodes come
together. Only a run that needs more than the cluster can bring together (`reach`) holds nothing.

Nobody starves: once a user has nothing in use, that user's oldest run is preceded only by higher
priorities and older runs, and no later one can get in front of it.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from turnout.spec.clusters import Node, NodeState, Waiting, reach


@dataclass(frozen=True)
class Placement:
    """Nodes by run that starts now; words by run that waits. Every run is in one of the two."""

    assigned: Mapping[str, tuple[str, ...]]
    reasons: Mapping[str, str]


def place(
    waiting: Sequence[Waiting],
    nodes: Sequence[Node],
    running: Mapping[str, int],
    *,
    cluster: str = "the cluster",
    max_nodes: int | None = None,
    room: int | None = None,
    bound: str = "what else is on this machine",
) -> Placement:
    """Hand out the idle nodes. `running` is how many nodes each user has in use.

    `max_nodes` and `room` (as in `autoscale.plan`) tell which runs can never start as things are;
    without them every run is taken to be possible. `bound` is what leaves no more room.
    """
    free = sorted((node for node in nodes if node.is_free), key=lambda n: (-n.since, n.name))
    # The nodes used last go first: the others grow old and can be let go.
    names = [node.name for node in free]
    endless = max((run.node_count for run in waiting), default=0)
    allowed = endless if max_nodes is None else max_nodes
    most = reach(nodes, allowed, endless if room is None else room)

    assigned: dict[str, tuple[str, ...]] = {}
    reasons: dict[str, str] = {}
    for run in waiting:
        if run.node_count > allowed:
            reasons[run.run] = (
                f"needs {_nodes(run.node_count)} and {_quoted(cluster)} may have {allowed} at most"
            )
        elif run.node_count > most:
            reasons[run.run] = (
                f"needs {_nodes(run.node_count)}, and with {bound} "
                f"{_quoted(cluster)} can have {most} now"
            )

    before = 0
    state = ""
    for run in in_order([run for run in waiting if run.run not in reasons], running):
        if not before and run.node_count <= len(names):
            assigned[run.run] = tuple(names[: run.node_count])
            del names[: run.node_count]
            continue
        state = state or _state(nodes, assigned, cluster)
        reasons[run.run] = _why(run, state, len(names), before)
        before += 1
    return Placement(assigned, reasons)


def in_order(waiting: Sequence[Waiting], running: Mapping[str, int]) -> Iterator[Waiting]:
    """The runs as they would be started one after another.

    Each one counts for its user as soon as it is taken, so users take turns.
    """
    in_use: defaultdict[str, int] = defaultdict(int, running)
    groups: defaultdict[int, defaultdict[str, list[Waiting]]]
    groups = defaultdict(lambda: defaultdict(list))
    # Youngest first, so that `pop` takes the oldest.
    for run in sorted(waiting, key=_age, reverse=True):
        groups[run.priority][run.user].append(run)
    for priority in sorted(groups, reverse=True):
        users = groups[priority]
        heap = [(in_use[user], _age(runs[-1]), user) for user, runs in users.items()]
        heapq.heapify(heap)
        while heap:
            _, _, user = heapq.heappop(heap)
            run = users[user].pop()
            in_use[user] += run.node_count
            yield run
            if users[user]:
                heapq.heappush(heap, (in_use[user], _age(users[user][-1]), user))


def _age(run: Waiting) -> tuple[float, str]:
    return run.submitted_at, run.run


def _state(nodes: Sequence[Node], assigned: Mapping[str, tuple[str, ...]], cluster: str) -> str:
    """What the nodes do, once those just handed out are counted as busy."""
    handed_out = sum(len(names) for names in assigned.values())
    busy = handed_out + sum(node.state is NodeState.RUNNING for node in nodes)
    starting = sum(node.state is NodeState.STARTING for node in nodes)
    present = busy + sum(node.is_free for node in nodes) - handed_out
    words: list[str] = []
    if present:
        words.append(f"{busy} of {_nodes(present)} {'is' if busy == 1 else 'are'} busy")
    if starting:
        words.append(f"{_nodes(starting)} {'starts' if starting == 1 else 'start'}")
    return ", ".join(words) or f"{_quoted(cluster)} has no node yet"


def _why(run: Waiting, state: str, free: int, before: int) -> str:
    if before:
        runs = "1 run goes" if before == 1 else f"{before} runs go"
        return f"{state}; {runs} before this one"
    if run.node_count > 1:
        held = f", {_nodes(free)} {'is' if free == 1 else 'are'} held for it" if free else ""
        return f"{state}; needs {run.node_count} at once{held}"
    return f"{state}; this one is next"


def _nodes(number: int) -> str:
    return f"{number} node{'' if number == 1 else 's'}"


def _quoted(cluster: str) -> str:
    return cluster if " " in cluster else f"'{cluster}'"
