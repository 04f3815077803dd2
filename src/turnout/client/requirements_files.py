"""Requirements files: packages, the options that say where they come from, and their lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from turnout.client.exceptions import UserErrorException
from turnout.spec.errors import EnvironmentSpecError
from turnout.spec.sources import normal_option

#: Options that name another requirements file.
INCLUDE = re.compile(r"(?:-r|--requirement)(?:\s*=\s*|\s*)(?P<file>\S.*)")
EDITABLE = re.compile(r"(-e|--editable)\b")
HASH = re.compile(r"\s--hash[= ]")
LOCAL = re.compile(r"[./~]|[^@]*\.(whl|tar\.gz|zip)$|(\S+\s*@\s*)?file:")
ADDRESS = re.compile(r"(https?|git\+[a-z]+)://")


@dataclass
class Requirements:
    """What a file asks for."""

    packages: list[str] = field(default_factory=list[str])
    #: In their one form: "--index-url=https://…".
    options: list[str] = field(default_factory=list[str])
    #: Where each package was written: "requirements.txt, line 3".
    origins: dict[str, str] = field(default_factory=dict[str, str])


def read(path: str | Path) -> Requirements:
    """The requirements in the file, and in those that it includes.

    Raises `UserErrorException` that names the line for what cannot be had on another machine:
    files and folders of this one."""
    found = Requirements()
    take_file(found, Path(path), str(path), ())
    return found


def take_file(found: Requirements, path: Path, name: str, above: tuple[Path, ...]) -> None:
    place = path.expanduser()
    if place.resolve() in above:
        raise UserErrorException(f"The requirements file '{name}' includes itself.")
    try:
        text = place.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UserErrorException(
            f"The requirements file '{name}' cannot be read: {why}."
        ) from None
    for number, line in logical_lines(text):
        take_line(found, line, f"{name}, line {number}", place, above)


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, line) with continued lines joined and comments left out."""
    begin, held = 0, ""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        begin = begin or number
        line = line.lstrip() if held else line
        if line.endswith("\\") and number < len(lines):
            held += line[:-1].rstrip() + " "
            continue
        whole = re.sub(r"(^|\s)#.*$", "", held + line.rstrip("\\")).strip()
        if whole:
            yield begin, whole
        begin, held = 0, ""


def take_line(
    found: Requirements, line: str, where: str, file: Path, above: tuple[Path, ...]
) -> None:
    """One line of `file`: a package, an option, or another file's name."""
    include = INCLUDE.fullmatch(line)
    if include:
        inner = file.parent / include["file"].strip().strip("'\"")
        take_file(found, inner, shown(where, inner), (*above, file.resolve()))
        return
    if line.startswith("-"):
        if file.suffix in (".yml", ".yaml"):
            raise UserErrorException(
                f"'{file}' looks like a conda environment file. Give it with --conda "
                "(from_conda_specification)."
            )
        if EDITABLE.match(line):
            raise refused(where, line)
        try:
            option = normal_option(line)
        except EnvironmentSpecError as e:
            raise UserErrorException(f"{where}: {e.message}") from None
        if option not in found.options:
            found.options.append(option)
        return
    if HASH.search(line):
        raise UserErrorException(
            f"{where}: hashes are not supported. Name versions alone: "
            f"'{HASH.split(line)[0].strip()}'. What was installed is kept with every run."
        )
    if LOCAL.match(line) and not ADDRESS.match(line):
        raise refused(where, line)
    found.packages.append(line)
    found.origins[line] = where


def shown(where: str, inner: Path) -> str:
    """The included file's name, beside that of the file that includes it."""
    outer = where.rpartition(", line ")[0]
    return str(inner) if "/" in outer else inner.name


def refused(where: str, line: str) -> UserErrorException:
    place = f"{where}: " if where else ""
    return UserErrorException(
        f"{place}'{line}' is a file or folder of this machine, which the target does not have. "
        "Put the package into the source folder and import it from there, or name it by an "
        "address: 'name @ https://…'."
    )
