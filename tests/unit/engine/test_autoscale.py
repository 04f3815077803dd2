from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.engine import autoscale
from turnout.engine.autoscale import REPLACE_AFTER_S, Plan
from turnout.spec.clusters import USABLE, Node, NodeState, Policy, Waiting, reach

NOW = 1000.0
IDLE_S = 120.0
POLICY = Policy(min_nodes=0, max_nodes=4, idle_s=IDLE_S)
STATES = {state.value[0]: state for state in NodeState}
STATES.update({"L": NodeState.LEAVING})


def nodes(text: str, age: float = 0.0) -> list[Node]:
    """ "i1 r2 i3:500": nodes 1 idle, 2 running, 3 idle for 500 s."""
    found: list[Node] = []
    for word in text.split():
        name, _, old = word.partition(":")
        state = STATES[name[0]]
        run = "run" if state is NodeState.RUNNING else None
        found.append(Node(name, state, run, NOW - float(old or age), (), 0))
    return found


def runs(*counts: int) -> list[Waiting]:
    return [Waiting(f"w{i}", "ana", 0, count, float(i)) for i, count in enumerate(counts)]


@pytest.mark.parametrize(
    ("waiting", "present", "policy", "room", "grow", "shrink", "reason"),
    [
        ([], "", POLICY, 9, 0, (), ""),
        ([1], "", POLICY, 9, 1, (), "1 run waiting for 1 node"),
        ([1, 1], "", POLICY, 9, 2, (), "2 runs waiting for 2 nodes"),
        ([1] * 9, "", POLICY, 9, 4, (), "9 runs waiting for 9 nodes; max_nodes is 4"),
        ([1] * 9, "", POLICY, 2, 2, (), "9 runs waiting for 9 nodes; "
         "this machine has room for 2 more"),
        ([1], "r1", POLICY, 0, 0, (), "1 run waiting for 1 node; "
         "this machine has room for no more"),
        # What idles or starts already is not asked for again.
        ([1], "i1", POLICY, 9, 0, (), ""),
        ([1, 1], "s1 i2", POLICY, 9, 0, (), ""),
        ([1, 1], "r1 i2", POLICY, 9, 1, (), "2 runs waiting for 2 nodes"),
        # Nodes that leave hold their place until they are gone.
        ([1, 1], "l1 l2 l3", POLICY, 9, 1, (), "2 runs waiting for 2 nodes; max_nodes is 4"),
        ([1], "p1 p2 u3 u4", POLICY, 9, 0, (), "1 run waiting for 1 node; max_nodes is 4"),
        # All nodes of a gang, or none for it.
        ([3], "", POLICY, 3, 3, (), "1 run waiting for 3 nodes"),
        ([3], "r1", POLICY, 2, 2, (), "1 run waiting for 3 nodes; "
         "this machine has room for 2 more"),
        ([3], "", POLICY, 2, 0, (), ""),
        ([3], "r1", POLICY, 1, 0, (), ""),
        ([3, 1], "", POLICY, 2, 1, (), "1 run waiting for 1 node"),
        ([5], "", POLICY, 9, 0, (), ""),
        # The minimum.
        ([], "", Policy(2, 4, 1), 9, 2, (), "min_nodes is 2, 0 nodes there"),
        ([], "r1 u2", Policy(2, 4, 1), 9, 1, (), "min_nodes is 2, 1 node there"),
        ([], "", Policy(2, 4, 1), 1, 1, (), "min_nodes is 2, 0 nodes there; "
         "this machine has room for 1 more"),
        ([], "i1:500 i2:600 i3:700", Policy(2, 4, IDLE_S), 0, 0, ("i3:700",),
         "1 node idle for 120 s or more"),
        ([], "", Policy(9, 2, 1), 9, 2, (), "min_nodes is 2, 0 nodes there"),
        # Idle scale-down: the longest idle first, and only what no run needs.
        ([], "i1:119 i2:120 i3:121", POLICY, 0, 0, ("i3:121", "i2:120"),
         "2 nodes idle for 120 s or more"),
        ([1], "i1:500 i2:600", POLICY, 0, 0, ("i2:600",), "1 node idle for 120 s or more"),
        ([2], "i1:500 i2:600", POLICY, 0, 0, (), ""),
        ([3], "i1:500 r2", POLICY, 1, 1, (), "1 run waiting for 3 nodes; "
         "this machine has room for 1 more"),
        # It can never have its nodes as things are, so it keeps none.
        ([3], "i1:500 r2", POLICY, 0, 0, ("i1:500",), "1 node idle for 120 s or more"),
        ([], "r1:999 s2:999 l3:999 p4:999", POLICY, 0, 0, (), ""),
        ([], "i1:-50", POLICY, 0, 0, (), ""),
        # The maximum was lowered: idle ones go at once.
        ([1], "i1 i2 r3 r4", Policy(0, 2, 999), 0, 0, ("i1", "i2"), "more than max_nodes 2"),
        ([1] * 3, "i1:3 i2:5 i3:4", Policy(0, 2, 999), 9, 0, ("i2:5",),
         "more than max_nodes 2"),
        # One that cannot be used is seen for a while, then replaced.
        ([], f"u1:{REPLACE_AFTER_S} u2:1", POLICY, 0, 0, (f"u1:{REPLACE_AFTER_S}",),
         "1 node cannot be used"),
    ],
)  # fmt: skip
def test_plans(
    waiting: list[int],
    present: str,
    policy: Policy,
    room: int,
    grow: int,
    shrink: tuple[str, ...],
    reason: str,
) -> None:
    plan = autoscale.plan(runs(*waiting), nodes(present), policy, room, NOW)
    assert (plan.grow, plan.shrink) == (grow, tuple(name.partition(":")[0] for name in shrink))
    assert plan.reason == reason


