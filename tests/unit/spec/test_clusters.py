import pytest

from turnout.spec.clusters import Node, NodeState, node_state_counts, reach


def node(name: str, state: NodeState, run: str | None = None) -> Node:
    return Node(name, state, run, 0.0, (), 0)


ALL = [node(state.value, state) for state in NodeState]


def test_the_counts_are_v1s_six() -> None:
    counts = node_state_counts([*NodeState, NodeState.STARTING])
    assert counts == {
        "idle": 1,
        "leaving": 1,
        "preempted": 1,
        "preparing": 2,
        "running": 1,
        "unusable": 1,
    }
    assert set(node_state_counts([])) == set(counts)


@pytest.mark.parametrize(
    ("max_nodes", "room", "most"),
    [(9, 0, 3), (9, 2, 5), (4, 2, 4), (2, 0, 2), (9, -1, 3), (0, 5, 0)],
)
def test_how_many_nodes_can_come_together(max_nodes: int, room: int, most: int) -> None:
    assert reach(ALL, max_nodes, room) == most


def test_free_is_idle_and_unused() -> None:
    assert [one.name for one in ALL if one.is_free] == ["idle"]
    assert not node("n", NodeState.IDLE, "run_1").is_free
