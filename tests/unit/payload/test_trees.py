"""Work trees: laid out, patched, given back, and never taken for what they are not."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout.payload import bundles, trees
from turnout.payload.bundles import StoreError
from turnout.payload.store import Store


class Place:
    """A host root with a store, and run folders in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "store")
        self.trees = root / "trees"
        self.count = 0

    def add(
        self,
        files: dict[str, bytes],
        links: dict[str, str] | None = None,
        folders: tuple[str, ...] = (),
        executable: tuple[str, ...] = (),
    ) -> str:
        rows = [
            [p, int(p in executable), len(d), hashlib.sha256(d).hexdigest()]
            for p, d in sorted(files.items())
        ]
        manifest: dict[str, Any] = {
            "files": rows,
            "links": [list(row) for row in sorted((links or {}).items())],
            "folders": sorted(folders),
        }
        ingest = self.store.ingest()
        for data in files.values():
            ingest.feed(bundles.blob_frame(data))
        ingest.feed(bundles.manifest_frame(bundles.canonical_bytes(manifest)) + bundles.END)
        digest = ingest.finish().digest
        assert digest
        return digest

    def lay_out(self, digest: str) -> Path:
        self.count += 1
        folder = self.root / "runs" / f"r.{self.count}"
        folder.mkdir(parents=True)
        work = folder / "work"
        trees.lay_out(self.store, digest, str(work), str(folder / "tree.json"), str(self.trees))
        return work

    def give_back(self, work: Path) -> bool:
        record = work.parent / "tree.json"
        return trees.give_back(str(work), str(record), str(self.trees), str(self.root / "trash"))

    def kept(self) -> list[str]:
        return sorted(p.name.split(".")[0] for p in self.trees.iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.store.close()


FILES = {f"d{i % 3}/f{i}": b"content %d" % i for i in range(12)} | {"top.py": b"print()"}


def contents(work: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(work)): p.read_bytes()
        for p in work.rglob("*")
        if p.is_file() and not p.is_symlink()
    }


def test_everything_a_tree_may_hold(place: Place) -> None:
    odd = {"a\nb": b"1", "ü b": b"2", "\udcff\udc80": b"3", "-rf": b"4", "d/run.sh": b"5"}
    digest = place.add(
        odd, {"link": "d/run.sh", "d/out": "/nowhere"}, ("empty/deep",), ("d/run.sh",)
    )
    work = place.lay_out(digest)
    assert contents(work) == odd
    assert (work / "link").readlink() == Path("d/run.sh")
    assert (work / "d" / "out").readlink() == Path("/nowhere")
    assert (work / "empty" / "deep").is_dir()
    assert os.access(work / "d" / "run.sh", os.X_OK)
    assert not (work / "-rf").stat().st_mode & 0o111
    assert os.path.exists(os.fsencode(work) + b"/\xff\x80")  # noqa: PTH110 - bytes


def test_an_untouched_tree_comes_back_by_rename(place: Place) -> None:
    digest = place.add(FILES, {"l": "top.py"}, ("empty",))
    first = place.lay_out(digest)
    inode = (first / "top.py").stat().st_ino
    (first / "outputs").mkdir()
    (first / "outputs" / "model").write_bytes(b"m")
    (first / "d1" / "__pycache__").mkdir()
    (first / "d1" / "__pycache__" / "x.pyc").write_bytes(b"m")
    (first / "empty" / "new").write_bytes(b"m")
    (first / "d0").chmod(0o700)
    assert place.give_back(first)
    assert not first.exists()
    second = place.lay_out(digest)
    assert contents(second) == FILES
    assert (second / "top.py").stat().st_ino == inode
    assert [p.name for p in (second / "empty").iterdir()] == []
    assert (second / "d0").stat().st_mode == (second / "d1").stat().st_mode
    assert not any(place.trees.iterdir())
    assert place.give_back(second)