def test_what_bounds_it_is_named() -> None:
    plan = autoscale.plan(runs(1, 1), [], POLICY, 1, NOW, bound="the quota 'nodes'")
    assert plan.reason == "2 runs waiting for 2 nodes; the quota 'nodes' has room for 1 more"


@pytest.mark.parametrize(
    ("waiting", "present", "room", "short"),
    [
        ([1, 1], "", 2, 0),
        ([1, 1], "", 1, 1),
        ([1] * 9, "r1", 1, 2),
        ([3], "", 2, 3),
        ([3], "i1", 0, 2),
        ([5], "", 0, 0),
        ([], "", 0, 0),
        ([1], "l1 l2 l3 l4", 0, 0),
    ],
)
def test_what_the_machine_lacks(waiting: list[int], present: str, room: int, short: int) -> None:
    assert autoscale.plan(runs(*waiting), nodes(present), POLICY, room, NOW).short == short


POLICIES = st.builds(
    Policy, st.integers(0, 4), st.integers(0, 5), st.sampled_from([0.0, 10.0, 120.0])
)
NODES = st.lists(
    st.tuples(st.sampled_from(sorted(NodeState)), st.sampled_from([0.0, 5.0, 60.0, 500.0])),
    max_size=7,
).map(
    lambda rows: [
        Node(f"n{i}", state, "r" if state is NodeState.RUNNING else None, NOW - age, (), 0)
        for i, (state, age) in enumerate(rows)
    ]
)
WAITING = st.lists(st.integers(1, 5), max_size=6).map(lambda counts: runs(*counts))


def applied(plan: Plan, present: list[Node], room: int) -> tuple[list[Node], int]:
    """The nodes and the room right after the plan was carried out."""
    after = [
        replace(node, state=NodeState.LEAVING, since=NOW) if node.name in plan.shrink else node
        for node in present
    ]
    new = [Node(f"new{i}", NodeState.STARTING, None, NOW, (), 0) for i in range(plan.grow)]
    return after + new, room - plan.grow


@given(WAITING, NODES, POLICIES, st.integers(0, 5))
def test_the_bounds_hold(
    waiting: list[Waiting], present: list[Node], policy: Policy, room: int
) -> None:
    plan = autoscale.plan(waiting, present, policy, room, NOW)
    assert plan == autoscale.plan(waiting, present, policy, room, NOW)
    assert 0 <= plan.grow <= room
    assert plan.grow == 0 or len(present) + plan.grow <= policy.max_nodes
    assert plan.short >= 0

    gone = [node for node in present if node.name in plan.shrink]
    assert len(gone) == len(plan.shrink) == len(set(plan.shrink))
    assert {node.state for node in gone} <= {NodeState.IDLE, NodeState.UNUSABLE}
    usable = sum(node.state in USABLE for node in present)
    left = usable - sum(node.state is NodeState.IDLE for node in gone)
    low = min(policy.min_nodes, policy.max_nodes)
    assert left >= min(low, usable)
    if left < usable:
        assert plan.grow == 0
        # Whatever goes is old enough or too many, and no run that can start goes short.
        idle = sum(node.is_free for node in present)
        possible = [w for w in waiting if w.node_count <= reach(present, policy.max_nodes, room)]
        if usable <= policy.max_nodes:
            assert all(
                NOW - node.since >= policy.idle_s for node in gone if node.state is NodeState.IDLE
            )
            assert idle - (usable - left) >= sum(w.node_count for w in possible)
        else:
            assert left >= policy.max_nodes or usable - left <= idle


@given(WAITING, NODES, POLICIES, st.integers(0, 5))
def test_a_plan_carried_out_asks_for_nothing_more(
    waiting: list[Waiting], present: list[Node], policy: Policy, room: int
) -> None:
    plan = autoscale.plan(waiting, present, policy, room, NOW)
    after, less = applied(plan, present, room)
    again = autoscale.plan(waiting, after, policy, less, NOW)
    assert (again.grow, again.shrink) == (0, ())


@given(WAITING, NODES, POLICIES, st.integers(0, 5))
def test_with_nothing_to_do_it_shrinks_to_the_minimum(
    waiting: list[Waiting], present: list[Node], policy: Policy, room: int
) -> None:
    resting = [replace(node, state=NodeState.IDLE, run=None) for node in present]
    later = NOW + 10_000
    plan = autoscale.plan([], resting, policy, room, later)
    low = min(policy.min_nodes, policy.max_nodes)
    assert len(resting) - len(plan.shrink) == min(len(resting), low)
