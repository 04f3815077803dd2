"""Files under names from outside: none leaves its folder, each is whole or not there."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator
from pathlib import Path

from turnout.spec.errors import NotFoundError, UserError

PART = 1 << 20


def inner_path(folder: Path, name: str, owner: str) -> Path:
    """The path of `name` below `folder`. Raises `NotFoundError` for one that would leave it;
    `owner` says whose name it is: "a run's file"."""
    pieces = name.split("/")
    if "\0" in name or any(piece in ("", ".", "..") for piece in pieces):
        raise NotFoundError(f"'{name}' cannot be the name of {owner}.")
    return folder.joinpath(*pieces)


async def receive(stream: AsyncIterable[bytes], temporary: Path) -> int:
    """Write what comes to `temporary`; its size in bytes. What breaks off is the caller's to
    remove."""
    with temporary.open("wb") as file:
        async for data in stream:
            file.write(data)
        return file.tell()


def parts(path: Path, size: int = PART) -> Iterator[bytes]:
    """A file's content, `size` bytes at a time."""
    with path.open("rb") as file:
        while data := file.read(size):
            yield data


def place(temporary: Path, goal: Path, name: str) -> None:
    """Put a whole file where it belongs. Raises `UserError` when that is a folder, or a part of
    the name is a file."""
    try:
        goal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.replace(goal)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise UserError(
            f"'{name}' cannot be written: it is a folder there, or a part of the name is a file "
            "already."
        ) from None
