"""Samples of what a run uses: when they are taken, and what the kernel's files say."""

from __future__ import annotations

import doctest
import json
import select
from pathlib import Path

import pytest

from turnout.payload import gauges, usage
from turnout.payload.usage import Reading, Usage

Patch = pytest.MonkeyPatch


class Clock:
    def __init__(self, monkeypatch: Patch) -> None:
        self.now = 100.0
        monkeypatch.setattr(usage.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(usage.time, "time", lambda: 1e9 + self.now)


class Source:
    """Busy with one core all the time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.resident = 200 << 20
        self.is_seen = True

    def read(self, without: object) -> Reading | None:
        cpu_s = self.clock.now - 100.0
        return Reading(cpu_s, self.resident, self.resident, 2) if self.is_seen else None

    def read_last(self) -> Reading | None:
        return Reading(self.clock.now - 100.0, 0, 0, 0)


@pytest.fixture
def clock(monkeypatch: Patch) -> Clock:
    return Clock(monkeypatch)


def lines(folder: Path) -> list[dict[str, float]]:
    path = folder / "usage.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def make(folder: Path, clock: Clock) -> tuple[Usage, Source]:
    source = Source(clock)
    return Usage(str(folder), source, [], select.poll()), source  # type: ignore[arg-type]


def test_rhythm(tmp_path: Path, clock: Clock) -> None:
    made, _ = make(tmp_path, clock)
    assert not made.tick([])
    ages: list[float] = []
    while made.due_at < 100 + 700:
        clock.now = made.due_at
        ages.append(clock.now - 100)
        assert made.tick([])
        assert not made.tick([])
    assert ages[:3] == [1, 6, 11]
    assert ages[-4:] == [601, 631, 661, 691]
    found = lines(tmp_path)
    assert [line["seconds"] for line in found[:2]] == [1, 5]
    assert {line["cpu"] for line in found} == {1.0}
    assert found[0]["memory_mb"] == 200


def test_the_end_is_noted_where_there_was_a_sample(tmp_path: Path, clock: Clock) -> None:
    made, source = make(tmp_path, clock)
    clock.now += 0.9
    made.tick([])
    made.finish()
    assert lines(tmp_path) == []
    clock.now += 0.1
    made.tick([])
    source.resident = 100 << 20
    clock.now += 4
    made.finish()
    _, last = lines(tmp_path)
    assert (last["cpu"], last["seconds"], last["memory_mb"], last["processes"]) == (1, 4, 0, 0)
    assert last["peak_mb"] == 200


def test_what_cannot_be_seen_is_not_written(tmp_path: Path, clock: Clock) -> None:
    made, source = make(tmp_path, clock)
    source.is_seen = False
    clock.now += 1
    assert not made.tick([])
    source.is_seen = True
    clock.now += 5
    made.tick([])
    assert [line["seconds"] for line in lines(tmp_path)] == [6]


def test_a_full_disk_is_no_fault(tmp_path: Path, clock: Clock) -> None:
    made, _ = make(tmp_path / "gone", clock)
    clock.now += 1
    assert not made.tick([])
    (tmp_path / "gone").mkdir()
    clock.now += 5
    assert made.tick([])


@pytest.mark.parametrize("name", ["sh", "a b", ") S 1 (", "x) R 7 8 9"])
def test_a_name_may_hold_anything(name: str) -> None:
    rest = "S 41 42 43 0 -1 4194304 1 2 3 4 250 50 70 30 20 0 1 0 100 8192 25 184"
    row = gauges.parse_stat(f"99 ({name}) {rest}".encode())
    assert (row.parent, row.cpu_s * gauges.TICKS) == (41, 400)
    assert row.resident == 25 * gauges.PAGE


@pytest.mark.parametrize("text", ["", "99 (sh) S 1", "no stat"])
def test_no_stat(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        gauges.parse_stat(text.encode())


def test_processes_below_one() -> None:
    parents = {2: 1, 3: 2, 4: 3, 5: 2, 6: 5, 7: 1}
    rows = {pid: gauges.Row(parent, 0.0, 0) for pid, parent in parents.items()}
    assert sorted(gauges.below(rows, 2)) == [3, 4, 5, 6]
    assert sorted(gauges.below(rows, 2, without=[5])) == [3, 4]
    assert gauges.below(rows, 9) == []


@pytest.mark.parametrize(
    ("file", "content", "cpu_s"),
    [
        ("cpu.stat", "usage_usec 2500000\nuser_usec 1\n", 2.5),
        ("cpuacct.usage", "2500000000\n", 2.5),
        ("cpu.stat", "nr_periods 0\n", None),
        ("cpuacct.usage", "?", None),
    ],
)
def test_time_of_a_group(tmp_path: Path, file: str, content: str, cpu_s: float | None) -> None:
    (tmp_path / file).write_text(content)
    assert gauges.Group(cpu=str(tmp_path / file)).cpu_s() == cpu_s
    assert gauges.Group(cpu=str(tmp_path / "gone" / file)).cpu_s() is None
    assert gauges.Group().cpu_s() is None


@pytest.mark.parametrize(
    ("content", "resident"),
    [
        ("cache 900\nrss 1\nmapped_file 2\ntotal_rss 100\ntotal_mapped_file 20\n", 120),
        ("anon 100\nfile 900\nfile_mapped 20\n", 120),
        ("nothing\n", None),
    ],
)
def test_memory_of_a_group(tmp_path: Path, content: str, resident: int | None) -> None:
    (tmp_path / "memory.stat").write_text(content)
    assert gauges.Group(memory=str(tmp_path / "memory.stat")).resident() == resident


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("0, 97, 40536\n", [{"index": 0, "use": 97, "memory_mb": 40536}]),
        ("3, [N/A], [Not Supported]\n", [{"index": 3, "use": None, "memory_mb": None}]),
        ("No devices were found\n", []),
        ("NVIDIA-SMI has failed because it could not, or would not, answer\n", []),
        ("", []),
    ],
)
def test_answers_of_nvidia_smi(answer: str, found: list[dict[str, object]]) -> None:
    assert gauges.parse_gpus(answer) == found


def test_who_is_asked_for_gpus(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gauges.gpu_query({"CUDA_VISIBLE_DEVICES": "0"}) == []
    program = tmp_path / "nvidia-smi"
    program.touch(0o755)
    assert gauges.gpu_query({"CUDA_VISIBLE_DEVICES": "2, 5"})[:2] == [str(program), "--id=2,5"]
    for hidden in ("", "-1", "0,-1"):
        assert gauges.gpu_query({"CUDA_VISIBLE_DEVICES": hidden}) == []


def test_examples() -> None:
    assert doctest.testmod(gauges).failed == 0
