"""Run folder files: atomic writes, complete lines, records, pokes."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from turnout.payload import rundir


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_handle_names_one_folder_below_runs() -> None:
    assert rundir.run_folder("/r", "exp_1.2") == "/r/runs/exp_1.2"
    for bad in ("", "..", "../x", "a/b", ".hidden", "a\n", "x" * 201, "a\0", None, 5):
        with pytest.raises(ValueError, match="not a run handle"):
            rundir.run_folder("/r", bad)  # type: ignore[arg-type]


def test_make_folder_makes_every_folder_for_the_owner_only(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b"
    assert rundir.make_folder(str(place)) == str(place)
    assert {p.stat().st_mode & 0o777 for p in (place, place.parent)} == {0o700}
    rundir.make_folder(str(place))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        rundir.make_folder(str(tmp_path / "file"))


def test_write_file_replaces_whole_and_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    place = tmp_path / "x.json"
    rundir.write_json(str(place), {"a": 1})
    rundir.write_json(str(place), {"a": 2})
    assert rundir.read_json(str(place)) == {"a": 2}
    assert names(tmp_path) == ["x.json"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        rundir.write_file(str(tmp_path / "folder"), b"x")
    assert names(tmp_path) == ["folder", "x.json"]


def test_read_json_of_damaged_files_is_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b'{"a": \xff')
    assert rundir.read_json(str(tmp_path / "x")) is None
    assert rundir.read_json(str(tmp_path / "none")) is None


def test_complete_lines_leave_a_torn_last_line(tmp_path: Path) -> None:
    place = tmp_path / "records.jsonl"
    assert rundir.read_complete_lines(str(place), 0) == ([], 0)
    place.write_bytes(b"one\ntwo\nthr")
    assert rundir.read_complete_lines(str(place), 0) == ([b"one", b"two"], 8)
    assert rundir.read_complete_lines(str(place), 8) == ([], 8)
    place.write_bytes(b"one\ntwo\nthree\n")
    assert rundir.read_complete_lines(str(place), 8) == ([b"three"], 14)
    assert rundir.read_complete_lines(str(place), 0, limit=5) == ([b"one"], 4)
    assert rundir.read_complete_lines(str(place), 8, limit=2) == ([b"three"], 14)


def test_log_names_are_a_fixed_set() -> None:
    assert rundir.log_path("/f", "azureml-logs/70_driver_log.txt") == "/f/driver.log"
    assert rundir.log_path("/f", "records") == "/f/records.jsonl"
    for name in ("driver.log", "ticket.json", "", "../x"):
        assert rundir.log_path("/f", name) is None


def test_records_of_many_threads_are_whole_lines(tmp_path: Path) -> None:
    def write(which: int) -> None:
        for number in range(200):
            rundir.append_record(str(tmp_path), {"w": which, "n": number, "pad": "x" * 500})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines, _ = rundir.read_complete_lines(str(tmp_path / "records.jsonl"), 0, 1 << 24)
    found = [json.loads(line) for line in lines]
    assert len(found) == 800
    for which in range(4):
        assert [r["n"] for r in found if r["w"] == which] == list(range(200))


def test_a_torn_record_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(tmp_path)
    rundir.append_record(folder, {"n": 1})
    write = os.write
    # A disk that takes only a part: no small file system is at hand in a unit test.
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:3]))
    with pytest.raises(OSError, match="No space left"):
        rundir.append_record(folder, {"n": 2})
    monkeypatch.undo()
    rundir.append_record(folder, {"n": 3})
    lines, _ = rundir.read_complete_lines(str(tmp_path / "records.jsonl"), 0)
    assert lines == [b'{"n":1}', b'{"n', b'{"n":3}']


def test_pokes_and_datagrams_work_below_long_paths(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    rundir.poke(str(folder))
    heard = rundir.bind_datagram(str(folder), rundir.POKE_SOCKET)
    rundir.poke(str(folder))
    assert heard.recv(10) == b"p"
    for _ in range(5000):
        rundir.poke(str(folder))
    heard.close()
    rundir.poke(str(folder))


def test_tell_reaches_every_agent_and_removes_the_dead(tmp_path: Path) -> None:
    assert rundir.tell(str(tmp_path), "exp_1.1")
    watch = tmp_path / "watch"
    watch.mkdir()
    mark = rundir.machine_mark()
    agents = [rundir.bind_datagram(str(watch), f"{mark}{n}.sock") for n in range(3)]
    # One of another machine that shares the root: it cannot be reached, and is not ours to remove.
    (watch / "0f1e2d3c-1.sock").touch()
    agents[0].close()
    assert rundir.tell(str(tmp_path), "exp_1.1")
    assert [a.recv(99) for a in agents[1:]] == [b"exp_1.1"] * 2
    assert set(names(watch)) == {f"{mark}1.sock", f"{mark}2.sock", "0f1e2d3c-1.sock"}
    agents[1].close()
    # A full queue is told to the caller, who tries again.
    assert not all(rundir.tell(str(tmp_path), "exp_1.1") for _ in range(10_000))
    agents[2].close()


def test_a_script_that_closed_our_descriptors_keeps_its_own_files(tmp_path: Path) -> None:
    folder = str(tmp_path)
    heard = rundir.bind_datagram(folder, rundir.POKE_SOCKET)
    rundir.append_record(folder, {"n": 1})
    numbers = [cache[folder][0] for cache in (rundir._records, rundir._pokers)]
    for number in numbers:
        theirs = os.open(tmp_path / f"theirs{number}", os.O_RDWR | os.O_CREAT)
        os.dup2(theirs, number)
        os.close(theirs)
    rundir.append_record(folder, {"n": 2})
    assert [(tmp_path / f"theirs{n}").read_bytes() for n in numbers] == [b"", b""]
    assert (tmp_path / "records.jsonl").read_bytes() == b'{"n":1}\n{"n":2}\n'
    for number in numbers:
        os.close(number)
    heard.close()
