"""The content store: blobs in append-only packs, an index in SQLite, manifests as files.

A pack is a bundle as it came, so that storing thousands of small files is one sequential write.
Several processes may use one store. What is not in the index does not exist: a pack that was
cut is removed by the next who writes.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import sqlite3
import time
from _thread import allocate_lock

from turnout.payload import bundles, rundir
from turnout.payload.bundles import StoreError
from turnout.payload.ingest import Ingest, Ingested

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ["Ingest", "Ingested", "Store", "StoreError"]

CHUNK = 1 << 20
#: Hashes in one query: below SQLite's oldest limit of 999 variables.
BATCH = 500
#: Open packs kept at a time.
OPEN_PACKS = 32
BUSY_S = 30.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS packs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, size INTEGER
);
CREATE TABLE IF NOT EXISTS blobs (
    sha BLOB PRIMARY KEY, pack INTEGER, offset INTEGER, size INTEGER
) WITHOUT ROWID;
"""


class Store:
    """A content store at `root`, made when it is not there. Safe for threads and after a fork.

    Example: `Store("/srv/store").read(sha)`. Every method raises `StoreError`.
    """

    #: The process that opened the index; 0 before.
    pid = 0

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root: str = os.path.abspath(os.fspath(root))
        self.packs = os.path.join(self.root, "packs")
        self.manifests = os.path.join(self.root, "manifests")
        self.lock = allocate_lock()
        self.connection: sqlite3.Connection | None = None
        self.inherited: list[sqlite3.Connection | None] = []
        self.fds: dict[int, int] = {}
        self.names: dict[int, str] = {}

    # -- what there is -------------------------------------------------------------------------

    def has(self, digest: str) -> bool:
        """Whether the snapshot is here, with all its files."""
        return os.path.exists(self.manifest_path(digest))

    def manifest(self, digest: str) -> dict[str, Any]:
        """The manifest of a snapshot."""
        try:
            with open(self.manifest_path(digest), "rb") as file:
                data = file.read()
        except FileNotFoundError:
            raise StoreError("The snapshot %s is not in %s." % (digest[:12], self.root)) from None
        except OSError as e:
            raise failure(e, self.manifest_path(digest)) from e
        if bundles.manifest_digest(data) != digest:
            raise StoreError("The snapshot %s in %s is damaged." % (digest[:12], self.root))
        return json.loads(data)

    def manifest_path(self, digest: str) -> str:
        if not rundir.DIGEST.fullmatch(digest):
            raise StoreError("%r is not a snapshot's digest." % (digest,))
        return os.path.join(self.manifests, digest + ".json")

    def missing(self, hashes: Iterable[str]) -> list[str]:
        """Those of `hashes` that the store lacks, each once, in the order asked."""
        asked = list(dict.fromkeys(hashes))
        found = self.locate(asked)
        gone = self.gone_packs(found)
        return [sha for sha in asked if sha not in found or found[sha][0] in gone]

    def locate(self, hashes: Sequence[str]) -> dict[str, tuple[int, int, int]]:
        """(pack, offset, size) of those that the index knows."""
        try:
            raw = [bytes.fromhex(sha) for sha in hashes]
        except (ValueError, TypeError):
            raise StoreError("A hash asked for is not hexadecimal.") from None

        def look(db: sqlite3.Connection) -> dict[str, tuple[int, int, int]]:
            found: dict[str, tuple[int, int, int]] = {}
            for start in range(0, len(raw), BATCH):
                part = raw[start : start + BATCH]
                marks = ",".join("?" * len(part))
                query = "SELECT sha, pack, offset, size FROM blobs WHERE sha IN (%s)" % marks  # noqa: S608
                for sha, pack, offset, size in db.execute(query, part):
                    found[sha.hex()] = (pack, offset, size)
            return found

        return self.with_index(look)

    def gone_packs(self, places: dict[str, tuple[int, int, int]]) -> set[int]:
        """Packs that were lost or cut behind our back (a crash of the machine): not usable."""
        gone: set[int] = set()
        ends: dict[int, int] = {}
        for pack, offset, size in places.values():
            ends[pack] = max(ends.get(pack, 0), offset + size)
        for pack, end in ends.items():
            try:
                if os.stat(self.pack_path(pack)).st_size < end:
                    gone.add(pack)
            except OSError:
                gone.add(pack)
        return gone

    # -- reading -------------------------------------------------------------------------------

    def size_of(self, sha: str) -> int:
        """Size in bytes of a blob."""
        return self.place(sha)[2]

    def place(self, sha: str) -> tuple[int, int, int]:
        found = self.locate([sha])
        if sha not in found:
            raise StoreError("The content %s is not in %s." % (sha[:12], self.root))
        return found[sha]

    def read(self, sha: str) -> bytes:
        """A whole blob."""
        pack, offset, size = self.place(sha)
        return b"".join(self.parts(pack, offset, size))

    def read_range(self, sha: str, offset: int, limit: int) -> bytes:
        """At most `limit` bytes of a blob from `offset`; b"" at its end."""
        pack, start, size = self.place(sha)
        limit = max(0, min(limit, size - offset))
        return b"".join(self.parts(pack, start + offset, limit)) if offset >= 0 else b""

    def parts(self, pack: int, offset: int, size: int) -> Iterator[bytes]:
        """`size` bytes of a pack in pieces of at most `CHUNK`."""
        end = offset + size
        while offset < end:
            with self.lock:
                fd = self.open_pack(pack)
                data = os.pread(fd, min(CHUNK, end - offset), offset)
            if not data:
                raise StoreError("The store %s is damaged: %s was cut." % (self.root, pack))
            offset += len(data)
            yield data

    def open_pack(self, pack: int) -> int:
        fd = self.fds.get(pack)
        if fd is None:
            while len(self.fds) >= OPEN_PACKS:
                os.close(self.fds.pop(next(iter(self.fds))))
            path = self.pack_path(pack, locked=True)
            try:
                fd = self.fds[pack] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as e:
                raise failure(e, path) from e
        return fd

    def pack_path(self, pack: int, locked: bool = False) -> str:
        name = self.names.get(pack)
        if name is None:

            def look(db: sqlite3.Connection) -> str:
                row = db.execute("SELECT name FROM packs WHERE id = ?", (pack,)).fetchone()
                return row[0] if row else "unknown"

            name = self.names[pack] = self.use_index(look) if locked else self.with_index(look)
        return os.path.join(self.packs, name)

    def bundle(self, digest: str, only: set[str] | None = None) -> Iterator[bytes]:
        """The snapshot as a bundle, in parts of about 1 MiB: its blobs (or `only` those of them),
        then its manifest."""
        manifest = self.manifest(digest)
        wanted = list(dict.fromkeys(row[3] for row in manifest["files"]))
        if only is not None:
            wanted = [sha for sha in wanted if sha in only]
        places = self.locate(wanted)
        held: list[bytes] = []
        weight = 0
        # In the order of the packs: reading stays sequential.
        for sha in sorted(wanted, key=lambda s: places.get(s, (0, 0, 0))):
            if sha not in places:
                raise StoreError("The content %s is not in %s." % (sha[:12], self.root))
            pack, offset, size = places[sha]
            held.append(bundles.blob_head(size))
            for part in self.parts(pack, offset, size):
                held.append(part)
                weight += len(part)
                if weight >= CHUNK:
                    yield b"".join(held)
                    held, weight = [], 0
            held.append(bytes.fromhex(sha))
        held.append(bundles.manifest_frame(bundles.canonical_bytes(manifest)) + bundles.END)
        yield b"".join(held)

    # -- writing -------------------------------------------------------------------------------

    def ingest(self) -> Ingest:
        """Begin to take in a bundle."""
        return Ingest(self)

    def add_file(self, path: str | os.PathLike[str]) -> tuple[str, int]:
        """Copy a file into the store; its (sha256, size)."""
        return self.add_files([path])[0]

    def add_files(self, paths: Sequence[str | os.PathLike[str]]) -> list[tuple[str, int]]:
        """Copy files into the store as one pack; their (sha256, size), in order."""
        added: list[tuple[str, int]] = []
        blobs: dict[bytes, tuple[int, int]] = {}
        fd, name = self.new_pack()
        try:
            at = 0
            for path in paths:
                sha, size = self.copy_in(path, fd)
                blobs.setdefault(sha, (at, size))
                added.append((sha.hex(), size))
                at += size
            self.publish(name, blobs, at)
        except BaseException as e:
            rundir.remove_quietly(os.path.join(self.packs, name))
            if isinstance(e, OSError):
                raise failure(e, self.packs) from e
            raise
        finally:
            os.close(fd)
        return added

    def copy_in(self, path: str | os.PathLike[str], out: int) -> tuple[bytes, int]:
        try:
            source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise failure(e, os.fspath(path)) from e
        try:
            found = hashlib.sha256()
            size = 0
            while True:
                data = os.read(source, CHUNK)
                if not data:
                    return found.digest(), size
                found.update(data)
                size += len(data)
                rundir.write_all(out, data)
        finally:
            os.close(source)

    def new_pack(self) -> tuple[int, str]:
        """A new pack, open and locked for as long as it is open."""
        self.clean()
        while True:
            name = "%x-%x.pack" % (time.time_ns(), os.getpid())
            path = os.path.join(self.packs, name)
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            except OSError as e:
                raise failure(e, path) from e
            fcntl.flock(fd, fcntl.LOCK_EX)
            # Another's `clean` may have come between the two calls.
            if os.fstat(fd).st_nlink:
                return fd, name
            os.close(fd)

    def publish(self, name: str, blobs: dict[bytes, tuple[int, int]], size: int) -> None:
        """Make the blobs of a pack known, all at once; those known already stay where they are."""
        path = os.path.join(self.packs, name)
        known = self.locate([sha.hex() for sha in blobs])
        gone = self.gone_packs(known)

        def write(db: sqlite3.Connection) -> int:
            with db:
                db.execute("BEGIN IMMEDIATE")
                for pack in gone:
                    db.execute("DELETE FROM blobs WHERE pack = ?", (pack,))
                    db.execute("DELETE FROM packs WHERE id = ?", (pack,))
                cursor = db.execute("INSERT INTO packs (name, size) VALUES (?, ?)", (name, size))
                pack = cursor.lastrowid
                rows = ((sha, pack, *place) for sha, place in blobs.items())
                added = db.executemany("INSERT OR IGNORE INTO blobs VALUES (?, ?, ?, ?)", rows)
                if added.rowcount > 0:
                    return added.rowcount
                db.execute("DELETE FROM packs WHERE id = ?", (pack,))
                return 0

        if not blobs or not self.with_index(write):
            rundir.remove_quietly(path)

    def clean(self) -> None:
        """Remove packs that nobody writes and nobody may read: their writer was killed."""
        self.with_index(lambda db: None)
        try:
            present = set(os.listdir(self.packs))
        except OSError as e:
            raise failure(e, self.packs) from e
        for name in present - self.known_packs():
            path = os.path.join(self.packs, name)
            try:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Asked again under the lock: its writer may have published and gone meanwhile.
                if name not in self.known_packs():
                    os.unlink(path)
            except OSError:
                continue
            finally:
                os.close(fd)

    def known_packs(self) -> set[str]:
        return self.with_index(lambda db: {row[0] for row in db.execute("SELECT name FROM packs")})

    # -- the index -----------------------------------------------------------------------------

    def with_index(self, use: Callable[[sqlite3.Connection], T]) -> T:
        with self.lock:
            return self.use_index(use)

    def use_index(self, use: Callable[[sqlite3.Connection], T]) -> T:
        path = os.path.join(self.root, "index.sqlite")
        try:
            if self.connection is None or self.pid != os.getpid():
                # A connection must not cross a fork, and must not be closed there either.
                self.inherited.append(self.connection)
                self.fds = {}
                self.connection = self.open_index(path)
                self.pid = os.getpid()
            return use(self.connection)
        except sqlite3.Error as e:
            if "full" in str(e):
                raise failure(OSError(errno.ENOSPC, ""), path) from e
            raise StoreError("The store's index %s: %s." % (path, e)) from e

    def open_index(self, path: str) -> sqlite3.Connection:
        try:
            for folder in (self.packs, self.manifests):
                rundir.make_folder(folder)
        except OSError as e:
            raise failure(e, self.root) from e
        db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            if not db.execute("PRAGMA user_version").fetchone()[0]:
                db.executescript("BEGIN IMMEDIATE;" + SCHEMA + "PRAGMA user_version=1; COMMIT;")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def failure(self, error: OSError) -> StoreError:
        return failure(error, self.packs)

    def close(self) -> None:
        """Let the index and the packs go; the store opens again when it is used."""
        with self.lock:
            if self.connection is not None and self.pid == os.getpid():
                self.connection.close()
                for fd in self.fds.values():
                    os.close(fd)
            self.connection = None
            self.fds = {}

    def __del__(self) -> None:
        if self.pid == os.getpid():
            self.close()


def failure(error: OSError, path: str) -> StoreError:
    """The error for a person: a full disk is named as such, with the path."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError("The disk is full: %s cannot be written. Free some space." % path)
    return StoreError("%s: %s." % (path, error.strerror or error))
