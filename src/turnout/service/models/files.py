"""Where the service keeps the files of models: plain files below `home/models/<key>`."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from turnout.service.files import inner_path, place, receive
from turnout.spec.errors import NotFoundError, UserError

KEY = re.compile(r"[0-9a-f]{16,64}")
PART = 1 << 20
#: Files that nobody made a model of go after this time, in seconds.
KEPT_S = 86_400.0


@dataclass(frozen=True)
class ModelFiles:
    """Files of one home. What has no row yet is an upload under way, or one that broke off."""

    home: Path

    def folder(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise UserError(f"'{key}' cannot be the key of a model: 16 to 64 hex digits.")
        return self.home / "models" / key

    def path(self, key: str, name: str) -> Path:
        """The path of a named file. Names from outside never leave the folder."""
        return inner_path(self.folder(key), name, "a model's file")

    def sizes(self, key: str) -> dict[str, int]:
        """Bytes by name, sorted."""
        root = self.folder(key)
        found = {
            path.relative_to(root).as_posix(): path.stat().st_size
            for path in root.rglob("*")
            if path.is_file()
        }
        return dict(sorted(found.items()))

    async def write(self, key: str, name: str, stream: AsyncIterable[bytes]) -> int:
        """Put a file in place by rename, so that it is whole or not there; its size in bytes."""
        temporary = self.temporary()
        try:
            size = await receive(stream, temporary)
            place(temporary, self.path(key, name), name)
        finally:
            temporary.unlink(missing_ok=True)
        return size

    def copy(self, key: str, sources: dict[str, Path], *, may_link: bool) -> None:
        """Take files under new names; those that are there already are replaced. `may_link`: they
        are only ever replaced as a whole, so that another name for the same bytes will do."""
        for name, source in sources.items():
            temporary = self.temporary()
            try:
                if not (may_link and linked(source, temporary)):
                    shutil.copyfile(source, temporary)
                place(temporary, self.path(key, name), name)
            finally:
                temporary.unlink(missing_ok=True)

    def temporary(self) -> Path:
        # Beside the folders: any name in them may be one of the model's own.
        root = self.home / "models"
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return root / f"{secrets.token_hex(8)}.part"

    def parts(self, key: str, name: str) -> tuple[int, Iterator[bytes]]:
        """(bytes, the content in parts)."""
        try:
            file = self.path(key, name).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFoundError(f"The model has no file '{name}'.") from None

        def read() -> Iterator[bytes]:
            with file:
                while data := file.read(PART):
                    yield data

        return Path(file.name).stat().st_size, read()

    def remove(self, key: str) -> None:
        shutil.rmtree(self.folder(key), ignore_errors=True)

    def sweep(self, kept: Container[str]) -> None:
        """Remove what broke off more than a day ago."""
        root = self.home / "models"
        for path in root.iterdir() if root.is_dir() else ():
            if path.name in kept or time.time() - path.stat().st_mtime < KEPT_S:
                continue
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def linked(source: Path, goal: Path) -> bool:
    """Whether `goal` became another name of the file; not every file system has that."""
    try:
        os.link(source, goal)
    except OSError:
        return False
    return True
