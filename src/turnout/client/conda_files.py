"""Conda environment files: their content, and the line of each dependency."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnout.client.exceptions import RunConfigurationException, UserErrorException


def entries(given: object, what: str) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise RunConfigurationException(f"'{what}' of a conda environment file must be a list.")
    return given


def where(
    path: Path | None, lines: Mapping[tuple[int, ...], int] | None, place: tuple[int, ...]
) -> str:
    """`conda.yml, line 7: `, or nothing when it came from no file."""
    if path is None or not lines or place not in lines:
        return ""
    return f"{path}, line {lines[place]}: "


def read(path: Path) -> tuple[Any, dict[tuple[int, ...], int]]:
    """(content, line of each dependency: by its index, and within the pip list by both)."""
    import yaml

    try:
        text = path.expanduser().read_text()
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except FileNotFoundError:
        raise UserErrorException(f"There is no file '{path}'.") from None
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as e:
        raise UserErrorException(f"'{path}' cannot be read: {why(e)}.{hint(path)}") from None
    return data, dependency_lines(root)


def why(error: Exception) -> str:
    """One line: what is wrong, and where."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return getattr(error, "strerror", None) or "it is not a text file"
    problem = getattr(error, "problem", None) or "it is not YAML"
    return f"it is not YAML in line {mark.line + 1}, column {mark.column + 1} ({problem})"


def hint(path: Path) -> str:
    return " A requirements file is given with --requirements." if path.suffix == ".txt" else ""


def dependency_lines(root: Any) -> dict[tuple[int, ...], int]:
    found: dict[tuple[int, ...], int] = {}
    for i, node in enumerate(child(root, "dependencies")):
        found[(i,)] = node.start_mark.line + 1
        for j, line in enumerate(child(node, "pip")):
            found[(i, j)] = line.start_mark.line + 1
    return found


def child(node: Any, name: str) -> list[Any]:
    """Nodes of the list that the mapping `node` has under `name`."""
    pairs = node.value if getattr(node, "id", "") == "mapping" else []
    for key, value in pairs:
        if key.value == name and value.id == "sequence":
            return value.value
    return []
