"""The form in which snapshots travel: manifests, their digest, and the frames of a bundle.

Pure: nothing here opens a file. Contract: docs/design/run-folder.md, "Bundle".
"""

from __future__ import annotations

import hashlib
import json
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BLOB = b"B"
MANIFEST = b"M"
END = b"E"
#: Size of what stands before a blob's bytes, and of the hash behind them.
BLOB_HEAD = 9
HASH = 32
MANIFEST_HEAD = 5
#: A manifest of this size names some two million files; more is refused, not buffered.
MANIFEST_LIMIT = 256 << 20
HEX = frozenset("0123456789abcdef")


class StoreError(Exception):
    """Content that cannot be stored or read back. The text is for a person."""


def blob_head(size: int) -> bytes:
    """What stands before the `size` bytes of a blob; their raw SHA-256 comes behind them."""
    return BLOB + struct.pack(">Q", size)


def blob_frame(data: bytes) -> bytes:
    """A whole small blob with its frame."""
    return blob_head(len(data)) + data + hashlib.sha256(data).digest()


def manifest_frame(canonical: bytes) -> bytes:
    """The manifest's frame around its `canonical` bytes."""
    return MANIFEST + struct.pack(">I", len(canonical)) + canonical


def canonical_bytes(manifest: dict[str, Any]) -> bytes:
    """The one spelling of a manifest: equal trees give equal bytes."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode("ascii")


def manifest_digest(canonical: bytes) -> str:
    """The snapshot's name: SHA-256 of the canonical bytes, in hex."""
    return hashlib.sha256(canonical).hexdigest()


def parse_manifest(data: bytes) -> dict[str, Any]:
    """The manifest in `data`, checked; StoreError when it is none or not in canonical form."""
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError):
        raise StoreError("The snapshot's manifest is not JSON.") from None
    check_manifest(manifest)
    if canonical_bytes(manifest) != data:
        raise StoreError("The snapshot's manifest is not in canonical form.")
    return manifest


def check_manifest(manifest: Any) -> None:
    """Raise StoreError on a manifest that is damaged or whose paths could leave their folder."""
    keys: set[str] = {"files", "links", "folders"}
    if not is_a(manifest, dict) or set(manifest) != keys:
        raise StoreError("A manifest has exactly the keys 'files', 'folders' and 'links'.")
    for key in keys:
        if not is_a(manifest[key], list):
            raise StoreError("The manifest's '%s' is not a list." % key)
    for row in manifest["files"]:
        check_file(row)
    for row in manifest["links"]:
        check_link(row)
    files: list[str] = [row[0] for row in manifest["files"]]
    links: list[str] = [row[0] for row in manifest["links"]]
    folders: list[str] = manifest["folders"]
    for path in folders:
        check_path(path)
    for paths in (files, links, folders):
        if paths != sorted(paths):
            raise StoreError("The manifest's lists are not sorted.")
    check_tree([*files, *links, *folders], links)


def is_a(value: Any, kind: Any) -> bool:
    # Keeps the type checker from narrowing what comes from outside to partly unknown types.
    return isinstance(value, kind)


def check_file(row: Any) -> None:
    if not is_a(row, list) or len(row) != 4:
        raise StoreError("A file in a manifest is [path, executable, size, sha256].")
    path, executable, size, sha = row
    check_path(path)
    if type(executable) is not int or executable not in (0, 1):
        raise StoreError("Manifest: %r must have executable 0 or 1." % (path,))
    if type(size) is not int or size < 0:
        raise StoreError("Manifest: %r has the impossible size %r." % (path, size))
    if type(sha) is not str or len(sha) != 64 or not HEX.issuperset(sha):
        raise StoreError("Manifest: %r has no SHA-256." % (path,))


def check_link(row: Any) -> None:
    if not is_a(row, list) or len(row) != 2:
        raise StoreError("A link in a manifest is [path, target].")
    check_path(row[0])
    if not isinstance(row[1], str) or not row[1] or "\0" in row[1] or not is_name(row[1]):
        raise StoreError("Manifest: the link %r has no usable target." % (row[0],))


def check_path(path: Any) -> None:
    """Raise StoreError unless `path` is relative, stays below its folder and can be a name."""
    if not isinstance(path, str) or not path:
        raise StoreError("A manifest names a file without a path.")
    framed = "/" + path + "/"
    if "//" in framed or "/./" in framed or "/../" in framed or "\0" in path:
        raise StoreError("The path %r in a manifest does not stay inside its folder." % (path,))
    if not is_name(path):
        raise StoreError("The path %r in a manifest cannot be a file's name." % (path,))


def is_name(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def check_tree(paths: list[str], links: list[str]) -> None:
    """No path twice, none below a file, through a link or in a folder that is called empty."""
    leaves = set(paths)
    if len(leaves) != len(paths):
        seen: set[str] = set()
        for path in paths:
            if path in seen:
                raise StoreError("The manifest names %r twice." % (path,))
            seen.add(path)
    for parent in parents_of(paths):
        if parent in leaves:
            how = "runs through the link" if parent in set(links) else "lies below"
            raise StoreError("A path in the manifest %s %r." % (how, parent))


def parents_of(paths: list[str]) -> set[str]:
    """Every folder on the way to the `paths`."""
    parents: set[str] = set()
    for path in paths:
        while True:
            path = path.rpartition("/")[0]
            if not path or path in parents:
                break
            parents.add(path)
    return parents
