"""Where the service keeps what runs logged and left: plain files below `home/runs/<run id>`."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from turnout.payload.rundir import HANDLE
from turnout.service.files import inner_path, parts, place, receive
from turnout.spec.errors import NotFoundError

LOGS = "logs"
FILES = "files"


@dataclass(frozen=True)
class RunFolders:
    """Paths of one home. A log's size is also the offset up to which it was collected."""

    home: Path

    def folder(self, run: str, part: str) -> Path:
        if not HANDLE.fullmatch(run):
            raise NotFoundError(f"'{run}' cannot be the id of a run.")
        return self.home / "runs" / run / part

    def path(self, run: str, part: str, name: str) -> Path:
        """The path of a named file. Names from outside never leave the folder."""
        return inner_path(self.folder(run, part), name, "a run's file")

    def sizes(self, run: str, part: str) -> dict[str, int]:
        """Sizes by name, sorted; empty when there is nothing yet."""
        root = self.folder(run, part)
        found = {
            path.relative_to(root).as_posix(): path.stat().st_size
            for path in root.rglob("*")
            if path.is_file()
        }
        return dict(sorted(found.items()))

    def append(self, run: str, name: str, offset: int, data: bytes) -> None:
        """Write `data` at `offset`: a repeated write after a crash changes nothing."""
        path = self.path(run, LOGS, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "wb") as file:
            file.seek(offset)
            file.write(data)

    def read(self, run: str, part: str, name: str, offset: int, limit: int) -> bytes:
        path = self.path(run, part, name)
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(limit)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFoundError(f"Run {run} has no file '{name}'.") from None

    def parts(self, run: str, part: str, name: str, size: int) -> Iterator[bytes]:
        """The file's content, `size` bytes at a time."""
        return parts(self.path(run, part, name), size)

    async def write(self, run: str, part: str, name: str, stream: AsyncIterable[bytes]) -> int:
        """Put a file in place by rename, so that it is whole or not there; its size in bytes."""
        goal = self.path(run, part, name)
        # Beside the parts: any name in them, also one with a dot, may be the script's own.
        temporary = self.folder(run, f"{secrets.token_hex(8)}.part")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        try:
            size = await receive(stream, temporary)
            place(temporary, goal, name)
        finally:
            temporary.unlink(missing_ok=True)
        return size
