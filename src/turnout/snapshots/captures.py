"""Capturing a source folder: manifest, digest, and the bundle of what somebody lacks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from turnout.payload import bundles
from turnout.snapshots import contents, limits, memories
from turnout.snapshots.memories import Memory
from turnout.snapshots.rules import Rules, read_ignore_file
from turnout.snapshots.trees import Tree, walk

#: Small files read during the capture stay in memory up to this: sending need not read again.
KEPT_BYTES = 64 * 1024 * 1024
#: Frames are gathered to about this size: thousands of small writes would cost more.
GATHERED = 512 * 1024
#: A walk goes on past the limit to see what is big, but not for ever.
WALK_FACTOR = 10


class Capture:
    """A source folder as it was at one moment; what is not in memory is read again to be sent."""

    def __init__(self, root: str, memory: Memory, bodies: dict[bytes, bytes]) -> None:
        self.root = root
        self.memory = memory
        self.bodies = bodies
        #: For the person: what was skipped, and links that will lead nowhere elsewhere.
        self.notes: list[str] = []
        self.manifest = memory.manifest
        self.digest = bundles.manifest_digest(memory.manifest)
        self.file_count = len(memory.stamps)

    @cached_property
    def total_bytes(self) -> int:
        return sum(stamp[0] for stamp in self.memory.stamps.values())

    @cached_property
    def hashes(self) -> list[str]:
        """SHA-256 of every distinct file, in hex."""
        return list(self.places)

    @cached_property
    def places(self) -> dict[str, tuple[str, int]]:
        """By hash: a path that has this content, and its size."""
        text = self.memory.hashes.hex()
        return {
            text[i * 64 : i * 64 + 64]: (path, stamp[0])
            for i, (path, stamp) in enumerate(self.memory.stamps.items())
        }

    def __contains__(self, path: str) -> bool:
        return path in self.memory.stamps

    def bundle_size(self, missing: set[str] | None = None) -> int:
        """Bytes that `bundle` will yield, for progress."""
        blobs = [size for h, (_, size) in self.places.items() if missing is None or h in missing]
        frames = (bundles.BLOB_HEAD + bundles.HASH) * len(blobs) + bundles.MANIFEST_HEAD + 1
        return sum(blobs) + frames + len(self.manifest)

    def bundle(self, missing: set[str] | None = None) -> Iterator[bytes]:
        """The stream that carries the blobs in `missing` (None: all) and the manifest.

        Raises `SnapshotError` midway when a file is no longer what was captured; a stream that
        ends so has no end frame and counts for nothing."""
        gathered: list[bytes] = []
        size = 0
        for piece in self.frames(missing):
            gathered.append(piece)
            size += len(piece)
            if size >= GATHERED:
                yield b"".join(gathered)
                gathered.clear()
                size = 0
        yield b"".join(gathered)

    def frames(self, missing: set[str] | None) -> Iterator[bytes]:
        for name, (path, size) in self.places.items():
            if missing is not None and name not in missing:
                continue
            digest = bytes.fromhex(name)
            yield bundles.blob_head(size)
            body = self.bodies.get(digest)
            if body is None:
                yield from contents.stream(self.root, path, size, digest)
            else:
                yield body
            yield digest
        yield bundles.manifest_frame(self.manifest)
        yield bundles.END


def capture(
    folder: Path, home: Path, limit_bytes: int | None = None, limit_files: int | None = None
) -> Capture:
    """Capture `folder`; unchanged files are known from the memory under `home`.

    Limits default to `TURNOUT_SNAPSHOT_LIMIT_MB` and `TURNOUT_SNAPSHOT_LIMIT_FILES`, else 2 GiB
    and 100,000 files. Raises `SnapshotError` naming the file or folder that stands in the way.
    """
    root = os.path.realpath(folder)
    limit_bytes, limit_files = limits.resolve(limit_bytes, limit_files)
    read_at = time.time_ns()
    memory = memories.load(home, root)
    ignore_name, ignore_text = read_ignore_file(root)
    rules = make_rules(ignore_name, ignore_text, memory)
    avoid = frozenset({os.path.realpath(home)})
    tree = walk(root, rules, avoid, limit_files * WALK_FACTOR)
    limits.check(root, ignore_name, tree, limit_bytes, limit_files)
    if memory is not None and is_unchanged(tree, memory, ignore_text):
        made = Capture(root, memory, {})
    else:
        memory, bodies = read_changed(root, tree, memory, read_at, ignore_text)
        memories.save(home, root, memory)
        made = Capture(root, memory, bodies)
    made.notes = tree.notes + [
        f"The link '{path}' leads out of the source folder, to '{target}'; "
        "it may lead nowhere on another machine."
        for path, target in tree.links
        if leads_out(path, target)
    ]
    return made


def make_rules(name: str, text: bytes, memory: Memory | None) -> Rules:
    rules = Rules(name, text)
    if rules.patterns and memory is not None and memory.ignore_text == text:
        links = [path for path, _ in memory.links]
        rules.kept = {*memory.stamps, *memory.folders, *links}
        rules.left_out = frozenset(memory.left_out)
    return rules


def is_unchanged(tree: Tree, memory: Memory, ignore_text: bytes) -> bool:
    return (
        tree.files == memory.stamps
        and memory.settled
        and tree.links == memory.links
        and tree.empty == memory.empty
        and ignore_text == memory.ignore_text
        and (not ignore_text or sorted(tree.left_out) == memory.left_out)
    )


def read_changed(
    root: str, tree: Tree, memory: Memory | None, read_at: int, ignore_text: bytes
) -> tuple[Memory, dict[bytes, bytes]]:
    """Read what is new or not to be trusted; the rest comes from `memory`."""
    known = recall(memory)
    fresh = Memory(read_at, ignore_text, {}, tree.links, tree.empty, tree.folders)
    fresh.left_out = sorted(tree.left_out)
    bodies: dict[bytes, bytes] = {}
    room = KEPT_BYTES
    files: list[tuple[str, int, int, str]] = []
    hashes: list[bytes] = []
    for path, stamp in sorted(tree.files.items()):
        old = known.get(path)
        if old is not None and old[0] == stamp:
            _, executable, digest = old
        else:
            content = contents.read(root, path, stamp)
            if content is None:
                continue
            stamp, executable, digest = content.stamp, content.executable, content.digest
            if content.body is not None and (room := room - len(content.body)) >= 0:
                bodies[digest] = content.body
        fresh.stamps[path] = stamp
        hashes.append(digest)
        files.append((path, int(executable), stamp[0], digest.hex()))
    fresh.hashes = b"".join(hashes)
    fresh.executables = bytes(file[1] for file in files)
    fresh.manifest = bundles.canonical_bytes(
        {"files": files, "folders": tree.empty, "links": tree.links}
    )
    newest = max((max(s[1], s[2]) for s in fresh.stamps.values()), default=0)
    fresh.settled = fresh.is_settled((0, newest, newest, 0))
    return fresh, bodies


def recall(memory: Memory | None) -> dict[str, tuple[tuple[int, int, int, int], bool, bytes]]:
    """By path: stamp, executable bit and digest that need not be read again."""
    if memory is None:
        return {}
    return {
        path: (stamp, bool(memory.executables[i]), memory.hashes[i * 32 : i * 32 + 32])
        for i, (path, stamp) in enumerate(memory.stamps.items())
        if memory.is_settled(stamp)
    }


def leads_out(path: str, target: str) -> bool:
    folder = os.path.dirname(path)  # noqa: PTH120 - the walk deals in plain strings
    return os.path.isabs(target) or os.path.normpath(f"./{folder}/{target}").startswith("..")  # noqa: PTH117
