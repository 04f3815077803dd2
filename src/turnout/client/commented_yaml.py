"""Files of settings as people keep them: YAML with comments, or JSON, and the line of each key."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnout.client.exceptions import UserErrorException

#: Keys from the top of the file down to a value.
Place = tuple[str, ...]
#: Where YAML sees the end of a line.
LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
#: Deeper and longer than anything that a person writes.
DEPTH, KEYS = 30, 20_000


@dataclass
class Document:
    """What a file says, and how a person wrote it down."""

    path: Path
    data: dict[str, Any]
    #: Line of each key, from 1.
    lines: dict[Place, int] = field(default_factory=dict[Place, int])
    #: Comment lines that belong to each key, without the `#`; those at the end are of `()`.
    comments: dict[Place, list[str]] = field(default_factory=dict[Place, list[str]])
    is_json: bool = False

    def where(self, place: Place) -> str:
        """`'aml_config/local.runconfig', line 7`."""
        while place and place not in self.lines:  # an entry of a list is where the list is
            place = place[:-1]
        return f"'{self.path}'" + (f", line {self.lines[place]}" if place else "")


def read(path: Path, texts: Sequence[Place] = ()) -> Document:
    """What the file says. At the places of `texts` a value is the text that stands there, not what
    YAML makes of it (`0.10`, `yes`); `*` is any key. Raises `UserErrorException` for a file that
    cannot be read, is no mapping, or says a thing twice."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserErrorException(f"There is no file '{path}'.") from None
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is not text"
        raise UserErrorException(f"'{path}' cannot be read: {why}.") from None
    if text.lstrip().startswith("{"):
        found = read_json(path, text)
        if found is not None:
            return found
    return read_yaml(path, text, texts)


