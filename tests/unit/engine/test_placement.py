import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.engine import placement
from turnout.engine.placement import place
from turnout.spec.clusters import Node, NodeState, Waiting, reach

STATES = {"i": NodeState.IDLE, "r": NodeState.RUNNING, "s": NodeState.STARTING,
          "l": NodeState.LEAVING, "p": NodeState.PREEMPTED, "u": NodeState.UNUSABLE}  # fmt: skip


def nodes(text: str) -> list[Node]:
    """ "i1 r2": node i1 idle, node r2 running. All changed at time 0."""
    return [
        Node(name, STATES[name[0]], "x" if name[0] == "r" else None, 0.0, (), 0)
        for name in text.split()
    ]


def runs(text: str) -> list[Waiting]:
    """ "a:ana b:bo*2 c:ana!5": b needs 2 nodes, c has priority 5; in the order of age."""
    found: list[Waiting] = []
    for at, word in enumerate(text.split()):
        name, _, rest = word.partition(":")
        rest, _, priority = rest.partition("!")
        user, _, count = rest.partition("*")
        found.append(Waiting(name, user, int(priority or 0), int(count or 1), float(at)))
    return found


@pytest.mark.parametrize(
    ("waiting", "present", "running", "assigned"),
    [
        ("", "i1", {}, {}),
        ("a:ana", "", {}, {}),
        ("a:ana", "i1 i2", {}, {"a": ("i1",)}),
        ("a:ana b:ana", "i1 i2", {}, {"a": ("i1",), "b": ("i2",)}),
        # Only idle nodes are handed out.
        ("a:ana", "r1 s2 l3 p4 u5", {}, {}),
        # Age, then name.
        ("a:ana b:ana", "i1", {}, {"a": ("i1",)}),
        # Priority before age.
        ("a:ana b:ana!1", "i1", {}, {"b": ("i1",)}),
        ("a:ana!-1 b:ana", "i1", {}, {"b": ("i1",)}),
        # Users take turns, counting what they have in use.
        ("a:ana b:ana c:bo", "i1 i2", {}, {"a": ("i1",), "c": ("i2",)}),
        ("a:ana b:bo", "i1 r2", {"ana": 1}, {"b": ("i1",)}),
        ("a:ana b:bo", "i1 r2 r3", {"ana": 1, "bo": 1}, {"a": ("i1",)}),
        ("a:ana*2 b:ana c:bo d:bo", "i1 i2 i3 i4", {}, {
            "a": ("i1", "i2"), "c": ("i3",), "d": ("i4",)}),
        # Priority before fairness; what it takes counts for its user.
        ("a:ana!1 b:ana c:bo", "i1 i2", {}, {"a": ("i1",), "c": ("i2",)}),
        # A gang gets all or nothing, and holds back what is behind it.
        ("a:ana*2", "i1 i2", {}, {"a": ("i1", "i2")}),
        ("a:ana*2", "i1 r2", {}, {}),
        ("a:ana*2 b:bo", "i1 r2", {}, {}),
        ("b:bo a:ana*2 c:cy", "i1 i2 r3", {}, {"b": ("i1",)}),
        # A higher priority is in front of it, not behind it.
        ("a:ana*2 b:bo!1", "i1 r2", {}, {"b": ("i1",)}),
    ],
)  # fmt: skip
def test_who_gets_nodes(
    waiting: str, present: str, running: dict[str, int], assigned: dict[str, tuple[str, ...]]
) -> None:
    assert place(runs(waiting), nodes(present), running).assigned == assigned


