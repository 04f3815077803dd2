"""What the last capture of a folder found, so that the next one need not read unchanged files.

One file per source folder under `home/cache/snapshots`. It is only ever a shortcut: missing,
damaged or from another version, it is ignored; it is replaced by rename.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from turnout.snapshots.trees import Stamp

#: Bumped with every change of this format or of the built-in rules.
MAGIC = b"turnout-memory-1\n"
#: After the magic and the SHA-256 of all that follows: read_at, settled, sizes of the parts.
HEADER = struct.Struct("<Q?IIIIIII")
STAMP = struct.Struct("<QqqQ")
SECOND_NS = 1_000_000_000
#: So many folders are remembered; those not captured for longest are dropped first.
MOST_FOLDERS = 200


@dataclass
class Memory:
    """The finished capture and the stamps it rests on."""

    #: When that capture began to read, in nanoseconds since the epoch.
    read_at: int
    ignore_text: bytes
    stamps: dict[str, Stamp]
    links: list[tuple[str, str]]
    empty: list[str]
    folders: list[str]
    left_out: list[str] = field(default_factory=list[str])
    #: Of every file, in the order of `stamps`.
    hashes: bytes = b""
    executables: bytes = b""
    manifest: bytes = b""
    #: Every stamp `is_settled`.
    settled: bool = False

    def is_settled(self, stamp: Stamp) -> bool:
        """Whether an equal stamp proves equal content.

        A file written within the second in which it was read may have been written once more
        without a change of its stamp (some file systems keep whole seconds), so it is not trusted.
        """
        return max(stamp[1], stamp[2]) // SECOND_NS < self.read_at // SECOND_NS


def file_of(home: Path, root: str) -> Path:
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:32]
    return home / "cache" / "snapshots" / name


def pack_names(names: Iterable[str]) -> bytes:
    return "\0".join(names).encode("utf-8", "surrogateescape")


def unpack_names(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogateescape").split("\0") if data else []


def load(home: Path, root: str) -> Memory | None:
    try:
        data = file_of(home, root).read_bytes()
    except OSError:
        return None
    start = len(MAGIC) + 32
    if not data.startswith(MAGIC) or len(data) < start + HEADER.size:
        return None
    if hashlib.sha256(memoryview(data)[start:]).digest() != data[len(MAGIC) : start]:
        return None
    read_at, settled, *sizes = HEADER.unpack_from(data, start)
    parts: list[bytes] = []
    at = start + HEADER.size
    for size in sizes:
        parts.append(data[at : at + size])
        at += size
    ignore_text, paths, links, empty, folders, left_out, manifest = parts
    names = unpack_names(paths)
    count = len(names)
    hashes_at = at + count * STAMP.size
    executables_at = hashes_at + count * 32
    flat = unpack_names(links)
    return Memory(
        read_at=read_at,
        ignore_text=ignore_text,
        stamps=dict(zip(names, STAMP.iter_unpack(data[at:hashes_at]), strict=True)),  # pyright: ignore[reportArgumentType]
        links=list(zip(flat[::2], flat[1::2], strict=True)),
        empty=unpack_names(empty),
        folders=unpack_names(folders),
        left_out=unpack_names(left_out),
        hashes=data[hashes_at:executables_at],
        executables=data[executables_at:],
        manifest=manifest,
        settled=settled,
    )


def save(home: Path, root: str, memory: Memory) -> None:
    """Write the memory; a home that cannot be written to costs only the shortcut."""
    parts = [
        memory.ignore_text,
        pack_names(memory.stamps),
        pack_names(text for link in memory.links for text in link),
        pack_names(memory.empty),
        pack_names(memory.folders),
        pack_names(memory.left_out),
        memory.manifest,
    ]
    header = HEADER.pack(memory.read_at, memory.settled, *(len(part) for part in parts))
    stamps = b"".join([STAMP.pack(*stamp) for stamp in memory.stamps.values()])
    body = b"".join([header, *parts, stamps, memory.hashes, memory.executables])
    path = file_of(home, root)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_bytes(MAGIC + hashlib.sha256(body).digest() + body)
        temporary.chmod(0o600)
        temporary.replace(path)
        prune(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()


def prune(folder: Path) -> None:
    with os.scandir(folder) as found:
        entries = [(entry.stat().st_mtime_ns, entry.path) for entry in found]
    for _, path in sorted(entries)[:-MOST_FOLDERS]:
        Path(path).unlink(missing_ok=True)
