"""What an end means that somebody else may have asked for."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.payload.slurm import words


@pytest.mark.parametrize(
    ("end", "asked"),
    [
        ({"reason": "stopped", "code": 0}, True),
        # The script heard of it first.
        ({"reason": "signaled", "code": None, "signal": 15}, True),
        ({"reason": "exited", "code": 143, "signal": None}, True),
        ({"reason": "exited", "code": 0}, False),
        ({"reason": "exited", "code": 1}, False),
        ({"reason": "exited", "code": None}, False),
        ({"reason": "signaled", "signal": 9}, False),
        ({"reason": "prepare"}, False),
    ],
)
def test_ends_that_slurm_is_asked_about(end: dict[str, Any], asked: bool) -> None:
    assert words.may_be_taken(end) is asked


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("PREEMPTED", "preempted"),
        ("NODE_FAIL", "node"),
        ("TIMEOUT", "timeout"),
        ("CANCELLED", "stopped"),
        ("COMPLETED", "stopped"),
        # It does not know yet.
        ("RUNNING", ""),
        ("COMPLETING", ""),
    ],
)
def test_who_asked(state: str, reason: str) -> None:
    assert words.taken(state) == reason
