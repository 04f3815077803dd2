"""Taking nodes back: enough or nothing, the least loss, never more than needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.engine import preemption
from turnout.spec.clusters import Node, NodeState, Waiting


def low(name: str, run: str | None, since: float, cores: int = 2, gpus: int = 0,
        state: NodeState | None = None) -> Node:  # fmt: skip
    state = state or (NodeState.RUNNING if run else NodeState.IDLE)
    return Node(name, state, run, since, tuple(range(cores)), 1000 * cores, tuple(range(gpus)))


LOW = [low("idle", None, 5), low("old", "r1", 1), low("new", "r2", 9)]
GANG = [low("g1", "gang", 5), low("g2", "gang", 5), low("s", "single", 1)]


@pytest.mark.parametrize(
    ("present", "cores", "memory_mb", "gpus", "taken"),
    [
        (LOW, 0, 0, 0, ()),
        (LOW, 2, 2000, 0, ("idle",)),
        (LOW, 3, 0, 0, ("idle", "new")),
        (LOW, 1, 3000, 0, ("idle", "new")),
        (LOW, 6, 6000, 0, ("idle", "new", "old")),
        # Not enough in all: nobody's work is lost for nothing.
        (LOW, 7, 0, 0, ()),
        (LOW, 1, 0, 1, ()),
        ([], 1, 0, 0, ()),
        # All nodes of a run together.
        (GANG, 1, 0, 0, ("g1", "g2")),
        (GANG, 5, 0, 0, ("g1", "g2", "s")),
        # The idle one does not help with GPUs, so it stays.
        ([*LOW, low("gpu", "r3", 2, gpus=1)], 1, 0, 1, ("gpu",)),
        # What is going already counts.
        ([*LOW, low("going", "r4", 2, state=NodeState.PREEMPTED)], 2, 0, 0, ()),
        ([*LOW, low("going", None, 2, state=NodeState.LEAVING)], 3, 0, 0, ("idle",)),
        ([low("starting", None, 2, state=NodeState.STARTING)], 2, 0, 0, ("starting",)),
    ],
)
def test_what_gives_way(
    present: list[Node], cores: int, memory_mb: int, gpus: int, taken: tuple[str, ...]
) -> None:
    assert preemption.preempt(present, cores, memory_mb, gpus) == taken
    # Once they are going, nothing more is taken.
    after = [
        Node(n.name, NodeState.PREEMPTED if n.name in taken else n.state, n.run, n.since,
             n.cores, n.memory_mb, n.gpus)
        for n in present
    ]  # fmt: skip
    assert preemption.preempt(after, cores, memory_mb, gpus) == ()


PARTIES = st.lists(
    st.tuples(
        st.sampled_from([None, "r1", "r2", "r3"]),
        st.integers(0, 9),
        st.integers(1, 4),
        st.integers(0, 2),
        st.booleans(),
    ),
    max_size=7,
).map(
    lambda rows: [
        low(f"n{i}", run, since, cores, gpus, NodeState.PREEMPTED if going else None)
        for i, (run, since, cores, gpus, going) in enumerate(rows)
    ]
)


@given(PARTIES, st.integers(0, 12), st.integers(0, 12_000), st.integers(0, 4))
def test_enough_gives_way_or_nothing_and_no_more_than_needed(
    present: list[Node], cores: int, memory_mb: int, gpus: int
) -> None:
    def enough(some: list[Node]) -> bool:
        return (
            sum(len(node.cores) for node in some) >= cores
            and sum(node.memory_mb for node in some) >= memory_mb
            and sum(len(node.gpus) for node in some) >= gpus
        )

    taken = preemption.preempt(present, cores, memory_mb, gpus)
    assert taken == preemption.preempt(present[::-1], cores, memory_mb, gpus)
    going = [node for node in present if node.state is NodeState.PREEMPTED]
    gives = [node for node in present if node.name in taken]
    assert not set(taken) & {node.name for node in going}
    if not taken:
        assert enough(going) or not enough(present)
        return
    assert enough([*going, *gives])
    runs_hit = {node.run for node in gives if node.run}
    for node in present:
        if node.run in runs_hit and node not in going:
            assert node.name in taken
    # Without any one run or idle node of those taken it would not be enough.
    for party in {node.run or node.name for node in gives}:
        rest = [node for node in gives if (node.run or node.name) != party]
        assert not enough([*going, *rest])


def waiting(*counts: int) -> list[Waiting]:
    return [Waiting(f"w{i}", "", 0, count, float(i)) for i, count in enumerate(counts)]


IDLE, BUSY = low("i", None, 1), low("b", "r", 1)


@pytest.mark.parametrize(
    ("counts", "nodes", "most", "worth"),
    [
        # Nobody waits: nothing is taken back to have nodes in store.
        ((), [], 3, []),
        ((1,), [], 0, []),
        ((1,), [], 3, [1]),
        ((1, 1), [], 2, [2, 1]),
        # A gang starts with all of its nodes or not at all; those that are idle count.
        ((3,), [], 2, []),
        ((3,), [], 4, [3]),
        ((3,), [IDLE], 2, [2]),
        ((3,), [IDLE, BUSY], 2, [2]),
        # What is behind a gang that could come together later does not start before it.
        ((2, 1), [BUSY], 1, []),
        ((2, 1), [BUSY], 3, [3, 2]),
        # One that can never have its nodes holds nothing back.
        ((9, 1), [], 2, [1]),
    ],
)
def test_how_many_are_worth_having(
    counts: tuple[int, ...], nodes: list[Node], most: int, worth: list[int]
) -> None:
    assert preemption.worth_having(waiting(*counts), nodes, most, max_nodes=5) == worth


@given(st.lists(st.integers(1, 4), max_size=5), st.integers(0, 3), st.integers(0, 3),
       st.integers(0, 8))  # fmt: skip
def test_without_one_of_them_fewer_runs_would_start(
    counts: list[int], idle: int, busy: int, most: int
) -> None:
    nodes = [low(f"i{n}", None, n) for n in range(idle)]
    nodes += [low(f"b{n}", f"r{n}", n) for n in range(busy)]
    found = preemption.worth_having(waiting(*counts), nodes, most, max_nodes=6)
    assert found == sorted(set(found), reverse=True)
    assert all(1 <= more <= most for more in found)
    for more in found:
        # Some run needs just so many beside those that are idle.
        sums = {0}
        for count in counts:
            sums |= {total + count for total in sums}
        assert more + idle in sums
