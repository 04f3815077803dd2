"""Reading files whole and unchanged: a file that is written meanwhile is noticed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat as modes
from collections.abc import Iterator
from typing import NamedTuple

from turnout.snapshots.rules import escape
from turnout.snapshots.trees import Stamp, stamp_of
from turnout.spec.errors import SnapshotError

#: Larger files are read in pieces and never kept.
SMALL = 8 * 1024 * 1024
PIECE = 1024 * 1024
TRIES = 3
#: NONBLOCK: a pipe that took the file's place must not hang us.
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Content(NamedTuple):
    """One file as it was at one moment."""

    stamp: Stamp
    executable: bool
    digest: bytes
    #: The bytes, for small files.
    body: bytes | None


class ChangedWhileRead(Exception):
    """The file's stamp moved, or it became something else."""


def read(root: str, path: str, expected: Stamp) -> Content | None:
    """The content of `root/path`, or None if it is gone. `expected` is the stamp that the walk
    saw: a file that has it after the read did not change in between."""
    if expected[0] <= SMALL:
        try:
            descriptor = os.open(f"{root}/{path}", FLAGS)
            try:
                body = os.read(descriptor, expected[0] + 1)
                after = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            if len(body) == expected[0] and stamp_of(after) == expected:
                executable = bool(after.st_mode & modes.S_IXUSR)
                return Content(expected, executable, hashlib.sha256(body).digest(), body)
        except OSError:
            pass  # told apart below
    for _ in range(TRIES):
        try:
            return read_once(f"{root}/{path}")
        except ChangedWhileRead:
            continue
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(root, path, error) from error
    raise changed(root, path)


def read_once(full: str) -> Content:
    descriptor = open_file(full)
    try:
        before = os.fstat(descriptor)
        if not modes.S_ISREG(before.st_mode):
            raise ChangedWhileRead
        size = before.st_size
        if size <= SMALL:
            body = os.read(descriptor, size + 1)
            while len(body) < size and (more := os.read(descriptor, size + 1 - len(body))):
                body += more
            length, digest = len(body), hashlib.sha256(body).digest()
        else:
            body, length, hasher = None, 0, hashlib.sha256()
            while piece := os.read(descriptor, PIECE):
                hasher.update(piece)
                length += len(piece)
            digest = hasher.digest()
        stamp = stamp_of(before)
        if length != size or stamp_of(os.fstat(descriptor)) != stamp:
            raise ChangedWhileRead
    finally:
        os.close(descriptor)
    return Content(stamp, bool(before.st_mode & modes.S_IXUSR), digest, body)


def open_file(full: str) -> int:
    try:
        return os.open(full, FLAGS)
    except OSError as error:
        # A link or a socket in its place.
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise ChangedWhileRead from error
        raise


def stream(root: str, path: str, size: int, digest: bytes) -> Iterator[bytes]:
    """The bytes of a file captured before; `SnapshotError` if they are not the same any more."""
    hasher = hashlib.sha256()
    left = size
    try:
        descriptor = open_file(f"{root}/{path}")
        try:
            while piece := os.read(descriptor, min(PIECE, left) or 1):
                left -= len(piece)
                if left < 0:
                    break
                hasher.update(piece)
                yield piece
        finally:
            os.close(descriptor)
    except (ChangedWhileRead, FileNotFoundError):
        raise changed(root, path) from None
    except OSError as error:
        raise unreadable(root, path, error) from error
    if left or hasher.digest() != digest:
        raise changed(root, path)


def unreadable(root: str, path: str, error: OSError) -> SnapshotError:
    return SnapshotError(
        f"Cannot read '{root}/{path}': {error.strerror}. Make it readable, or leave it out with "
        f"the line '{escape(path)}' in the ignore file (.amlignore)."
    )


def changed(root: str, path: str) -> SnapshotError:
    return SnapshotError(
        f"'{root}/{path}' changed while it was being read. Submit again when nothing writes to "
        f"it, or leave it out with the line '{escape(path)}' in the ignore file (.amlignore)."
    )
