"""`turnout run usage` and the peak in `turnout run show`."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

from turnout.cli import usage

Out = pytest.CaptureFixture[str]
GPU = {"index": 0, "use": 90, "memory_mb": 2048}


def sample(seconds: float, cpu: float, memory_mb: float, *gpus: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": 1.0, "seconds": seconds, "cpu": cpu, "memory_mb": memory_mb, "peak_mb": 300.0,
        "processes": 1 if memory_mb else 0, "gpus": list(gpus),
    }  # fmt: skip


def test_examples() -> None:
    assert doctest.testmod(usage).failed == 0


def test_a_run_that_goes_on(capsys: Out) -> None:
    samples = [sample(1, 0.5, 100), sample(5, 2.0, 200, GPU), sample(5, 1.0, 150, GPU)]
    usage.print_usage(samples, over=False)
    head, cpu, memory, gpu, gpu_memory = capsys.readouterr().out.splitlines()
    assert head.split() == ["USE", "OF", "NOW", "MEAN", "PEAK", "OVER", "11", "s"]
    assert cpu == "CPU           1.00 cores  1.41 cores  2.00 cores  ▃█████▅▅▅▅▅"
    assert memory.split()[:7] == ["memory", "150.0", "MB", "168.2", "MB", "200.0", "MB"]
    assert gpu.split()[:8] == ["GPU", "0", "90", "%", "90", "%", "90", "%"]
    assert gpu_memory.startswith("GPU 0 memory  2.0 GB")


def test_a_run_that_is_over_uses_nothing_now(capsys: Out) -> None:
    usage.print_usage([sample(1, 1.0, 100), sample(2, 0.5, 0)], over=True)
    _, cpu, memory = capsys.readouterr().out.splitlines()
    assert cpu.split() == ["CPU", "0.67", "cores", "1.00", "cores", "█▅▅"]
    # Memory at the end, when nothing is left, is no figure of the run.
    assert memory.split()[:5] == ["memory", "100.0", "MB", "100.0", "MB"]


def test_long_runs_fit(capsys: Out) -> None:
    usage.print_usage([sample(30, 1.0, 100)] * 5000, over=False)
    for line in capsys.readouterr().out.splitlines():
        assert len(line) < 100


@pytest.mark.parametrize("count", [1, 2, 7, 500])
def test_every_bar_has_its_value(count: int) -> None:
    line = [(1.0, 1.0)] * count
    assert set(usage.bars(line, 40, 1.0)) == {"█"}
