"""What a capture holds, compared with the folder itself and with a real content store."""

import hashlib
import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from turnout.payload import bundles
from turnout.payload.store import Store
from turnout.snapshots import Capture, capture
from turnout.spec.errors import SnapshotError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def paths_of(made: Capture) -> set[str]:
    return {row[0] for row in json.loads(made.manifest)["files"]}


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def age(folder: Path, seconds: float = 100) -> None:
    """Make every stamp old and settled; only ctime stays, so this needs a settled clock too."""
    for path in folder.rglob("*"):
        stat = path.lstat()
        times = (stat.st_atime - seconds, stat.st_mtime - seconds)
        os.utime(path, times, follow_symlinks=False)


def test_manifest_names_everything_that_must_survive(source: Path, home: Path) -> None:
    write(source, train_dot_py="print(1)\n", lib__a_dot_py="x")
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    (source / "link").symlink_to("lib/a.py")
    (source / "folder-link").symlink_to("lib")
    (source / "empty" / "inner").mkdir(parents=True)
    made = capture(source, home)
    manifest = json.loads(made.manifest)
    digest = hashlib.sha256(b"print(1)\n").hexdigest()
    assert ["train.py", 0, 9, digest] in manifest["files"]
    assert ["run.sh", 1, 10, hashlib.sha256(b"#!/bin/sh\n").hexdigest()] in manifest["files"]
    assert manifest["links"] == [["folder-link", "lib"], ["link", "lib/a.py"]]
    assert manifest["folders"] == ["empty/inner"]
    assert made.digest == hashlib.sha256(made.manifest).hexdigest()
    assert made.file_count == 3
    assert made.total_bytes == 9 + 1 + 10
    assert "lib/a.py" in made
    assert "nothing" not in made
    bundles.parse_manifest(made.manifest)


def test_odd_names_survive(source: Path, home: Path) -> None:
    names = [
        b"caf\xe9",
        "日本 語".encode(),
        b"new\nline",
        b"back\\slash",
        b" lead",
        b"tail ",
        b"-x",
    ]
    for name in names:
        Path(os.fsdecode(os.fsencode(source) + b"/" + name)).write_bytes(name)
    first = capture(source, home)
    again = capture(source, home)
    assert paths_of(first) == {os.fsdecode(name) for name in names}
    assert again.digest == first.digest
    bundles.parse_manifest(first.manifest)


def test_empty_folder(source: Path, home: Path) -> None:
    made = capture(source, home)
    assert made.file_count == 0
    assert made.hashes == []
    assert capture(source, home).digest == made.digest


def test_bundle_fills_a_store(source: Path, home: Path, tmp_path: Path) -> None:
    write(source, a="same", b="same", c__d="other", e="")
    made = capture(source, home)
    store = Store(tmp_path / "store")
    assert sorted(store.missing(made.hashes)) == sorted(made.hashes)
    data = b"".join(made.bundle())
    assert len(data) == made.bundle_size()
    ingest = store.ingest()
    ingest.feed(data)
    assert ingest.finish().digest == made.digest
    assert store.read(hashlib.sha256(b"other").hexdigest()) == b"other"
    write(source, a="new")
    changed = capture(source, home)
    lacking = store.missing(changed.hashes)
    assert lacking == [hashlib.sha256(b"new").hexdigest()]
    ingest = store.ingest()
    for part in changed.bundle(set(lacking)):
        ingest.feed(part)
    assert ingest.finish().digest == changed.digest
    store.close()


def test_a_remembered_capture_still_makes_its_bundle(source: Path, home: Path) -> None:
    write(source, a="one", b__c="two")
    first = capture(source, home)
    second = capture(source, home)
    second.bodies.clear()
    assert b"".join(second.bundle()) == b"".join(first.bundle())


