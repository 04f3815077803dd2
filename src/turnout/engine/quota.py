"""What quotas leave, and the words for it. Pure.

A quota is a name and a limit: "cores:FAMILY" (cores of the nodes of a family of sizes) and
"nodes" limit what clusters have at once; "targets" and "runs" limit what there may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: The names that every workspace has; "cores:" comes with the family of a size.
NODES, TARGETS, RUNS, CORES = "nodes", "targets", "runs", "cores:"
#: Targets of a workspace that nobody set a limit for.
TARGETS_DEFAULT = 200


def default(name: str, machine_cores: int) -> int | None:
    """The limit that holds where nobody set one; None is no limit.

    Nodes are parts of one machine and each has a core at least: so the machine limits both.
    """
    if name.startswith(CORES) or name == NODES:
        return machine_cores
    return TARGETS_DEFAULT if name == TARGETS else None


def refusal(name: str, limit: int | None, used: int) -> str:
    """Why there cannot be one more ("" when there can)."""
    if limit is None or used < limit:
        return ""
    return (
        f"One more would pass the quota '{name}': {used} of {limit} in use. "
        f"Raise it: {command(name, used + 1)}"
    )


@dataclass(frozen=True)
class Room:
    """What the quotas leave a cluster."""

    #: How many more nodes; below zero when there are too many already (a quota was lowered).
    nodes: int
    #: The quota that leaves the least, its numbers, and what one node takes of it.
    quota: str
    used: int
    limit: int
    each: int

    def why(self, missing: int) -> str:
        """Why `missing` nodes that the machine could hold are not there."""
        unit = "" if self.quota == NODES else " cores"
        return (
            f"the quota '{self.quota}' allows no more nodes: {self.used} of {self.limit}{unit} "
            f"in use, one node needs {self.each}. Raise it: "
            f"{command(self.quota, self.used + missing * self.each)}"
        )


def room(limits: Mapping[str, int], used: Mapping[str, int], family: str, cores: int) -> Room:
    """What is left for nodes of `family` with so many `cores` each; `limits` has both names."""
    rooms: list[Room] = []
    for name, each in ((CORES + family, cores), (NODES, 1)):
        now, limit = used.get(name, 0), limits[name]
        rooms.append(Room((limit - now) // each, name, now, limit, each))
    return min(rooms, key=lambda found: found.nodes)


def command(name: str, limit: int) -> str:
    return f"turnout quota set {name} {limit}"