def change_keeping_size_and_time(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"X" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "harm",
    [
        lambda w: (w / "top.py").write_bytes(b"other"),
        lambda w: change_keeping_size_and_time(w / "top.py"),
        lambda w: (w / "top.py").unlink(),
        lambda w: (w / "top.py").chmod(0o777),
        lambda w: os.link(w / "top.py", w.parent / "twin"),
        lambda w: ((w / "top.py").unlink(), (w / "top.py").symlink_to("/etc/passwd")),
        lambda w: ((w / "top.py").unlink(), (w / "top.py").mkdir()),
        lambda w: ((w / "l").unlink(), (w / "l").symlink_to("elsewhere")),
        lambda w: trees.remove_tree(str(w / "d0")),
        lambda w: (trees.remove_tree(str(w / "d0")), (w / "d0").symlink_to("/etc")),
        lambda w: trees.remove_tree(str(w / "empty")),
        lambda w: (w / "d0" / "f0").replace(w / "d1" / "f0"),
    ],
)
def test_what_a_script_changes_is_mended_for_the_next(place: Place, harm: Any) -> None:
    digest = place.add(FILES, {"l": "top.py"}, ("empty",))
    first = place.lay_out(digest)
    harm(first)
    place.give_back(first)
    second = place.lay_out(digest)
    assert contents(second) == FILES
    assert (second / "l").readlink() == Path("top.py")
    assert (second / "empty").is_dir()
    assert (second / "top.py").stat().st_nlink == 1
    assert not (second / "top.py").stat().st_mode & 0o111


def test_a_change_right_after_the_layout_is_noticed(place: Place) -> None:
    # The clock of file times is coarse: a change within its tick leaves the same times.
    digest = place.add({f"f{i}": b"a" for i in range(50)})
    for _ in range(20):
        work = place.lay_out(digest)
        for number in range(50):
            assert (work / f"f{number}").read_bytes() == b"a"
        fd = os.open(work / "f49", os.O_WRONLY)
        os.write(fd, b"b")
        os.close(fd)
        place.give_back(work)


def test_the_nearest_tree_is_patched(place: Place) -> None:
    old = place.add(
        FILES | {"gone/x": b"x", "turns/into": b"1", "flat": b"2"}, {"l": "a", "m": "b"}
    )
    first = place.lay_out(old)
    inode = (first / "d0" / "f0").stat().st_ino
    place.give_back(first)
    changed = FILES | {"top.py": b"changed", "new/y": b"y", "flat/now/deep": b"3", "turns": b"4"}
    work = place.lay_out(place.add(changed, {"l": "a", "m": "c"}, ("empty",), ("d1/f1",)))
    assert contents(work) == changed
    assert (work / "d0" / "f0").stat().st_ino == inode
    assert os.access(work / "d1" / "f1", os.X_OK)
    assert (work / "m").readlink() == Path("c")
    assert not (work / "gone").exists()
    assert (work / "empty").is_dir()
    assert not any(place.trees.iterdir())


def test_a_folder_that_became_a_link_is_not_given_back(place: Place) -> None:
    digest = place.add({"pkg/a.py": b"a", "pkg/b.py": b"b", "train.py": b""})
    work = place.lay_out(digest)
    (work / "pkg").rename(place.root / "elsewhere")
    (work / "pkg").symlink_to(place.root / "elsewhere")
    place.give_back(work)
    again = place.lay_out(digest)
    assert (again / "pkg/a.py").read_bytes() == b"a"
    assert not (again / "pkg").is_symlink()


def test_a_tree_with_little_in_common_is_left_alone(place: Place) -> None:
    place.give_back(place.lay_out(place.add(FILES)))
    work = place.lay_out(place.add({"other": b"other"}))
    assert contents(work) == {"other": b"other"}
    assert len(place.kept()) == 1