def test_big_files_are_streamed(source: Path, home: Path, tmp_path: Path) -> None:
    body = os.urandom(9 * 1024 * 1024)
    (source / "big").write_bytes(body)
    made = capture(source, home)
    assert made.bodies == {}
    store = Store(tmp_path / "store")
    ingest = store.ingest()
    for part in made.bundle():
        assert len(part) < 4 * 1024 * 1024
        ingest.feed(part)
    ingest.finish()
    assert store.read(made.hashes[0]) == body
    store.close()


@pytest.mark.parametrize("body", [b"longer than it was", b"x", b"five?", None])
def test_a_file_changed_before_sending_is_noticed(
    source: Path, home: Path, body: bytes | None
) -> None:
    (source / "data").write_bytes(b"five!")
    made = capture(source, home)
    made.bodies.clear()
    if body is None:
        (source / "data").unlink()
    else:
        (source / "data").write_bytes(body)
    with pytest.raises(SnapshotError, match=r"data' changed while .*/data.*amlignore"):
        list(made.bundle())


def test_special_files_are_skipped_with_a_note(source: Path, home: Path) -> None:
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(source)
        server.bind("socket")
        os.chdir(here)
        made = capture(source, home)
    assert paths_of(made) == set()
    assert sorted(made.notes) == [
        "'pipe' is a socket, pipe or device: skipped.",
        "'socket' is a socket, pipe or device: skipped.",
    ]


def test_links_that_lead_out_are_kept_and_told(source: Path, home: Path) -> None:
    (source / "sub").mkdir()
    (source / "sub" / "out").symlink_to("../../elsewhere")
    (source / "sub" / "in").symlink_to("../sub")
    (source / "abs").symlink_to("/data")
    (source / "loop").symlink_to("loop")
    notes = capture(source, home).notes
    assert len(notes) == 2
    assert "'abs'" in notes[0]
    assert "'sub/out'" in notes[1]


def test_the_home_inside_the_source_is_left_out(source: Path) -> None:
    write(source, a="1")
    home = source / ".turnout"
    first = capture(source, home)
    assert paths_of(first) == {"a"}
    assert json.loads(first.manifest)["folders"] == []
    assert capture(source, home).digest == first.digest


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path, home: Path) -> None:
    with pytest.raises(SnapshotError, match="does not exist"):
        capture(tmp_path / "nowhere", home)
    (tmp_path / "file").touch()
    with pytest.raises(SnapshotError, match="not a folder"):
        capture(tmp_path / "file", home)


def test_an_unreadable_file_is_named(
    source: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source, secret="x")
    # Root reads everything, so the refusal is made here.
    real = os.open

    def refuse(path: str, flags: int, *rest: int) -> int:
        if path.endswith("/secret"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SnapshotError, match=r"secret': Permission denied.*'/secret'"):
        capture(source, home)


def test_a_folder_reached_by_a_link_is_the_same_folder(
    source: Path, home: Path, tmp_path: Path
) -> None:
    write(source, a="1")
    (tmp_path / "alias").symlink_to(source)
    assert capture(tmp_path / "alias", home).root == capture(source, home).root


def test_a_home_that_cannot_be_written_to_costs_nothing_but_time(
    source: Path, tmp_path: Path
) -> None:
    write(source, a="1")
    home = tmp_path / "file"
    home.touch()
    assert capture(source, home).file_count == 1


def test_a_deleted_folder_does_not_come_back(source: Path, home: Path) -> None:
    write(source, a__b="1", c="2")
    capture(source, home)
    shutil.rmtree(source / "a")
    assert paths_of(capture(source, home)) == {"c"}


def test_a_folder_that_cannot_be_read_is_named(
    source: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source, data__x="1")
    # Root reads everything, so the refusal is made here.
    real = os.open

    def refuse(path: str, flags: int, *rest: int) -> int:
        if path.endswith("/data"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SnapshotError, match=r"data/': Permission denied.*'/data/'"):
        capture(source, home)


def test_descriptors_are_closed(source: Path, home: Path) -> None:
    write(source, a__b__c="1", d="2")
    (source / "env").mkdir()
    (source / "env" / "pyvenv.cfg").touch()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the listing's own is in both
    capture(source, home)
    capture(source, home)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