@pytest.mark.parametrize(
    ("waiting", "present", "room", "reasons"),
    [
        ("a:ana", "i1", 9, {}),
        ("a:ana", "", 1, {"a": "'cpu' has no node yet; this one is next"}),
        ("a:ana", "s1", 1, {"a": "1 node starts; this one is next"}),
        ("a:ana b:ana c:ana d:ana", "r1 r2", 0, {
            "a": "2 of 2 nodes are busy; this one is next",
            "b": "2 of 2 nodes are busy; 1 run goes before this one",
            "c": "2 of 2 nodes are busy; 2 runs go before this one",
            "d": "2 of 2 nodes are busy; 3 runs go before this one"}),
        ("a:ana b:ana", "i1", 1, {"b": "1 of 1 node is busy; this one is next"}),
        ("a:ana*3", "", 9, {"a": "needs 3 nodes and 'cpu' may have 2 at most"}),
        ("a:ana*2", "r1", 0, {"a": "needs 2 nodes, and with what else is on this machine "
                                   "'cpu' can have 1 now"}),
        ("a:ana*2 b:bo", "i1 r2", 0, {
            "a": "1 of 2 nodes is busy; needs 2 at once, 1 node is held for it",
            "b": "1 of 2 nodes is busy; 1 run goes before this one"}),
        ("a:ana*2", "r1 s2", 0, {"a": "1 of 1 node is busy, 1 node starts; needs 2 at once"}),
        # What can never start holds nothing back and is not counted before others.
        ("a:ana*3 b:bo c:bo", "i1", 0, {
            "a": "needs 3 nodes and 'cpu' may have 2 at most",
            "c": "1 of 1 node is busy; this one is next"}),
    ],
)  # fmt: skip
def test_why_the_others_wait(
    waiting: str, present: str, room: int, reasons: dict[str, str]
) -> None:
    placed = place(runs(waiting), nodes(present), {}, cluster="cpu", max_nodes=2, room=room)
    assert placed.reasons == reasons


def test_what_bounds_it_is_named() -> None:
    placed = place(runs("a:ana*2"), nodes(""), {}, cluster="cpu", max_nodes=2, room=1,
                   bound="its quota")  # fmt: skip
    assert placed.reasons == {"a": "needs 2 nodes, and with its quota 'cpu' can have 1 now"}


def test_a_cluster_without_a_name_is_spoken_of() -> None:
    assert place(runs("a:ana"), [], {}).reasons == {
        "a": "the cluster has no node yet; this one is next"
    }


def test_the_node_used_last_is_used_again() -> None:
    cold = Node("cold", NodeState.IDLE, None, 10.0, (), 0)
    warm = Node("warm", NodeState.IDLE, None, 20.0, (), 0)
    assert place(runs("a:ana"), [cold, warm], {}).assigned == {"a": ("warm",)}


WAITING = st.lists(
    st.tuples(st.sampled_from("xyz"), st.integers(-1, 1), st.integers(1, 4), st.integers(0, 3)),
    max_size=8,
).map(lambda rows: [Waiting(f"w{i}", u, p, n, float(at)) for i, (u, p, n, at) in enumerate(rows)])
PRESENT = st.lists(st.sampled_from(sorted(STATES)), max_size=6).map(
    lambda letters: nodes(" ".join(f"{letter}{i}" for i, letter in enumerate(letters)))
)
IN_USE = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 4))


@given(WAITING, PRESENT, IN_USE, st.integers(0, 5), st.integers(0, 3), st.randoms())
def test_gang_or_nothing_in_order(
    waiting: list[Waiting],
    present: list[Node],
    running: dict[str, int],
    max_nodes: int,
    room: int,
    random: object,
) -> None:
    placed = place(waiting, present, running, max_nodes=max_nodes, room=room)
    shuffled = list(waiting)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert place(shuffled, present[::-1], running, max_nodes=max_nodes, room=room) == placed

    by_name = {run.run: run for run in waiting}
    assert set(placed.assigned) | set(placed.reasons) == set(by_name)
    assert not set(placed.assigned) & set(placed.reasons)
    assert all(placed.reasons.values())
    given_out = [name for names in placed.assigned.values() for name in names]
    assert len(given_out) == len(set(given_out))
    assert set(given_out) <= {node.name for node in present if node.is_free}
    for run, names in placed.assigned.items():
        assert len(names) == by_name[run].node_count

    # The ones that got nodes are the first of the order, with nobody left out between.
    most = reach(present, max_nodes, room)
    possible = [run for run in waiting if run.node_count <= most]
    order = [run.run for run in placement.in_order(possible, running)]
    assert sorted(order) == sorted(run.run for run in possible)
    assert list(placed.assigned) == order[: len(placed.assigned)]
    if len(placed.assigned) < len(order):
        head = by_name[order[len(placed.assigned)]]
        free = sum(node.is_free for node in present) - len(given_out)
        assert head.node_count > free


@given(WAITING, IN_USE)
def test_the_order(waiting: list[Waiting], running: dict[str, int]) -> None:
    """Each one is, among those left, of the highest priority, the least use, the greatest age."""
    in_use = {user: running.get(user, 0) for user in "xyz"}
    left = list(waiting)
    for run in placement.in_order(waiting, running):
        assert run == min(left, key=lambda r: (-r.priority, in_use[r.user], r.submitted_at, r.run))
        left.remove(run)
        in_use[run.user] += run.node_count
    assert not left
