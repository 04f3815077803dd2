"""The content store and the bundles that feed it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.payload import bundles
from turnout.payload.bundles import StoreError
from turnout.payload.store import Store


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_bundle(files: dict[str, bytes], blobs: list[bytes] | None = None) -> tuple[bytes, str]:
    rows = [[p, 0, len(d), sha(d)] for p, d in sorted(files.items())]
    canonical = bundles.canonical_bytes({"files": rows, "links": [], "folders": []})
    frames = [bundles.blob_frame(d) for d in (files.values() if blobs is None else blobs)]
    data = b"".join(frames) + bundles.manifest_frame(canonical) + bundles.END
    return data, bundles.manifest_digest(canonical)


def take_in(store: Store, data: bytes, step: int = 1 << 20) -> str | None:
    ingest = store.ingest()
    for start in range(0, len(data), step):
        ingest.feed(data[start : start + step])
    return ingest.finish().digest


FILES = {"a": b"", "b/c": b"x" * 5000, "b/d": b"hello", "e": b"hello"}


def packs(store: Store) -> list[str]:
    return sorted(p.name for p in Path(store.packs).iterdir())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store")
    yield made
    made.close()


@pytest.mark.parametrize("step", [1, 2, 7, 41, 999, 1 << 20])
def test_a_bundle_in_parts_of_any_size(store: Store, step: int) -> None:
    data, digest = make_bundle(FILES)
    assert store.missing([sha(b"hello")]) == [sha(b"hello")]
    assert not store.has(digest)
    assert take_in(store, data, step) == digest
    assert store.has(digest)
    assert store.missing([sha(d) for d in FILES.values()]) == []
    for content in FILES.values():
        assert store.read(sha(content)) == content
        assert store.size_of(sha(content)) == len(content)
    assert [row[0] for row in store.manifest(digest)["files"]] == sorted(FILES)


@settings(max_examples=30, deadline=None)
@given(
    contents=st.lists(st.binary(max_size=300), max_size=8),
    cuts=st.randoms(use_true_random=False),
)
def test_any_contents_cut_anywhere_come_back(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], cuts: random.Random
) -> None:
    store = Store(tmp_path_factory.mktemp("any"))
    data, digest = make_bundle({f"f{i}": c for i, c in enumerate(contents)})
    ingest = store.ingest()
    while data:
        size = cuts.randint(1, 200)
        ingest.feed(data[:size])
        data = data[size:]
    assert ingest.finish().digest == digest
    other = Store(tmp_path_factory.mktemp("other"))
    assert take_in(other, b"".join(store.bundle(digest))) == digest
    for content in contents:
        assert other.read(sha(content)) == content
    store.close()
    other.close()


def test_ranges(store: Store) -> None:
    take_in(store, make_bundle(FILES)[0])
    name = sha(b"hello")
    assert store.read_range(name, 1, 3) == b"ell"
    assert store.read_range(name, 3, 100) == b"lo"
    assert store.read_range(name, 5, 100) == b""
    assert store.read_range(name, 9, 100) == b""
    assert store.read_range(name, -1, 100) == b""


def test_a_bundle_holds_only_what_is_asked_for(store: Store, tmp_path: Path) -> None:
    data, digest = make_bundle(FILES)
    take_in(store, data)
    other = Store(tmp_path / "other")
    take_in(other, bundles.blob_frame(b"hello") + bundles.END)
    lacking = set(other.missing([row[3] for row in store.manifest(digest)["files"]]))
    assert lacking == {sha(b""), sha(b"x" * 5000)}
    part = b"".join(store.bundle(digest, lacking))
    assert len(part) < len(b"".join(store.bundle(digest)))
    assert take_in(other, part) == digest
    assert other.read(sha(b"x" * 5000)) == b"x" * 5000


def test_large_content_is_handed_on_in_parts(store: Store) -> None:
    big = os.urandom(5_000_000)
    _, digest = make_bundle({"big": big})
    take_in(store, make_bundle({"big": big})[0], 300_001)
    parts = list(store.bundle(digest))
    assert max(map(len, parts)) <= 2 << 20
    assert big in b"".join(parts)


def test_a_cut_stream_leaves_nothing(store: Store) -> None:
    data, digest = make_bundle(FILES)
    for end in (0, 1, 10, len(data) // 2, len(data) - 1):
        ingest = store.ingest()
        ingest.feed(data[:end])
        with pytest.raises(StoreError, match="cut"):
            ingest.finish()
    ingest = store.ingest()
    ingest.feed(data)
    ingest.abort()
    ingest.abort()
    assert not store.has(digest)
    assert store.missing([sha(b"hello")]) == [sha(b"hello")]
    assert packs(store) == []


DATA, DIGEST = make_bundle(FILES)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (DATA.replace(b"hello", b"hallo"), "damaged"),
        (b"X" + DATA, "not a bundle"),
        (DATA + b"E", "behind its end"),
        (make_bundle(FILES, [b"hello"])[0], "lacks 2"),
        (DATA[:-1] + DATA[-1 - len(DATA) :], "two manifests"),
        (bundles.MANIFEST + struct.pack(">I", 1 << 31) + b"x", "too many files"),
        (bundles.manifest_frame(b"[1]") + b"E", "exactly the keys"),
        (bundles.manifest_frame(b"{") + b"E", "not JSON"),
        (bundles.manifest_frame(b'{"files": [], "links": [], "folders": []}') + b"E", "canonical"),
    ],
)
def test_damaged_bundles_are_refused_whole(store: Store, data: bytes, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        take_in(store, data)
    assert packs(store) == []
    assert take_in(store, DATA) == DIGEST


def test_a_manifest_with_a_wrong_size_is_refused(store: Store) -> None:
    rows: list[Any] = [["a", 0, 4, sha(b"hello")]]
    canonical = bundles.canonical_bytes({"files": rows, "links": [], "folders": []})
    data = bundles.blob_frame(b"hello") + bundles.manifest_frame(canonical) + bundles.END
    with pytest.raises(StoreError, match="'a' a wrong size"):
        take_in(store, data)


GOOD = "0" * 64


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ({"files": [["/etc/x", 0, 1, GOOD]]}, "inside its folder"),
        ({"files": [["../x", 0, 1, GOOD]]}, "inside its folder"),
        ({"files": [["a/../x", 0, 1, GOOD]]}, "inside its folder"),
        ({"files": [["./x", 0, 1, GOOD]]}, "inside its folder"),
        ({"files": [["a//x", 0, 1, GOOD]]}, "inside its folder"),
        ({"files": [["a/", 0, 1, GOOD]]}, "inside its folder"),
        ({"files": [["a\0b", 0, 1, GOOD]]}, "inside its folder"),
        ({"files": [["", 0, 1, GOOD]]}, "without a path"),
        ({"files": [[5, 0, 1, GOOD]]}, "without a path"),
        ({"files": [["\ud800", 0, 1, GOOD]]}, "cannot be a file's name"),
        ({"files": [["a", 0, -1, GOOD]]}, "impossible size"),
        ({"files": [["a", 0, 1.5, GOOD]]}, "impossible size"),
        ({"files": [["a", 0, True, GOOD]]}, "impossible size"),
        ({"files": [["a", 2, 1, GOOD]]}, "executable"),
        ({"files": [["a", 0, 1, "G" * 64]]}, "no SHA-256"),
        ({"files": [["a", 0, 1]]}, "is \\[path"),
        ({"files": [["a", 0, 1, GOOD], ["a", 0, 1, GOOD]]}, "'a' twice"),
        ({"files": [["b", 0, 1, GOOD], ["a", 0, 1, GOOD]]}, "not sorted"),
        ({"files": [["a", 0, 1, GOOD], ["a/b", 0, 1, GOOD]]}, "lies below 'a'"),
        ({"files": [["a/b/c", 0, 1, GOOD]], "links": [["a", "/etc"]]}, "through the link 'a'"),
        ({"links": [["a", "/etc"], ["a/b", "x"]]}, "through the link 'a'"),
        ({"links": [["a", ""]]}, "no usable target"),
        ({"links": [["a", "b\0"]]}, "no usable target"),
        ({"links": [["a", "x"]], "folders": ["a"]}, "'a' twice"),
        ({"folders": ["a", "a/b"]}, "lies below 'a'"),
        ({"folders": ["../a"]}, "inside its folder"),
        ({"folders": "a"}, "not a list"),
        ({"more": []}, "exactly the keys"),
    ],
)
def test_hostile_manifests_are_refused(manifest: dict[str, Any], words: str) -> None:
    with pytest.raises(StoreError, match=words):
        bundles.check_manifest({"files": [], "links": [], "folders": [], **manifest})


def test_odd_but_honest_manifests_are_taken() -> None:
    paths = sorted(["...", "a\nb", "ü", "\udcff", "a b/-x", "..a/b"])
    bundles.check_manifest(
        {
            "files": [[p, 1, 0, GOOD] for p in paths],
            "links": [["l", "../../outside"]],
            "folders": ["empty"],
        }
    )


def test_missing_names_each_once_and_refuses_nonsense(store: Store) -> None:
    assert store.missing([GOOD, GOOD]) == [GOOD]
    with pytest.raises(StoreError, match="hexadecimal"):
        store.missing(["zz"])
    for bad in ("", "../../etc/passwd", "a" * 63, GOOD + "\n"):
        with pytest.raises(StoreError, match="not a snapshot's digest"):
            store.has(bad)
    with pytest.raises(StoreError, match="is not in"):
        store.read(GOOD)
    with pytest.raises(StoreError, match="is not in"):
        store.manifest(GOOD)


def test_content_that_comes_twice_is_kept_once(store: Store) -> None:
    take_in(store, DATA)
    take_in(store, DATA)
    assert len(packs(store)) == 1


def test_files_are_added(store: Store, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"one")
    (tmp_path / "two").write_bytes(b"two" * 1000_000)
    paths = [tmp_path / "one", tmp_path / "two", tmp_path / "one"]
    added = store.add_files(paths)
    assert added == [(sha(p.read_bytes()), p.stat().st_size) for p in paths]
    assert store.read(added[1][0]) == b"two" * 1000_000
    assert store.add_file(tmp_path / "one") == added[0]
    assert len(packs(store)) == 1
    with pytest.raises(StoreError, match="none"):
        store.add_file(tmp_path / "none")
    assert len(packs(store)) == 1


def test_a_lost_pack_is_missing_and_can_be_sent_again(store: Store) -> None:
    take_in(store, DATA)
    (name,) = packs(store)
    os.truncate(Path(store.packs) / name, 20)
    assert set(store.missing([sha(b"hello")])) == {sha(b"hello")}
    other = Store(store.root)
    take_in(other, DATA)
    assert other.read(sha(b"hello")) == b"hello"


def test_a_pack_whose_writer_was_killed_is_removed_a_living_one_stays(store: Store) -> None:
    store.missing([])
    dead = Path(store.packs) / "dead.pack"
    dead.write_bytes(b"x")
    living = store.ingest()
    assert not dead.exists()
    living.feed(DATA[:50])
    take_in(Store(store.root), bundles.blob_frame(b"other") + bundles.END)
    living.feed(DATA[50:])
    assert living.finish().digest == DIGEST
    assert store.read(sha(b"hello")) == b"hello"


def test_a_damaged_manifest_is_not_believed(store: Store) -> None:
    take_in(store, DATA)
    place = Path(store.manifest_path(DIGEST))
    place.write_text(json.dumps({"files": [], "links": [], "folders": []}))
    with pytest.raises(StoreError, match="damaged"):
        store.manifest(DIGEST)


def test_an_index_that_is_no_database_is_one_clear_error(store: Store) -> None:
    Path(store.root).mkdir()
    (Path(store.root) / "index.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match="index"):
        store.missing([GOOD])


def test_threads_share_one_store(store: Store) -> None:
    faults: list[BaseException] = []

    def work(which: int) -> None:
        try:
            for number in range(10):
                data, digest = make_bundle({"f": b"%d-%d" % (which, number)})
                take_in(store, data)
                assert b"".join(store.bundle(digest))
        except BaseException as e:
            faults.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(store.known_packs()) == 40


WRITER = """
import sys
from turnout.payload import bundles
from turnout.payload.store import Store
store = Store(sys.argv[1])
for number in range(10):
    ingest = store.ingest()
    for text in ("same", "%s-%d" % (sys.argv[2], number)):
        ingest.feed(bundles.blob_frame(text.encode()))
    ingest.feed(bundles.END)
    ingest.finish()
store.close()
"""


def test_processes_share_one_store(store: Store) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, store.root, str(n)]) for n in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert store.missing([sha(b"%d-%d" % (w, n)) for w in range(3) for n in range(10)]) == []
    assert len(packs(store)) == 30
