"""The decisions of a cluster together, played over time: one machine, no clock but a counter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.engine import autoscale, placement, slices
from turnout.spec.clusters import USABLE, Node, NodeState, Policy, Waiting
from turnout.spec.sizes import Machine, Size

SIZE = Size("2c1g1gpu", 2, 1024, 1)
#: Steps from the decision to add a node until it idles, and to let it go until it is gone.
START_STEPS = 2
LEAVE_STEPS = 2
#: Steps that pass between two runs on the same node, at most, nodes made anew included.
OVERHEAD = START_STEPS + LEAVE_STEPS + 3


@dataclass
class Cluster:
    """What the loops would keep in rows, and what they would do."""

    policy: Policy
    #: How many nodes the machine holds, beside other clusters.
    holds: int
    #: The numbers of new nodes that break while they start.
    breaks: frozenset[int] = frozenset()
    now: int = 0
    made: int = 0
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    waiting: dict[str, Waiting] = field(default_factory=dict[str, Waiting])
    steps: dict[str, int] = field(default_factory=dict[str, int])
    ends: dict[str, int] = field(default_factory=dict[str, int])
    users: dict[str, str] = field(default_factory=dict[str, str])
    started: dict[str, int] = field(default_factory=dict[str, int])
    others: Sequence[Node] = ()

    @property
    def machine(self) -> Machine:
        # Each resource is the one that runs out first, with some of it left over.
        return Machine(self.holds * 2 + 1, self.holds * 1024 + 1000, self.holds)

    def submit(self, run: Waiting, steps: int) -> None:
        self.waiting[run.run] = replace(run, submitted_at=float(self.now))
        self.steps[run.run] = steps

    def carve(self, count: int) -> list[slices.Slice]:
        has = self.machine
        taken = [*self.nodes.values(), *self.others]
        return slices.carve(range(has.cores), has.memory_mb, range(has.gpus), taken, SIZE, count)

    def change(self, name: str, state: NodeState, run: str | None = None) -> None:
        self.nodes[name] = replace(self.nodes[name], state=state, run=run, since=float(self.now))

    def step(self) -> None:
        self.now += 1
        self._pass_time()
        room = len(self.carve(99))
        self._place(room)
        self._scale(room)
        self._check()

    def _pass_time(self) -> None:
        for name, node in list(self.nodes.items()):
            age = self.now - node.since
            if node.state is NodeState.STARTING and age >= START_STEPS:
                broken = int(name) in self.breaks
                self.change(name, NodeState.UNUSABLE if broken else NodeState.IDLE)
            elif node.state is NodeState.LEAVING and age >= LEAVE_STEPS:
                del self.nodes[name]
            elif node.run is not None and self.ends[node.run] <= self.now:
                self.change(name, NodeState.IDLE)

    def _place(self, room: int) -> None:
        present = list(self.nodes.values())
        running = Counter(self.users[node.run] for node in present if node.run)
        placed = placement.place(
            list(self.waiting.values()),
            present,
            running,
            max_nodes=self.policy.max_nodes,
            room=room,
        )
        for run, names in placed.assigned.items():
            wanted = self.waiting.pop(run)
            assert len(set(names)) == wanted.node_count
            assert run not in self.started, "a run is started once"
            self.started[run] = self.now
            self.users[run] = wanted.user
            self.ends[run] = self.now + self.steps[run]
            for name in names:
                assert self.nodes[name].is_free
                self.change(name, NodeState.RUNNING, run)
        assert set(placed.reasons) == set(self.waiting)

    def _scale(self, room: int) -> None:
        present = list(self.nodes.values())
        plan = autoscale.plan(
            list(self.waiting.values()), present, self.policy, room, float(self.now)
        )
        for name in plan.shrink:
            assert self.nodes[name].run is None
            self.change(name, NodeState.LEAVING)
        parts = self.carve(plan.grow)
        assert len(parts) == plan.grow, "the machine holds what the plan asked for"
        for part in parts:
            self.made += 1
            name = str(self.made)
            self.nodes[name] = Node(
                name,
                NodeState.STARTING,
                None,
                float(self.now),
                part.cores,
                part.memory_mb,
                part.gpus,
            )

    def _check(self) -> None:
        present = [*self.nodes.values(), *self.others]
        has = self.machine
        assert len(self.nodes) <= self.policy.max_nodes
        cores = [core for node in present for core in node.cores]
        gpus = [gpu for node in present for gpu in node.gpus]
        assert len(cores) == len(set(cores)) <= has.cores
        assert len(gpus) == len(set(gpus)) <= has.gpus
        assert sum(node.memory_mb for node in present) <= has.memory_mb
        at_work = Counter(node.run for node in self.nodes.values() if node.run)
        for run, count in at_work.items():
            assert run in self.started
            assert count >= 1


@dataclass(frozen=True)
class Work:
    """One run that arrives at a step."""

    at: int
    user: str
    priority: int
    node_count: int
    steps: int


WORK = st.builds(
    Work,
    at=st.integers(0, 25),
    user=st.sampled_from("abc"),
    priority=st.integers(0, 2),
    node_count=st.integers(1, 5),
    steps=st.integers(1, 6),
)


def submitted(work: Sequence[Work], now: int) -> Iterator[tuple[Waiting, int]]:
    for i, one in enumerate(work):
        if one.at == now:
            yield Waiting(f"w{i}", one.user, one.priority, one.node_count, 0.0), one.steps


@settings(max_examples=150, deadline=None)
@given(
    work=st.lists(WORK, max_size=12),
    policy=st.builds(Policy, st.integers(0, 3), st.integers(1, 4), st.sampled_from([0.0, 3.0])),
    holds=st.integers(1, 5),
    breaks=st.frozensets(st.integers(1, 6), max_size=2),
)
def test_finite_work_is_all_done_and_then_the_cluster_shrinks(
    work: list[Work], policy: Policy, holds: int, breaks: frozenset[int]
) -> None:
    cluster = Cluster(policy, holds, breaks)
    most = min(policy.max_nodes, holds)
    possible = {f"w{i}" for i, one in enumerate(work) if one.node_count <= most}
    longest = (
        25
        + sum(one.steps + OVERHEAD for one in work)
        + len(breaks) * (int(autoscale.REPLACE_AFTER_S) + OVERHEAD)
        + 50
    )
    low = min(policy.min_nodes, most)
    reached_low = False
    for now in range(longest):
        for run, steps in submitted(work, now):
            cluster.submit(run, steps)
        cluster.step()
        sound = sum(node.state in USABLE for node in cluster.nodes.values())
        if reached_low and not breaks:
            assert sound >= low, "never below the minimum once it was reached"
        reached_low = reached_low or sound >= low
    assert set(cluster.started) == possible
    assert len(cluster.nodes) == low
    assert set(cluster.waiting) == {f"w{i}" for i in range(len(work))} - possible


@settings(max_examples=150, deadline=None)
@given(
    backlog=st.lists(WORK, max_size=4),
    wanted=st.integers(1, 4),
    owner=st.sampled_from("abcd"),
    stream=st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 4), st.integers(1, 5)),
        min_size=1,
        max_size=6,
    ),
    most=st.integers(1, 4),
    fresh_users=st.booleans(),
)
def test_nobody_starves_behind_endless_later_work(
    backlog: list[Work],
    wanted: int,
    owner: str,
    stream: list[tuple[str, int, int]],
    most: int,
    fresh_users: bool,
) -> None:
    """However many others come later, of the same priority, each step: its turn comes in time."""
    wanted = min(wanted, most)
    cluster = Cluster(Policy(0, most, 3.0), most)
    for i, one in enumerate(backlog):
        run = Waiting(f"old{i}", one.user, 1, min(one.node_count, most), 0.0)
        cluster.submit(run, one.steps)
    cluster.step()
    cluster.submit(Waiting("it", owner, 1, wanted, 0.0), 1)
    # For each run that is older, and for it: what runs for its user ends, then what runs at all.
    bound = (len(backlog) + 1) * 2 * (6 + OVERHEAD)
    for now in range(bound):
        user, count, steps = stream[now % len(stream)]
        later = f"{user}{now}" if fresh_users else user
        cluster.step()
        if "it" in cluster.started:
            return
        cluster.submit(Waiting(f"later{now}", later, 1, min(count, most), 0.0), steps)
    pytest.fail(f"not started within {bound} steps")


@settings(max_examples=60, deadline=None)
@given(
    first=st.lists(WORK, min_size=1, max_size=6),
    second=st.lists(WORK, min_size=1, max_size=6),
    holds=st.integers(1, 4),
)
def test_two_clusters_on_one_machine_never_wait_for_each_other_forever(
    first: list[Work], second: list[Work], holds: int
) -> None:
    policy = Policy(0, holds, 3.0)
    one, two = Cluster(policy, holds), Cluster(policy, holds)
    works: Mapping[int, list[Work]] = {0: first, 1: second}
    for now in range(26 + sum(work.steps + 3 + OVERHEAD * 2 for work in [*first, *second])):
        for i, cluster in enumerate([one, two]):
            cluster.others = list((two if cluster is one else one).nodes.values())
            for run, steps in submitted(works[i], now):
                cluster.submit(run, steps)
            cluster.step()
    for i, cluster in enumerate([one, two]):
        possible = {f"w{n}" for n, work in enumerate(works[i]) if work.node_count <= holds}
        assert set(cluster.started) == possible
        assert not cluster.nodes


def test_from_nothing_to_two_and_back() -> None:
    """v1's promise: it grows for the runs that wait, shares, and shrinks to nothing."""
    cluster = Cluster(Policy(0, 4, 3.0), holds=2)
    sizes = [0]
    cluster.submit(Waiting("a", "ana", 0, 1, 0.0), 5)
    cluster.submit(Waiting("b", "bo", 0, 1, 0.0), 5)
    for _ in range(20):
        cluster.step()
        if sizes[-1] != len(cluster.nodes):
            sizes.append(len(cluster.nodes))
    assert sizes == [0, 2, 0]
    assert cluster.started["a"] == cluster.started["b"]
