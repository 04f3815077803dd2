import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.engine import quota

LIMIT = {"cores:standardDv2Family": 10, "targets": 1, "nodes": 3, "runs:ana b": 2}


@pytest.mark.parametrize(
    ("used", "asked", "sentences"),
    [
        ({}, {}, []),
        ({}, {"targets": 1}, []),
        ({"nodes": 1}, {"nodes": 2}, []),
        ({}, {"runs:bo": 99}, []),
        ({"nodes": 9}, {"nodes": 0}, []),
        ({"nodes": 9}, {"nodes": -1}, []),
        (
            {"cores:standardDv2Family": 8},
            {"cores:standardDv2Family": 4},
            [
                "4 more cores of standardDv2Family would pass the quota "
                "'cores:standardDv2Family': 8 of 10 in use. "
                "Raise it: turnout quota set cores:standardDv2Family 12"
            ],
        ),
        (
            {"targets": 1, "runs:ana b": 2},
            {"targets": 1, "runs:ana b": 1, "nodes": 4},
            [
                "4 more nodes would pass the quota 'nodes': 0 of 3 in use. "
                "Raise it: turnout quota set nodes 4",
                "1 more run of 'ana b' would pass the quota 'runs:ana b': 2 of 2 in use. "
                "Raise it: turnout quota set 'runs:ana b' 3",
                "1 more target would pass the quota 'targets': 1 of 1 in use. "
                "Raise it: turnout quota set targets 2",
            ],
        ),
    ],
)
def test_sentences(used: dict[str, int], asked: dict[str, int], sentences: list[str]) -> None:
    assert quota.check(LIMIT, used, asked) == sentences


AMOUNTS = st.dictionaries(st.sampled_from(["targets", "nodes", "cores:f"]), st.integers(0, 5))


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_yes_exactly_when_every_sum_is_within(
    limit: dict[str, int], used: dict[str, int], asked: dict[str, int]
) -> None:
    passed = [n for n, more in asked.items() if more and n in limit
              and used.get(n, 0) + more > limit[n]]  # fmt: skip
    sentences = quota.check(limit, used, asked)
    assert len(sentences) == len(passed)
    # The command of each sentence is enough.
    raised = dict(limit)
    for sentence in sentences:
        name, value = sentence.rsplit(" ", 2)[1:]
        raised[name] = int(value)
    assert quota.check(raised, used, asked) == []
