"""When a file is read again, and when what the last capture found is enough."""

import os
import time
from pathlib import Path

import pytest

from turnout.snapshots import captures, contents, memories
from turnout.snapshots.captures import capture
from turnout.snapshots.trees import Stamp
from turnout.spec.errors import SnapshotError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths read so far."""
    seen: list[str] = []
    real = contents.read

    def note(root: str, path: str, expected: Stamp) -> contents.Content | None:
        seen.append(path)
        return real(root, path, expected)

    monkeypatch.setattr(contents, "read", note)
    return seen


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Captures happen a minute after the files were written."""
    real = time.time_ns
    monkeypatch.setattr(captures.time, "time_ns", lambda: real() + 60 * 10**9)


@pytest.mark.usefixtures("later")
def test_unchanged_files_are_not_read(source: Path, home: Path, reads: list[str]) -> None:
    first = capture(source, home)
    assert sorted(reads) == ["a", "b", "c"]
    second = capture(source, home)
    assert sorted(reads) == ["a", "b", "c"]
    assert second.digest == first.digest
    assert second.hashes == first.hashes


@pytest.mark.usefixtures("later")
def test_only_changed_files_are_read(source: Path, home: Path, reads: list[str]) -> None:
    capture(source, home)
    reads.clear()
    (source / "b").write_text("B")
    (source / "d").write_text("d")
    (source / "c").unlink()
    made = capture(source, home)
    assert sorted(reads) == ["b", "d"]
    assert made.digest == capture(source, home / "other").digest


@pytest.mark.usefixtures("later")
def test_same_size_and_time_but_other_inode_is_read(
    source: Path, home: Path, reads: list[str]
) -> None:
    first = capture(source, home)
    stat = (source / "a").stat()
    (source / "new").write_text("A")
    os.utime(source / "new", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (source / "new").replace(source / "a")
    reads.clear()
    assert capture(source, home).digest != first.digest
    assert reads == ["a"]


@pytest.mark.usefixtures("later")
def test_a_changed_bit_is_noticed(source: Path, home: Path) -> None:
    first = capture(source, home)
    (source / "a").chmod(0o755)
    second = capture(source, home)
    assert second.digest != first.digest
    assert second.digest == capture(source, home / "other").digest


def test_files_of_this_second_are_not_trusted(
    source: Path, home: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = (source / "c").stat().st_mtime_ns
    monkeypatch.setattr(captures.time, "time_ns", lambda: now)
    first = capture(source, home)
    # Written again within the same tick: size, time and inode say nothing.
    memory = memories.load(home, str(source.resolve()))
    assert memory is not None
    (source / "a").write_text("A")
    memory.stamps["a"] = contents.stamp_of((source / "a").stat())
    memories.save(home, str(source.resolve()), memory)
    reads.clear()
    second = capture(source, home)
    assert "a" in reads
    assert second.digest != first.digest


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other", "folder"])
def test_a_damaged_memory_is_ignored(source: Path, home: Path, damage: str) -> None:
    first = capture(source, home)
    file = memories.file_of(home, str(source.resolve()))
    data = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        flipped = data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]
        broken = {"cut": data[:90], "flip": flipped, "empty": b"", "other": b"{}" * 200}
        file.write_bytes(broken[damage])
    assert memories.load(home, str(source.resolve())) is None
    assert capture(source, home).digest == first.digest


def test_a_file_that_keeps_changing_is_named(
    source: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.read
    writes = 0

    def grow(descriptor: int, size: int) -> bytes:
        nonlocal writes
        writes += 1
        with (source / "b").open("a") as file:
            file.write("more")
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", grow)
    with pytest.raises(SnapshotError, match=r"a' changed while|b' changed while"):
        capture(source, home)
    assert writes >= contents.TRIES


def test_a_file_that_changed_once_is_read_again(
    source: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.read
    done: list[bool] = []

    def once(descriptor: int, size: int) -> bytes:
        data = real(descriptor, size)
        if not done:
            done.append(True)
            (source / "a").write_text("later")
        return data

    monkeypatch.setattr(os, "read", once)
    made = capture(source, home)
    monkeypatch.undo()
    assert made.digest == capture(source, home / "other").digest
    assert made.memory.stamps["a"][0] == len("later")


def test_a_file_that_vanishes_is_left_out(
    source: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = contents.read

    def vanish(root: str, path: str, expected: Stamp) -> contents.Content | None:
        (source / "b").unlink(missing_ok=True)
        return real(root, path, expected)

    monkeypatch.setattr(contents, "read", vanish)
    assert set(capture(source, home).memory.stamps) == {"a", "c"}


def test_a_pipe_in_the_place_of_a_file_is_no_hang(source: Path, home: Path) -> None:
    real = contents.open_file
    (source / "pipe").unlink(missing_ok=True)
    os.mkfifo(source / "pipe")
    with pytest.raises(contents.ChangedWhileRead):
        contents.read_once(str(source / "pipe"))
    assert contents.open_file is real


def test_old_memories_are_dropped(
    source: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memories, "MOST_FOLDERS", 2)
    for name in ("x", "y", "z"):
        folder = source / name
        folder.mkdir()
        (folder / "f").touch()
        capture(folder, home)
    assert len(list((home / "cache" / "snapshots").iterdir())) == 2