def test_few_trees_are_kept(place: Place) -> None:
    digest = place.add(FILES)
    for work in [place.lay_out(digest) for _ in range(4)]:
        assert place.give_back(work)
    assert place.kept() == [digest] * trees.KEPT_PER_SNAPSHOT
    others = [place.add({f"o{n}": b"%d" % n}) for n in range(10)]
    for work in [place.lay_out(other) for other in others]:
        assert place.give_back(work)
    assert place.kept() == sorted(others[-trees.KEPT :])
    assert list((place.root / "trash").iterdir()) == []


def test_takers_at_once_never_share(place: Place) -> None:
    digest = place.add(FILES)
    for work in [place.lay_out(digest) for _ in range(2)]:
        place.give_back(work)
    works: list[Path] = []
    faults: list[BaseException] = []
    numbers = iter(range(100))

    def take() -> None:
        try:
            folder = place.root / "t" / str(next(numbers))
            folder.mkdir(parents=True)
            work = folder / "work"
            trees.lay_out(
                place.store, digest, str(work), str(folder / "tree.json"), str(place.trees)
            )
            works.append(work)
        except BaseException as e:
            faults.append(e)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    inodes = {(work / "top.py").stat().st_ino for work in works}
    assert len(inodes) == 8
    assert all(contents(work) == FILES for work in works)


def test_a_tree_half_made_is_not_given_back(place: Place) -> None:
    digest = place.add(FILES)
    ticks = iter(range(5))

    def end() -> None:
        next(ticks)

    folder = place.root / "runs" / "cut"
    folder.mkdir(parents=True)
    with pytest.raises(StopIteration):
        trees.lay_out(
            place.store,
            digest,
            str(folder / "work"),
            str(folder / "tree.json"),
            str(place.trees),
            end,
        )
    assert not place.give_back(folder / "work")
    (folder / "tree.json").write_text("{")
    assert not place.give_back(folder / "work")
    # Nor one that was being patched when its process was killed.
    first = place.lay_out(digest)
    place.give_back(first)
    other = place.add(FILES | {"top.py": b"new", "more": b"m"})
    (place.root / "runs" / "cut2").mkdir()
    work = place.root / "runs" / "cut2" / "work"
    with pytest.raises(ZeroDivisionError):
        trees.lay_out(
            place.store,
            other,
            str(work),
            str(work.parent / "tree.json"),
            str(place.trees),
            lambda: 1 // 0,  # type: ignore[arg-type,return-value]
        )
    assert work.exists()
    assert not place.give_back(work)


def test_records_of_kept_trees_that_are_damaged_are_passed_over(place: Place) -> None:
    digest = place.add(FILES)
    place.give_back(place.lay_out(digest))
    (slot,) = place.trees.iterdir()
    (slot / "tree.json").write_text("{")
    other = place.add(FILES | {"top.py": b"new"})
    assert contents(place.lay_out(other)) == FILES | {"top.py": b"new"}


def test_a_snapshot_that_is_not_there_is_one_clear_error(place: Place) -> None:
    with pytest.raises(StoreError, match="is not in"):
        place.lay_out("0" * 64)


def test_remove_tree_follows_no_link_and_minds_no_mode(tmp_path: Path) -> None:
    safe = tmp_path / "safe"
    safe.mkdir()
    (safe / "x").write_text("x")
    tree = tmp_path / "tree"
    (tree / "locked").mkdir(parents=True)
    (tree / "locked" / "f").write_text("")
    (tree / "locked").chmod(0)
    (tree / "link").symlink_to(safe)
    trees.remove_tree(str(tree))
    assert not tree.exists()
    assert (safe / "x").exists()
    trees.remove_tree(str(tree))


def test_the_record_names_what_lstat_saw(place: Place) -> None:
    work = place.lay_out(place.add({"a": b"x"}))
    record = json.loads((work.parent / "tree.json").read_text())
    found = (work / "a").lstat()
    assert record["files"][0][4:] == [
        found.st_ino,
        1,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_mode,
    ]
