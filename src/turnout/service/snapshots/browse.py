"""Looks into snapshots: which files, what is in one, what differs between two.

Plain functions that read the content store; the caller gives them a thread.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from turnout.payload.store import Store, StoreError
from turnout.spec.errors import NotFoundError

#: A file beyond this size (bytes) or length (lines) is not compared line by line.
COMPARED_BYTES, COMPARED_LINES = 1 << 20, 20_000
#: Lines of one file's difference that are given.
DIFF_LINES = 5_000
#: What is looked at to tell a text from what is none.
HEAD = 8 << 10
View = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One file of a snapshot, or a link: then `link` is where it leads."""

    name: str
    size: int
    executable: bool
    sha256: str
    link: str = ""

    def view(self) -> View:
        found: View = {"name": self.name, "size": self.size, "executable": self.executable}
        return {**found, "link": self.link} if self.link else found


def entries(store: Store, digest: str) -> dict[str, Entry]:
    """Files and links of a snapshot by their paths in it, sorted. Raises `NotFoundError`."""
    try:
        manifest = store.manifest(digest)
    except StoreError:
        raise NotFoundError(f"The service has no snapshot {digest[:64]}.") from None
    found = {
        path: Entry(path, size, bool(executable), sha)
        for path, executable, size, sha in manifest["files"]
    }
    found |= {path: Entry(path, 0, False, "", target) for path, target in manifest["links"]}
    return dict(sorted(found.items()))


def tree(store: Store, digest: str) -> View:
    """`{"files": [{"name", "size", "executable"}], "bytes"}`; a link also has "link"."""
    found = entries(store, digest)
    total = sum(entry.size for entry in found.values())
    return {"files": [entry.view() for entry in found.values()], "bytes": total}


def find(store: Store, digest: str, name: str) -> Entry:
    """A file of a snapshot. Raises `NotFoundError`, also for a link."""
    entry = entries(store, digest).get(name)
    if entry is None or entry.link:
        raise NotFoundError(f"The snapshot {digest[:12]} has no file '{name}'.")
    return entry


def parts(store: Store, entry: Entry) -> Iterator[bytes]:
    """A file's content, piece by piece. Raises `NotFoundError` where the store lost it."""
    try:
        pack, offset, size = store.place(entry.sha256)
        yield from store.parts(pack, offset, size)
    except StoreError as e:
        raise NotFoundError(str(e)) from None


def content(store: Store, entry: Entry, limit: int) -> bytes:
    """The first `limit` bytes of a file."""
    try:
        return store.read_range(entry.sha256, 0, limit)
    except StoreError as e:
        raise NotFoundError(str(e)) from None


def compare(store: Store, before: str, after: str) -> View:
    """What must be done to `before` to have `after`: `{"added", "removed", "changed", "same"}`.

    Lists of `{"name", "size", "executable"}`; those changed also have "size_before"; "same" is a
    number.
    """
    old, new = entries(store, before), entries(store, after)
    both = [name for name in new if name in old]
    changed = [name for name in both if old[name] != new[name]]
    return {
        "added": [new[name].view() for name in new if name not in old],
        "removed": [old[name].view() for name in old if name not in new],
        "changed": [{**new[name].view(), "size_before": old[name].size} for name in changed],
        "same": len(both) - len(changed),
    }


def compare_file(store: Store, before: str, after: str, name: str) -> View:
    """One file in two snapshots: `{"name", "change", "lines", "note"}`.

    `change` is "added", "removed", "changed" or "same"; `lines` is a unified diff without its
    head; `note` says why there is none, or that it was cut, else "".
    """
    old, new = entries(store, before).get(name), entries(store, after).get(name)
    if old is None and new is None:
        raise NotFoundError(f"Neither snapshot has a file '{name}'.")
    change = (
        "added" if old is None else "removed" if new is None
        else "same" if old == new else "changed"
    )  # fmt: skip
    lines, note = ([], "") if change == "same" else lines_of(store, old, new)
    return {"name": name, "change": change, "lines": lines, "note": note}


def lines_of(store: Store, old: Entry | None, new: Entry | None) -> tuple[list[str], str]:
    there = [entry for entry in (old, new) if entry is not None]
    if any(entry.link for entry in there):
        return link_lines(old, new), "A link."
    if any(b"\0" in content(store, entry, HEAD) for entry in there):
        return [], "This is no text."
    if any(entry.size > COMPARED_BYTES for entry in there):
        return [], f"Larger than {COMPARED_BYTES >> 20} MB: not compared line by line."
    was, now = text_lines(store, old), text_lines(store, new)
    if max(len(was), len(now)) > COMPARED_LINES:
        return [], f"Longer than {COMPARED_LINES:,} lines: not compared line by line."
    # The two lines of the head name files, which the reader knows.
    found = list(difflib.unified_diff(was, now, lineterm="", n=3))[2:]
    if not found and len(there) == 2:
        return [], "The text is the same; whether it can be executed, or how lines end, is not."
    if len(found) > DIFF_LINES:
        return found[:DIFF_LINES], f"The first {DIFF_LINES:,} of {len(found):,} lines."
    return found, ""


def text_lines(store: Store, entry: Entry | None) -> list[str]:
    if entry is None:
        return []
    # Only what everybody takes for the end of a line: splitlines() knows ten kinds.
    text = content(store, entry, COMPARED_BYTES).decode(errors="replace")
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def link_lines(old: Entry | None, new: Entry | None) -> list[str]:
    """A link is as a file whose text is where it leads."""
    found: list[str] = []
    for mark, entry in (("-", old), ("+", new)):
        if entry is not None:
            found.append(f"{mark}{entry.link or f'(a file of {entry.size} bytes)'}")
    return found
