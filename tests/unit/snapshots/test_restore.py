"""What was captured comes back as it was, whole or not at all."""

import os
from pathlib import Path

import pytest

from turnout.snapshots import capture, restore
from turnout.spec.errors import ConflictError, SnapshotError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "lib").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "lib" / "a.py").write_text("x = 1\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("lib")
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9")).write_bytes(b"\x00\xff")
    return folder


def listing(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        name = os.fspath(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)  # noqa: PTH115
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = (path.read_bytes(), bool(path.stat().st_mode & 0o100))
    return found


def test_round_trip(source: Path, tmp_path: Path) -> None:
    made = capture(source, tmp_path / "home")
    into = tmp_path / "some" / "copy"
    assert restore(made.bundle(), into) == 3
    assert listing(into) == listing(source)
    assert [p.name for p in into.parent.iterdir()] == ["copy"]
    assert capture(into, tmp_path / "home").digest == made.digest


def test_into_an_empty_folder(source: Path, tmp_path: Path) -> None:
    into = tmp_path / "copy"
    into.mkdir()
    restore(capture(source, tmp_path / "home").bundle(), into)
    assert listing(into) == listing(source)


def test_nothing_is_overwritten(source: Path, tmp_path: Path) -> None:
    chunks = list(capture(source, tmp_path / "home").bundle())
    into = tmp_path / "copy"
    into.mkdir()
    (into / "mine").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for taken in (into, into / "mine", tmp_path / "link"):
        with pytest.raises(ConflictError, match="exists already"):
            restore(chunks, taken)
    assert list(listing(into)) == ["mine"]


@pytest.mark.parametrize("how", ["cut", "damaged", "nothing", "noise"])
def test_a_damaged_bundle_leaves_nothing(source: Path, tmp_path: Path, how: str) -> None:
    data = b"".join(capture(source, tmp_path / "home").bundle())
    broken = {"cut": data[:-1], "damaged": data.replace(b"x = 1", b"x = 2"), "nothing": b"",
              "noise": b"<html>"}[how]  # fmt: skip
    place = tmp_path / "place"
    with pytest.raises(SnapshotError, match="cannot be restored"):
        restore([broken], place / "copy")
    assert list(place.iterdir()) == []
