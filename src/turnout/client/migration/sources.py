"""Finds scripts and notebooks, and parses their code as far as it can be."""

from __future__ import annotations

import ast
import json
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from turnout.client.exceptions import UserErrorException

SUFFIXES = (".py", ".ipynb")
#: Folders that hold other people's code, or none.
SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env"})
#: IPython's own lines: "%matplotlib inline", "!pip install x", "help?".
MAGIC = re.compile(r"^\s*[%!?]|\?\s*$")
ASSIGNED_MAGIC = re.compile(r"^(\s*[\w.]+\s*=\s*)[%!].*$")


@dataclass(frozen=True)
class Part:
    """A piece of code that stands alone: a script, or a cell."""

    tree: ast.Module
    #: "cell 3, " or nothing, before "line 7".
    where: str = ""


@dataclass(frozen=True)
class Source:
    """A file. `problems`: what could not be read, each with its place."""

    path: Path
    parts: tuple[Part, ...]
    problems: tuple[str, ...] = ()


def find(paths: list[Path]) -> Iterator[Path]:
    """The scripts and notebooks at or below `paths`, each once, by name."""
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise UserErrorException(f"There is no file or folder '{path}'.")
        if path.is_file() and path.suffix not in SUFFIXES:
            raise UserErrorException(
                f"'{path}' is neither a script (.py) nor a notebook (.ipynb)."
            )
        for found in [path] if path.is_file() else walk(path):
            if found not in seen:
                seen.add(found)
                yield found


def walk(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in SKIPPED and not f.startswith("."))
        for name in sorted(files):
            if name.endswith(SUFFIXES):
                yield Path(place) / name


def read(path: Path) -> Source:
    """The file's code. What cannot be parsed is a problem of that part alone."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        cells = [("", text)] if path.suffix == ".py" else list(code_cells(text))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        return Source(path, (), (f"it cannot be read: {e}",))
    parts: list[Part] = []
    problems: list[str] = []
    for where, code in cells:
        try:
            parts.append(Part(parse(code, is_cell=bool(where)), where))
        except (SyntaxError, ValueError) as e:
            line = getattr(e, "lineno", None) or 1
            problems.append(f"{where}line {line}: {getattr(e, 'msg', e)}")
    return Source(path, tuple(parts), tuple(problems))


def parse(code: str, *, is_cell: bool) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of the person's strings, not ours.
        try:
            return ast.parse(code)
        except SyntaxError:
            if not is_cell:
                raise
            return ast.parse(without_magic(code))


def code_cells(text: str) -> Iterator[tuple[str, str]]:
    number = 0
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            number += 1
            source = cell["source"]
            yield f"cell {number}, ", source if isinstance(source, str) else "".join(source)


def without_magic(code: str) -> str:
    """The code with IPython's lines made harmless; lines keep their numbers.

    >>> without_magic("%matplotlib inline\\nx = !ls\\ny = 1")
    'pass\\nx = None\\ny = 1'
    """
    if code.lstrip().startswith("%%"):
        first = code.lstrip().split(None, 1)[0]
        if first not in ("%%time", "%%timeit", "%%capture"):
            return ""  # Another language, or a file to be written.
    lines: list[str] = []
    for line in code.split("\n"):
        plain = ASSIGNED_MAGIC.sub(r"\1None", line)
        is_magic = plain == line and MAGIC.search(line) and not line.lstrip().startswith("#")
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(f"{indent}pass" if is_magic else plain)
    return "\n".join(lines)
