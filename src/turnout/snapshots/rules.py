"""What stays out of a snapshot: a few names always, and what the folder's ignore file says."""

from __future__ import annotations

import os
from collections.abc import Collection

from turnout.snapshots import patterns
from turnout.spec.errors import SnapshotError

#: The first that exists is used, and only that one (as in v1).
IGNORE_FILES = (".amlignore", ".gitignore")
#: Never sent, whatever the ignore file says: history is large, private and of no use to a script.
NEVER = frozenset({".git"})
#: Left out anywhere in the tree unless the ignore file brings them back with a `!` line.
ANYWHERE = frozenset({"__pycache__", ".ipynb_checkpoints"})
#: The same, but only directly in the source folder: what earlier runs left there.
AT_TOP = frozenset({"outputs", "azureml-logs", "azureml-setup"})
#: A folder that holds one of these is a virtual or conda environment: bound to its machine.
ENVIRONMENT_MARKS = frozenset({"pyvenv.cfg", "conda-meta"})


def read_ignore_file(root: str) -> tuple[str, bytes]:
    """Name and content of the ignore file in use; ("", b"") when there is none."""
    for name in IGNORE_FILES:
        path = f"{root}/{name}"
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - the walk deals in plain strings
                return name, file.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            continue
        except OSError as error:
            raise SnapshotError(f"Cannot read '{path}': {error.strerror}.") from error
    return "", b""


class Rules:
    """Verdicts for paths. Folders are asked with a trailing slash, parents before children."""

    def __init__(
        self, name: str, text: bytes, kept: Collection[str] = (), left_out: Collection[str] = ()
    ) -> None:
        self.name = name
        #: The last that matches decides.
        self.patterns = patterns.parse(os.fsdecode(text))[::-1]
        #: Verdicts under the same ignore file: with many patterns a set is faster than they are.
        self.kept = kept
        self.left_out = left_out

    def leave_out(self, path: str, name: str) -> bool:
        """Whether `path`, whose last component is `name`, stays out."""
        if name in NEVER:
            return True
        if not self.patterns:
            return is_left_out_by_default(path, name)
        if path in self.kept:
            return False
        if path in self.left_out:
            return True
        is_folder = path.endswith("/")
        bare = path[:-1] if is_folder else path
        for pattern in self.patterns:
            if pattern.matches(bare, name, is_folder):
                return not pattern.negated
        return is_left_out_by_default(path, name)


def is_left_out_by_default(path: str, name: str) -> bool:
    return name in ANYWHERE or (name in AT_TOP and path == name + "/")


def escape(path: str) -> str:
    """The ignore-file line that matches exactly `path`."""
    special = "\\*?[!#"
    line = "".join("\\" + c if c in special else c for c in path)
    bare = line.rstrip(" ")
    return "/" + bare + "\\ " * (len(line) - len(bare))
