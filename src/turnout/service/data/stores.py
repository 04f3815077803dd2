"""Datastores: folders below the service's home whose files everybody in the workspace shares."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import urllib.request
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from turnout.service.files import inner_path, place, receive
from turnout.spec.data import WEB, DataSource
from turnout.spec.errors import NotFoundError, TargetError, UserError
from turnout.spec.records import nearest

#: Name → v1's type. Every workspace has these two; both are folders here.
STORES = {"workspaceblobstore": "AzureBlob", "workspacefilestore": "AzureFile"}
PATTERN = re.compile(r"[*?]")
#: What came from the web, kept by address.
FROM_WEB = ".web"
WEB_TIMEOUT_S = 60.0
#: Rows of one level in an answer.
FOLDER_LIMIT = 1000


@dataclass(frozen=True)
class Found:
    """One file of a dataset: its name there, and where it lies."""

    name: str
    path: Path


@dataclass(frozen=True)
class DataStores:
    """The datastores of one home."""

    home: Path

    def root(self, store: str) -> Path:
        """The folder of a datastore; `NotFoundError` when there is none of that name."""
        if store not in STORES:
            raise NotFoundError(f"There is no datastore '{store}'{nearest(store, STORES)}.")
        folder = self.home / "datastores" / store
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def path(self, store: str, name: str) -> Path:
        """The path of a file or folder. Names from outside never leave the datastore, also not
        over a link."""
        root = self.root(store)
        inner = name.strip("/")
        path = inner_path(root, inner, "a datastore's file") if inner else root
        if os.path.islink(path) or not path.resolve().is_relative_to(root.resolve()):  # noqa: PTH114
            raise UserError(f"'{name}' leads out of the datastore '{store}'.")
        return path

    def names(self, store: str, prefix: str = "") -> dict[str, int]:
        """Sizes of the files whose name begins with `prefix`, by name, sorted."""
        root = self.root(store)
        found = {
            path.relative_to(root).as_posix(): path.stat().st_size
            for path in root.rglob("*")
            if path.is_file() and not path.is_symlink()
        }
        return {name: size for name, size in sorted(found.items()) if name.startswith(prefix)}

    def folder(self, store: str, path: str, start: int, limit: int) -> dict[str, Any]:
        """One level, folders first: {"folders": [name], "files": [{"name", "size",
        "modified_at"}], "total"}, of which `start` and `limit` choose a part."""
        place = self.path(store, path)
        if not os.path.isdir(place):  # noqa: PTH112 - also for a name that is too long
            raise NotFoundError(f"The datastore '{store}' has no folder '{path}'.")
        with os.scandir(place) as entries:
            kept = [e for e in entries if not e.is_symlink()]
        folders = sorted(e.name for e in kept if e.is_dir())
        files = sorted((e for e in kept if e.is_file()), key=lambda e: e.name)
        end = start + limit
        shown = files[max(start - len(folders), 0) : max(end - len(folders), 0)]
        return {
            "folders": folders[start:end],
            "files": [view for e in shown if (view := file_view(e)) is not None],
            "total": len(folders) + len(files),
        }

    def usage(self, store: str) -> dict[str, int]:
        """{"files", "bytes"} of a whole datastore. May take long."""
        sizes = self.names(store).values()
        return {"files": len(sizes), "bytes": sum(sizes)}

    async def write(self, store: str, name: str, stream: AsyncIterable[bytes]) -> int:
        """Put a file in place by rename, so that it is whole or not there; its size in bytes."""
        goal = self.path(store, name)
        temporary = self.temporary()
        try:
            size = await receive(stream, temporary)
            place(temporary, goal, name)
        finally:
            temporary.unlink(missing_ok=True)
        return size

    def temporary(self) -> Path:
        folder = self.home / "datastores" / ".parts"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / secrets.token_hex(8)

    def take_in(self, store: str, folder: str, source: Path, *, overwrite: bool) -> list[str]:
        """Bring the files below `source` into `folder` of the datastore; their names."""
        names: list[str] = []
        for path in sorted(p for p in source.rglob("*") if p.is_file() and not p.is_symlink()):
            name = f"{folder.strip('/')}/{path.relative_to(source).as_posix()}".lstrip("/")
            goal = self.path(store, name)
            names.append(name)
            if goal.exists() and not overwrite:
                continue
            temporary = self.temporary()
            try:
                # A link would let who changes the one change the other.
                shutil.copyfile(path, temporary)
                place(temporary, goal, name)
            finally:
                temporary.unlink(missing_ok=True)
        return names

    # -- datasets -------------------------------------------------------------------------------

    def find(self, sources: Iterable[DataSource]) -> list[Found]:
        """The files of a dataset. Raises `UserError` for a source without any.

        Names are relative to the source when there is one, else to the datastore."""
        given = list(sources)
        found: dict[str, Path] = {}
        for source in given:
            base = self.base(source) if len(given) == 1 else ""
            for name in self.match(source):
                shown = name[len(base) :].lstrip("/") if source.datastore else name
                path = self.path(source.datastore, name) if source.datastore else self.web(source)
                found[shown] = path
        return [Found(name, path) for name, path in found.items()]

    def base(self, source: DataSource) -> str:
        """The part of the source's path that its files' names go without."""
        if not source.datastore:
            return ""
        pieces = source.path.strip("/").split("/")
        plain: list[str] = []
        for piece in pieces:
            if PATTERN.search(piece):
                break
            plain.append(piece)
        if len(plain) == len(pieces) and self.path(source.datastore, source.path).is_file():
            plain.pop()
        return "/".join(plain)

    def match(self, source: DataSource) -> list[str]:
        """Names, in the datastore, of the files that the source means."""
        if not source.datastore:
            return [web_name(source.path)]
        wanted = source.path.strip("/")
        if not PATTERN.search(wanted):
            path = self.path(source.datastore, wanted)
            if path.is_file():
                return [wanted]
            names = list(self.names(source.datastore, f"{wanted}/" if wanted else ""))
        else:
            pattern = re.compile(translate(wanted))
            names = [n for n in self.names(source.datastore) if pattern.fullmatch(n)]
        if not names:
            close = nearest(wanted, self.names(source.datastore))
            raise UserError(
                f"The datastore '{source.datastore}' has no file at '{source.path}'{close}."
            )
        return names

    def is_known(self, source: DataSource) -> bool:
        """Whether nothing has to be fetched for the source."""
        return bool(source.datastore) or self.web_path(source).exists()

    def web_path(self, source: DataSource) -> Path:
        key = hashlib.sha256(source.path.encode()).hexdigest()[:32]
        return self.home / "datastores" / FROM_WEB / key / web_name(source.path)

    def web(self, source: DataSource) -> Path:
        """The file of an address, fetched when it is asked for first. May take long."""
        goal = self.web_path(source)
        if goal.exists():
            return goal
        if not source.path.startswith(WEB):
            raise UserError(f"'{source.path}' is no address of the web.")
        goal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.temporary()
        try:
            with (
                urllib.request.urlopen(source.path, timeout=WEB_TIMEOUT_S) as answer,  # noqa: S310
                temporary.open("wb") as file,
            ):
                shutil.copyfileobj(answer, file)
            temporary.replace(goal)
        except (OSError, ValueError) as e:
            raise TargetError(f"'{source.path}' cannot be fetched: {e}.") from None
        finally:
            temporary.unlink(missing_ok=True)
        return goal


def file_view(entry: os.DirEntry[str]) -> dict[str, Any] | None:
    """None for a file that went meanwhile."""
    try:
        found = entry.stat()
    except FileNotFoundError:
        return None
    at = datetime.fromtimestamp(found.st_mtime, timezone.utc)
    return {"name": entry.name, "size": found.st_size, "modified_at": at.isoformat()}


def web_name(address: str) -> str:
    """
    >>> web_name("https://example.org/data/iris.csv?x=1"), web_name("https://example.org/")
    ('iris.csv', 'file')
    """
    name = unquote(urlsplit(address).path.rpartition("/")[2])
    return name if name.strip(".") and "/" not in name and "\0" not in name else "file"


def translate(pattern: str) -> str:
    """A pattern as a regular expression: `*` stays in its folder, `**` does not.

    >>> bool(re.fullmatch(translate("a/*.csv"), "a/b.csv"))
    True
    >>> bool(re.fullmatch(translate("a/*.csv"), "a/b/c.csv"))
    False
    >>> bool(re.fullmatch(translate("a/**/*.csv"), "a/b/c.csv"))
    True
    """
    parts: list[str] = []
    for piece in pattern.split("/"):
        if piece == "**":
            parts.append("(?:[^/]+/)*")
        else:
            wild = {"*": "[^/]*", "?": "[^/]"}
            parts.append("".join(wild.get(c) or re.escape(c) for c in piece) + "/")
    text = "".join(parts)
    return text[:-1] if text.endswith("/") else text + "[^/]+"


def view(name: str, default: str) -> dict[str, Any]:
    return {"name": name, "type": STORES[name], "default": name == default}