def read_json(path: Path, text: str) -> Document | None:
    """None when it is no JSON: YAML has mappings in braces too."""
    try:
        data = json.loads(text, object_pairs_hook=lambda pairs: once(path, pairs))
    except ValueError:
        return None
    except RecursionError:
        raise UserErrorException(f"'{path}' cannot be read: it is too deep.") from None
    import yaml

    try:
        # YAML refuses tabs, which JSON may be indented with.
        root = yaml.compose(text.expandtabs(), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        root = None
    lines = {place: line for place, line, _, _ in keys(root)} if root else {}
    return Document(path, data, lines, is_json=True)


def once(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise UserErrorException(f"'{path}' has '{key}' twice.")
        found[key] = value
    return found


def read_yaml(path: Path, text: str, texts: Sequence[Place]) -> Document:
    import yaml

    from turnout.client.conda_files import why

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[Place, int] = {}
        nodes = list(itertools.islice(keys(root), KEYS + 1))
        if len(nodes) > KEYS:
            raise UserErrorException(f"'{path}' cannot be read: it has more than {KEYS} keys.")
        for place, line, key, value in nodes:
            if place in lines:
                raise UserErrorException(
                    f"'{path}', line {line}: '{'.'.join(place)}' is there twice; it is in line "
                    f"{lines[place]} already."
                )
            lines[place] = line
            if key.tag != "tag:yaml.org,2002:merge":
                as_text(key)  # `ON` is a name, and not the truth
            take_as_text(value, place, texts)
        data = yaml.SafeLoader("").construct_document(root) if root is not None else None
    except yaml.YAMLError as e:
        raise UserErrorException(f"'{path}' cannot be read: {why(e)}.") from None
    except ValueError as e:  # a date that is none
        raise UserErrorException(f"'{path}' cannot be read: {e}.") from None
    except RecursionError:
        raise UserErrorException(f"'{path}' cannot be read: it is too deep.") from None
    if not isinstance(data, dict):
        what = "empty" if data is None else "no mapping of names to values"
        raise UserErrorException(f"'{path}' is {what}.")
    return Document(path, data, lines, comments_of(LINE_END.split(text), nodes))


def keys(node: Any, place: Place = ()) -> Iterator[tuple[Place, int, Any, Any]]:
    """(place, line, node of the key, node of the value) of every key, as they stand."""
    if getattr(node, "id", "") != "mapping":
        return
    if len(place) > DEPTH:
        raise RecursionError
    for key, value in node.value:
        here = (*place, str(key.value))
        yield here, key.start_mark.line + 1, key, value
        yield from keys(value, here)


def take_as_text(node: Any, place: Place, texts: Sequence[Place]) -> None:
    """Have the scalar at `place`, or those of the list there, read as they are written."""
    if node.id == "sequence":
        if matches((*place, "*"), texts):
            for item in node.value:
                as_text(item)
    elif matches(place, texts):
        as_text(node)


def as_text(node: Any) -> None:
    if node.id == "scalar" and node.tag != "tag:yaml.org,2002:null":
        node.tag = "tag:yaml.org,2002:str"


def matches(place: Place, patterns: Sequence[Place]) -> bool:
    """
    >>> matches(("environmentVariables", "A"), [("environmentVariables", "*")])
    True
    """
    return any(
        len(place) == len(pattern)
        and all(w == "*" or folded(w) == folded(g) for g, w in zip(place, pattern, strict=True))
        for pattern in patterns
    )


def folded(key: str) -> str:
    """What people spell in several ways is one key.

    >>> folded("amlCompute") == folded("aml_compute") == folded("amlcompute")
    True
    """
    return key.replace("_", "").lower()


# -- comments ----------------------------------------------------------------------------------


def comments_of(
    lines: list[str], nodes: Sequence[tuple[Place, int, Any, Any]]
) -> dict[Place, list[str]]:
    """Comment lines above each key; those behind a value come to be above it too."""
    found: dict[Place, list[str]] = {}
    at = 0
    for i, (place, line, key, value) in enumerate(nodes):
        above = [t for n in range(at, line - 1) if (t := comment(lines[n])) is not None]
        behind = comment(lines[key.end_mark.line][key.end_mark.column :].lstrip().lstrip(":"))
        if behind is None and value.id == "scalar":
            behind = comment(lines[value.end_mark.line][value.end_mark.column :])
        every = above + ([] if behind is None else [behind])
        if every:
            found[place] = every
        at = max(at, line)
        if value.id == "scalar":
            at = max(at, value.end_mark.line + (1 if value.end_mark.column else 0))
        elif value.id == "sequence" and value.value:
            # Comments between the entries go with the whole list.
            last = value.value[-1]
            until = nodes[i + 1][1] - 1 if i + 1 < len(nodes) else len(lines)
            end = min(last.end_mark.line + 1, until)
            inner = [t for n in range(at, end) if (t := comment(lines[n])) is not None]
            if inner:
                found.setdefault(place, []).extend(inner)
            at = max(at, end)
    rest = [t for n in range(at, len(lines)) if (t := comment(lines[n])) is not None]
    if rest:
        found[()] = rest
    return found


def comment(line: str) -> str | None:
    text = line.strip()
    return text[1:].strip() if text.startswith("#") else None


# -- writing -----------------------------------------------------------------------------------


def render(
    data: Mapping[str, Any], comments: Mapping[Place, Sequence[str]], place: Place = ()
) -> str:
    """YAML with the comments of each key above it."""
    import yaml

    lines: list[str] = []
    for key, value in data.items():
        here = (*place, str(key))
        lines += [f"# {text}".rstrip() for text in comments.get(here, ())]
        if isinstance(value, dict) and value:
            name = yaml.safe_dump({key: None}, allow_unicode=True, width=2**31)
            lines.append(name.rstrip("\n").removesuffix(" null"))
            lines += ["  " + line for line in render(value, comments, here).split("\n")[:-1]]
        else:
            lines += dump(yaml, key, value)
    if not place:
        lines += [f"# {text}".rstrip() for text in comments.get((), ())]
    return "".join(line + "\n" for line in lines)


def dump(yaml: Any, key: str, value: Any) -> list[str]:
    text = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=2**31)
    if value is None:
        text = text.removesuffix("null\n").rstrip() + "\n"
    return text.split("\n")[:-1]
