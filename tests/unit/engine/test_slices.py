import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.engine.slices import Slice, carve
from turnout.spec.clusters import Node, NodeState
from turnout.spec.sizes import Size

TWO = Size("2c4g", 2, 4096)
GPU = Size("1c1g1gpu", 1, 1024, 1)


def node(cores: tuple[int, ...], memory_mb: int = 0, gpus: tuple[int, ...] = ()) -> Node:
    return Node("n", NodeState.LEAVING, None, 0.0, cores, memory_mb, gpus)


@pytest.mark.parametrize(
    ("cores", "memory_mb", "gpus", "taken", "size", "count", "slices"),
    [
        (4, 9000, (), [], TWO, 2, [Slice((0, 1), 4096), Slice((2, 3), 4096)]),
        (4, 9000, (), [], TWO, 9, [Slice((0, 1), 4096), Slice((2, 3), 4096)]),
        (4, 9000, (), [], TWO, 0, []),
        (4, 9000, (), [], TWO, -1, []),
        (4, 8191, (), [], TWO, 2, [Slice((0, 1), 4096)]),
        (4, 9000, (), [node((0, 2), 4096)], TWO, 2, [Slice((1, 3), 4096)]),
        (4, 9000, (), [node((0,)), node((1, 2))], TWO, 2, []),
        (4, 9000, (), [node((), 9001)], TWO, 2, []),
        (4, 9000, (7, 5), [], GPU, 9, [Slice((0,), 1024, (7,)), Slice((1,), 1024, (5,))]),
        (4, 9000, (7, 5), [node((0,), 9, (7,))], GPU, 9, [Slice((1,), 1024, (5,))]),
        (4, 9000, (), [], GPU, 1, []),
        # Cores that the machine no longer has.
        (2, 9000, (), [node((8, 9), 1000)], TWO, 2, [Slice((0, 1), 4096)]),
    ],
)
def test_what_is_given(
    cores: int,
    memory_mb: int,
    gpus: tuple[int, ...],
    taken: list[Node],
    size: Size,
    count: int,
    slices: list[Slice],
) -> None:
    assert carve(range(cores), memory_mb, gpus, taken, size, count) == slices


@given(
    cores=st.integers(0, 16),
    memory_mb=st.integers(0, 16_000),
    gpus=st.integers(0, 4),
    requests=st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 5000), st.integers(0, 2), st.integers(0, 5)),
        max_size=5,
    ),
)
def test_nothing_is_given_twice_and_never_more_than_there_is(
    cores: int, memory_mb: int, gpus: int, requests: list[tuple[int, int, int, int]]
) -> None:
    taken: list[Node] = []
    for n, mb, g, count in requests:
        size = Size("s", n, mb, g)
        new = carve(range(cores), memory_mb, range(gpus), taken, size, count)
        assert len(new) <= count
        assert carve(range(cores), memory_mb, range(gpus), taken, size, count) == new
        for one in new:
            assert (len(one.cores), one.memory_mb, len(one.gpus)) == (n, mb, g)
            taken.append(node(one.cores, one.memory_mb, one.gpus))
        if len(new) < count:
            assert not carve(range(cores), memory_mb, range(gpus), taken, size, 1)
    used_cores = [core for one in taken for core in one.cores]
    used_gpus = [gpu for one in taken for gpu in one.gpus]
    assert len(used_cores) == len(set(used_cores))
    assert len(used_gpus) == len(set(used_gpus))
    assert set(used_cores) <= set(range(cores))
    assert set(used_gpus) <= set(range(gpus))
    assert sum(one.memory_mb for one in taken) <= memory_mb
