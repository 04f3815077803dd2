"""Environments of a host: what is in use stays, what is pruned is gone at once."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from turnout.payload import prefixes, rundir


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    yield
    prefixes.let_go()


def now(work: Callable[[], None]) -> None:
    work()


def make(root: Path, name: str, *, unused_s: float = 0.0) -> str:
    """An environment with one request that leads to it."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    prefix = Path(prefixes.folder_of(str(root), digest))
    prefix.mkdir(parents=True)
    (prefix / "big").write_bytes(b"x" * 1000)
    (prefix / prefixes.LOCK).write_text('{"kind": "pip"}')
    prefixes.finish(str(prefix), name)
    at = time.time() - unused_s
    os.utime(prefix / "ready", (at, at))
    rundir.make_folder(str(root / rundir.REQUESTS))
    rundir.write_json(str(root / rundir.REQUESTS / f"{name}.json"), {"environment": digest})
    return digest


def prune(
    root: Path, *, keys: list[str] | None = None, older: float = 0, dry: bool = False
) -> list[str]:
    return [row["label"] for row in prefixes.prune(str(root), keys, older, dry, now)]


def test_listed_with_size_kind_and_last_use(tmp_path: Path) -> None:
    make(tmp_path, "old", unused_s=100)
    make(tmp_path, "new")
    new, old = prefixes.known(str(tmp_path))
    assert (new["label"], old["label"]) == ("new", "old")
    assert old["kind"] == "pip"
    assert old["size"] >= 1000
    assert not old["in_use"]


def test_unused_ones_are_pruned_with_their_requests(tmp_path: Path) -> None:
    old, new = make(tmp_path, "old", unused_s=100), make(tmp_path, "new")
    assert prune(tmp_path, older=50, dry=True) == ["old"]
    assert prefixes.is_ready(str(tmp_path), old)
    assert prune(tmp_path, older=50) == ["old"]
    assert not Path(prefixes.folder_of(str(tmp_path), old)).exists()
    assert prefixes.is_ready(str(tmp_path), new)
    assert [p.name for p in (tmp_path / "requests").glob("*.json")] == ["new.json"]
    assert list((tmp_path / "trash").iterdir()) == []


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    held = make(tmp_path, "held", unused_s=100)
    assert prefixes.hold(str(tmp_path), held)
    assert prefixes.describe(str(tmp_path), held)["in_use"]
    assert prune(tmp_path) == []
    assert prune(tmp_path, dry=True) == []
    assert prune(tmp_path, keys=[held]) == []
    # Somebody began to use it after it was looked at.
    assert not prefixes.take_away(str(tmp_path), held, [])
    assert prefixes.is_ready(str(tmp_path), held)


def test_what_is_being_made_stays_and_a_half_made_one_goes(tmp_path: Path) -> None:
    import fcntl

    digest = "a" * 64
    prefix = Path(prefixes.folder_of(str(tmp_path), digest))
    prefix.mkdir(parents=True)
    lock = os.open(f"{prefix}.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert prune(tmp_path) == []
    os.close(lock)
    assert prune(tmp_path) == [""]
    assert not prefix.exists()


def test_old_bytecode_that_nothing_links_to_goes_along(tmp_path: Path) -> None:
    digest = make(tmp_path, "one", unused_s=100)
    kept = tmp_path / "cache" / "bytecode" / "cpython-311"
    for name in ("used-1", "unused-1", "fresh-1"):
        (kept / name).mkdir(parents=True)
        (kept / name / "a.pyc").write_bytes(b"x")
        if name != "fresh-1":
            os.utime(kept / name, (1, 1))
    os.link(kept / "used-1" / "a.pyc", tmp_path / "elsewhere.pyc")
    prefix = Path(prefixes.folder_of(str(tmp_path), digest))
    os.link(kept / "unused-1" / "a.pyc", prefix / "a.pyc")
    assert prune(tmp_path) == ["one"]
    assert sorted(p.name for p in kept.iterdir()) == ["fresh-1", "used-1"]


def test_by_the_beginning_of_its_key(tmp_path: Path) -> None:
    one, _ = make(tmp_path, "one"), make(tmp_path, "two")
    assert prune(tmp_path, keys=[one[:3]]) == []
    assert prune(tmp_path, keys=[one[:8]]) == ["one"]


def test_nothing_is_held_that_is_not_there(tmp_path: Path) -> None:
    assert prefixes.hold(str(tmp_path), "b" * 64) is None
    with pytest.raises(ValueError, match="cannot name"):
        prefixes.folder_of(str(tmp_path), "../x")


def test_what_is_being_made_anew_is_not_pruned_away(tmp_path: Path) -> None:
    digest = make(tmp_path, "one")
    files = tmp_path / "requests" / "one.files"
    files.mkdir()
    with prefixes.exclusive(str(tmp_path / "requests" / "one.lock"), os.O_CREAT):
        prefixes.forget_requests(str(tmp_path), {digest})
        assert files.exists()
    with prefixes.exclusive(prefixes.folder_of(str(tmp_path), digest) + ".lock", os.O_CREAT):
        assert not prefixes.take_away(str(tmp_path), digest, [])
    assert prune(tmp_path) == ["one"]
    assert not files.exists()


def test_use_waits_for_who_looks(tmp_path: Path) -> None:
    digest = make(tmp_path, "one")
    held: list[object] = []
    with prefixes.exclusive(prefixes.folder_of(str(tmp_path), digest) + "/ready"):
        user = threading.Thread(target=lambda: held.append(prefixes.hold(str(tmp_path), digest)))
        user.start()
        user.join(0.05)
    user.join()
    assert held[0] is not None


def test_what_was_taken_away_while_we_waited_is_not_held(tmp_path: Path) -> None:
    digest = make(tmp_path, "one")
    folder = Path(prefixes.folder_of(str(tmp_path), digest))
    held: list[object] = []
    with prefixes.exclusive(str(folder / "ready")):
        user = threading.Thread(target=lambda: held.append(prefixes.hold(str(tmp_path), digest)))
        user.start()
        user.join(0.05)
        folder.rename(tmp_path / "gone")
        make(tmp_path, "one")
    user.join()
    assert held == [None] or prefixes.describe(str(tmp_path), digest)["in_use"]


@pytest.mark.parametrize("text", ["", "[]", '"x"', "{", "null"])
def test_damaged_files_stop_nothing(tmp_path: Path, text: str) -> None:
    digest = make(tmp_path, "one")
    prefix = Path(prefixes.folder_of(str(tmp_path), digest))
    (prefix / "ready").write_text(text)
    (tmp_path / "requests" / "two.json").write_text(text)
    (row,) = prefixes.known(str(tmp_path))
    assert not row["ready"]
    assert prefixes.is_ready(str(tmp_path), digest) is bool(text)
    assert prune(tmp_path) == [""]
    assert not (tmp_path / "requests" / "one.json").exists()
