import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.engine import quota

FAMILY = "standardDv2Family"
CORES = f"cores:{FAMILY}"


@pytest.mark.parametrize(
    ("name", "limit"),
    [(CORES, 12), ("nodes", 12), ("targets", 200), ("runs", None)],
)
def test_defaults_come_from_the_machine(name: str, limit: int | None) -> None:
    assert quota.default(name, 12) == limit


@pytest.mark.parametrize(
    ("limit", "used", "words"),
    [
        (None, 10**9, ""),
        (1, 0, ""),
        (
            2,
            2,
            "One more would pass the quota 'runs': 2 of 2 in use. "
            "Raise it: turnout quota set runs 3",
        ),
        # Lowered below what is in use.
        (
            1,
            4,
            "One more would pass the quota 'runs': 4 of 1 in use. "
            "Raise it: turnout quota set runs 5",
        ),
        (
            0,
            0,
            "One more would pass the quota 'runs': 0 of 0 in use. "
            "Raise it: turnout quota set runs 1",
        ),
    ],
)
def test_one_more_is_refused_with_numbers_and_the_command(
    limit: int | None, used: int, words: str
) -> None:
    assert quota.refusal("runs", limit, used) == words


@pytest.mark.parametrize(
    ("cores", "nodes", "used_cores", "used_nodes", "each", "left", "by"),
    [
        (8, 8, 0, 0, 2, 4, CORES),
        (8, 3, 0, 0, 2, 3, "nodes"),
        (8, 8, 6, 3, 2, 1, CORES),
        (7, 8, 4, 2, 2, 1, CORES),
        (8, 8, 8, 4, 2, 0, CORES),
        (8, 4, 2, 4, 2, 0, "nodes"),
        (1, 8, 0, 0, 2, 0, CORES),
        # Lowered: so many nodes must go until it holds.
        (3, 8, 4, 2, 2, -1, CORES),
        (0, 8, 4, 2, 2, -2, CORES),
        (8, 1, 4, 2, 2, -1, "nodes"),
    ],
)
def test_what_is_left(
    cores: int, nodes: int, used_cores: int, used_nodes: int, each: int, left: int, by: str
) -> None:
    limits = {CORES: cores, "nodes": nodes}
    used = {CORES: used_cores, "nodes": used_nodes, "cores:custom": 99}
    found = quota.room(limits, used, FAMILY, each)
    assert (found.nodes, found.quota) == (left, by)


def test_why_nodes_are_missing() -> None:
    found = quota.room({CORES: 5, "nodes": 9}, {CORES: 4, "nodes": 2}, FAMILY, 2)
    assert found.why(2) == (
        f"the quota '{CORES}' allows no more nodes: 4 of 5 cores in use, one node needs 2. "
        f"Raise it: turnout quota set {CORES} 8"
    )
    found = quota.room({CORES: 9, "nodes": 2}, {CORES: 4, "nodes": 2}, FAMILY, 2)
    assert found.why(1) == (
        "the quota 'nodes' allows no more nodes: 2 of 2 in use, one node needs 1. "
        "Raise it: turnout quota set nodes 3"
    )


@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(1, 6),
)
def test_as_many_as_fit_and_the_command_is_enough(
    cores: int, nodes: int, used_cores: int, used_nodes: int, each: int
) -> None:
    limits, used = {CORES: cores, "nodes": nodes}, {CORES: used_cores, "nodes": used_nodes}
    found = quota.room(limits, used, FAMILY, each)
    after = used_cores + each * found.nodes, used_nodes + found.nodes
    assert after[0] <= cores
    assert after[1] <= nodes
    assert after[0] + each > cores or after[1] + 1 > nodes
    if found.nodes <= 0:
        name, limit = found.why(3).rsplit(" ", 2)[1:]
        assert quota.room({**limits, name: int(limit)}, used, FAMILY, each).nodes >= min(
            3, nodes - used_nodes if name == CORES else (cores - used_cores) // each
        )
