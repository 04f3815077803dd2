"""What the service is asked of models, and the files that are sent with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from turnout.client.exceptions import UserErrorException
from turnout.client.http import PART, Client
from turnout.payload import models, values
from turnout.spec.records import nearest


def number_of(version: int | str) -> int:
    text = str(version)
    if not text.isdecimal():
        raise UserErrorException(f"'{version}' is no version of a model: versions are numbers.")
    return int(text)


def body_of(name: Any, path: str | None, **said: Any) -> dict[str, Any]:
    """What `POST /v1/models` is told of a model; without a path its files are sent apart."""
    found = ("tags", "properties", "framework", "framework_version", "description", "details")
    try:
        record = models.asked(name, path or "-", *(said[key] for key in found))
    except values.TrackingError as e:
        raise UserErrorException(e.message) from None
    if path is None:
        del record["path"]
    return record


def local_files(path: Path, child_paths: Iterable[str] | None) -> dict[str, Path]:
    """Files to send, by the name that the model gives them: the last part of the path comes
    first."""
    path = path.expanduser()
    if not path.exists():
        try:
            names = [found.name for found in path.absolute().parent.iterdir()]
        except OSError:
            names = []
        raise UserErrorException(
            f"There is no file or folder '{path}' to register{nearest(path.name, names)}."
        )
    if path.is_file():
        return {path.name: path}
    root = path.resolve()
    tops = [path / values.inner_path(str(c).strip("/")) for c in child_paths or ()] or [path]
    found: dict[str, Path] = {}
    for top in tops:
        if not top.exists():
            raise UserErrorException(f"There is no '{top}' to register.")
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if file.is_file():
                found[f"{root.name}/{file.relative_to(path).as_posix()}"] = file
    if not found:
        raise UserErrorException(f"The folder '{path}' has no files to register.")
    return found


def send_file(client: Client, address: str, path: Path) -> None:
    def parts() -> Iterator[bytes]:
        with path.open("rb") as file:
            while part := file.read(PART):
                yield part

    client.request("PUT", address, parts)


def top_of(names: Iterable[str]) -> str:
    """What all names begin with: a file's own name, or the folder's.

    >>> top_of(["model.pkl"]), top_of(["m/a", "m/b/c"])
    ('model.pkl', 'm')
    """
    tops = {name.split("/")[0] for name in names}
    return tops.pop() if len(tops) == 1 else ""


def conditions(given: Any) -> list[str]:
    """What the service is asked for: "name" or "name=value".

    >>> conditions(["a", ["b", "1"]]), conditions({"c": 2})
    (['a', 'b=1'], ['c=2'])
    """
    if given is None:
        return []
    if isinstance(given, Mapping):
        return [k if v is None else f"{k}={v}" for k, v in given.items()]
    if isinstance(given, str):
        return [given]
    return [c if isinstance(c, str) else "=".join(str(part) for part in c) for c in given]


def texts(given: Any, what: str) -> dict[str, str | None]:
    try:
        return values.texts(dict(given), what)
    except (values.TrackingError, TypeError, ValueError):
        raise UserErrorException(f"{what} must be a mapping of names to values.") from None
