"""Taking in a bundle: parsed as it arrives, verified, and visible all at once at its end."""

from __future__ import annotations

import hashlib
import os
import struct

from turnout.payload import bundles, rundir
from turnout.payload.bundles import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from turnout.payload.store import Store


class Ingested:
    """What came: `digest` of the snapshot (None: blobs only), number of `files`, `bytes`."""

    def __init__(self, digest: str | None, files: int, size: int) -> None:
        self.digest = digest
        self.files = files
        self.bytes = size


class Ingest:
    """A bundle on its way into a store. A stream that ends early leaves nothing behind."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.fd, self.name = store.new_pack()
        #: Where the next byte fed stands in the pack.
        self.position = 0
        #: The beginning of a frame that is not complete yet.
        self.rest = b""
        self.blobs: dict[bytes, tuple[int, int]] = {}
        self.canonical: bytes | None = None
        self.ended = False
        # The blob under way: its offset, its size, bytes still to come, its hash so far.
        self.offset = 0
        self.size = 0
        self.left = 0
        self.hash: Any = None

    def feed(self, data: bytes) -> None:
        """Take the next part, of any size. Raises StoreError, after which nothing is kept."""
        try:
            rundir.write_all(self.fd, data)
            if self.rest:
                # Only frame heads, hashes and manifests wait here: the copy is small.
                data = self.rest + data
                self.position -= len(self.rest)
                self.rest = b""
            self.parse(data)
        except OSError as e:
            self.abort()
            raise self.store.failure(e) from e
        except BaseException:
            self.abort()
            raise

    def parse(self, data: bytes) -> None:
        view = memoryview(data)
        size = len(data)
        at = 0
        while at < size:
            used = self.take_part(view, at) if self.hash is not None else self.take(view, at)
            if not used:
                break
            at += used
        self.rest = data[at:]
        self.position += size

    def take(self, view: memoryview, at: int) -> int:
        """One frame from `at`; how many bytes were used, 0 when more must come first."""
        if self.ended:
            raise StoreError("The bundle goes on behind its end.")
        kind = bytes(view[at : at + 1])
        if kind == bundles.BLOB:
            return self.take_blob(view, at)
        if kind == bundles.MANIFEST:
            return self.take_manifest(view, at)
        if kind == bundles.END:
            self.ended = True
            return 1
        raise StoreError("This is not a bundle, or it was damaged on the way.")

    def take_blob(self, view: memoryview, at: int) -> int:
        start = at + bundles.BLOB_HEAD
        if start > len(view):
            return 0
        (size,) = struct.unpack_from(">Q", view, at + 1)
        end = start + size
        if end + bundles.HASH <= len(view):
            sha = hashlib.sha256(view[start:end]).digest()
            if bytes(view[end : end + bundles.HASH]) != sha:
                raise StoreError("A file of the bundle was damaged on the way. Send it again.")
            if sha not in self.blobs:
                self.blobs[sha] = (self.position + start, size)
            return end + bundles.HASH - at
        self.offset = self.position + start
        self.size = self.left = size
        self.hash = hashlib.sha256()
        return bundles.BLOB_HEAD

    def take_part(self, view: memoryview, at: int) -> int:
        """More of the blob under way, or the hash behind it."""
        if self.left:
            part = view[at : at + self.left]
            self.hash.update(part)
            self.left -= len(part)
            return len(part)
        if at + bundles.HASH > len(view):
            return 0
        sha = self.hash.digest()
        if bytes(view[at : at + bundles.HASH]) != sha:
            raise StoreError("A file of the bundle was damaged on the way. Send it again.")
        self.blobs.setdefault(sha, (self.offset, self.size))
        self.hash = None
        return bundles.HASH

    def take_manifest(self, view: memoryview, at: int) -> int:
        start = at + bundles.MANIFEST_HEAD
        if start > len(view):
            return 0
        (size,) = struct.unpack_from(">I", view, at + 1)
        if size > bundles.MANIFEST_LIMIT:
            raise StoreError("The snapshot names too many files. Ignore some (.amlignore).")
        if start + size > len(view):
            return 0
        if self.canonical is not None:
            raise StoreError("The bundle has two manifests.")
        self.canonical = bytes(view[start : start + size])
        return bundles.MANIFEST_HEAD + size

    def finish(self) -> Ingested:
        """Make it visible. Raises StoreError when it was cut or a file is missing."""
        try:
            if not self.ended:
                raise StoreError("The bundle was cut before its end. Send it again.")
            digest, files, size = self.check()
            self.store.publish(self.name, self.blobs, self.position)
            if digest is not None and self.canonical is not None:
                rundir.write_file(self.store.manifest_path(digest), self.canonical)
        except OSError as e:
            self.abort()
            raise self.store.failure(e) from e
        except BaseException:
            self.abort()
            raise
        self.close()
        return Ingested(digest, files, size)

    def check(self) -> tuple[str | None, int, int]:
        if self.canonical is None:
            return None, len(self.blobs), sum(place[1] for place in self.blobs.values())
        files = bundles.parse_manifest(self.canonical)["files"]
        sizes = {sha.hex(): place[1] for sha, place in self.blobs.items()}
        others = list({row[3] for row in files} - set(sizes))
        if others:
            missing = self.store.missing(others)
            if missing:
                raise StoreError("The bundle lacks %d of its files." % len(missing))
            sizes.update((sha, place[2]) for sha, place in self.store.locate(others).items())
        for path, _, size, sha in files:
            if sizes[sha] != size:
                raise StoreError("The manifest gives %r a wrong size." % (path,))
        digest = bundles.manifest_digest(self.canonical)
        return digest, len(files), sum(row[2] for row in files)

    def abort(self) -> None:
        """Drop what came. May be called at any time, also after the end."""
        if self.fd >= 0:
            rundir.remove_quietly(os.path.join(self.store.packs, self.name))
            self.close()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
