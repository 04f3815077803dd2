"""Clusters on an engine: the engine has the nodes, and a cluster may use so many of them at once.

A run that may have nodes is handed over to the engine, which gives them when it can; the others
wait here, in the order that holds for every cluster.
"""

from __future__ import annotations

from collections import Counter

from turnout.engine import placement, quota
from turnout.service.clusters.world import World, waits
from turnout.service.quotas import logic as quotas
from turnout.service.targets.tables import TargetRow
from turnout.spec.clusters import Node, NodeState
from turnout.spec.sizes import size_of


def serve(world: World, cluster: TargetRow) -> None:
    """Let as many runs through as the cluster may have nodes."""
    held = world.held(cluster)
    most, bound = allowed(world, cluster, held)
    waiting = world.waiting(cluster)
    names = [f"{cluster.name}/{number}" for number in range(max(most, held))]
    nodes = [
        Node(
            name=name,
            state=NodeState.RUNNING if number < held else NodeState.IDLE,
            run=name if number < held else None,
            since=0.0,
            cores=(),
            memory_mb=0,
        )
        for number, name in enumerate(names)
    ]
    placed = placement.place(
        [waits(run) for run in waiting],
        nodes,
        Counter({"": held}),
        cluster=cluster.name,
        max_nodes=cluster.config["max_nodes"],
        room=0,
        bound=bound,
    )
    for run in waiting:
        given = placed.assigned.get(run.id, ())
        message = "" if given else placed.reasons.get(run.id, "")
        if given:
            run.allocation = [{"engine": cluster.config["engine"]} for _ in given]
            world.started.append((run.id, cluster.name))
        elif run.message == message:
            continue
        run.message, run.version = message, run.version + 1
        world.told.add(run.id)


def allowed(world: World, cluster: TargetRow, held: int) -> tuple[int, str]:
    """(how many nodes it may have at once, what bounds that): `max_nodes`, and quotas that
    somebody set. The defaults are made of this machine, and say nothing of others."""
    most, bound = int(cluster.config["max_nodes"]), "max_nodes"
    size = size_of(cluster.config["vm_size"])
    for name, each in ((quota.CORES + size.family, size.cores), (quota.NODES, 1)):
        if name in world.set_limits:
            used = quotas.used_by(world.clusters, world.nodes)[name] + world.held_of(name)
            left = held + max(0, (world.set_limits[name] - used) // each)
            if left < most:
                most, bound = left, f"the quota '{name}'"
    return most, bound
