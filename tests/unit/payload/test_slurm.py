"""What Slurm's words mean."""

from __future__ import annotations

import doctest
import time
from typing import Any

import pytest

from turnout.payload.slurm import accounting, commands, words

POLICY = (
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy "
    "(job submit limit, user's size and/or time limits)\n"
)


@pytest.mark.parametrize("module", [accounting, commands, words])
def test_examples(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize(
    ("said", "waits"),
    [
        (f"sbatch: error: AssocMaxSubmitJobLimit\n{POLICY}", True),
        (f"sbatch: error: QOSGrpSubmitJobsLimit\n{POLICY}", True),
        (f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}", True),
        # Older ones do not name it.
        (POLICY, True),
        (f"sbatch: error: QOSMaxCpuPerJobLimit\n{POLICY}", False),
        (f"sbatch: error: QOSMaxWallDurationPerJobLimit\n{POLICY}", False),
        ("sbatch: error: Batch job submission failed: Invalid qos specification\n", False),
    ],
)
def test_what_is_refused_for_now(said: str, waits: bool) -> None:
    assert words.is_about_numbers(said) is waits


@pytest.mark.parametrize(
    ("later_s", "root", "is_it"), [(2, "/r", True), (60, "/r", False), (2, "/other", False)]
)
def test_a_number_that_was_given_twice(later_s: float, root: str, is_it: bool) -> None:
    now = time.time()
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now + later_s))
    text = f"OUT_OF_MEMORY|0:125|n3|{when}|{root}\n"
    wanted = accounting.Ended("OUT_OF_MEMORY", 0, "n3") if is_it else None
    assert accounting.ended_of(text, "/r", now) == wanted
