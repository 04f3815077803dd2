"""Writes docs/reference from the code: commands, settings, routes, errors, kinds of target.

`pages()` gives the texts; run as a program it writes them. A test compares the two.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import typer.main
from turnout.cli.main import app

from turnout.service.app import create_app
from turnout.service.settings import Settings
from turnout.spec.errors import TurnoutError
from turnout.targets import registry

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
WRITTEN = "<!-- Written by `make docs`; change the code instead. -->"


def pages() -> dict[str, str]:
    """Text of every page, by file name."""
    document = openapi()
    return {
        "cli.md": cli_page(),
        "settings.md": settings_page(),
        "http.md": http_page(document),
        "openapi.json": json.dumps(document, indent=1, sort_keys=True) + "\n",
        "errors.md": errors_page(),
        "targets.md": targets_page(),
    }


def page(title: str, intro: str, parts: Iterator[str]) -> str:
    return "\n\n".join([WRITTEN, f"# {title}", intro, *parts]) + "\n"


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell(c) for c in line) + " |" for line in lines)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# Commands


def commands() -> Iterator[tuple[str, click.Command]]:
    """(words, command) of every command that a person can see."""
    todo: list[tuple[str, Any]] = [("turnout", typer.main.get_command(app))]
    while todo:
        words, command = todo.pop(0)
        yield words, command
        children = getattr(command, "commands", {})
        todo[0:0] = [(f"{words} {n}", c) for n, c in children.items() if not c.hidden]


def cli_page() -> str:
    intro = "Every command answers `--help`. Exit codes: 0 done, 1 the run failed, 2 bad input."
    return page("Commands", intro, (command_part(w, c) for w, c in commands()))


def command_part(words: str, command: click.Command) -> str:
    text = [f"## {words}", (command.help or "").replace("\b", "").strip()]
    context = click.Context(command, info_name=words)
    pieces = " ".join(command.collect_usage_pieces(context))
    if not getattr(command, "commands", None):
        text.append(f"    {words} {pieces}")
    rows = [row for p in command.params if (row := parameter_row(p, context)) is not None]
    if rows:
        text.append(table(["parameter", "what"], rows))
    return "\n\n".join(t for t in text if t)


def parameter_row(parameter: Any, context: click.Context) -> list[str] | None:
    if getattr(parameter, "hidden", False) or "--help" in parameter.opts:
        return None
    if parameter.param_type_name == "argument":
        return [f"`{parameter.make_metavar(context)}`", parameter.help or ""]
    names = ", ".join(f"`{n}`" for n in (*parameter.opts, *parameter.secondary_opts))
    text = parameter.help or ""
    if parameter.default not in (None, False, True, "", (), []) and not callable(
        parameter.default
    ):
        text += f" Default: `{parameter.default}`."
    return [names, text]


# Settings


def settings_page() -> str:
    intro = (
        "Set by environment variables where the service starts. Embedded, that is where the first "
        "`turnout` command of this user runs."
    )
    return page("Settings of the service", intro, settings_parts())


def settings_parts() -> Iterator[str]:
    comments = field_comments(ROOT / "src" / "turnout" / "service" / "settings.py")
    for f in dataclasses.fields(Settings):
        default = "`~/.turnout`" if f.name == "home" else f"`{f.default!r}`"
        yield f"## TURNOUT_{f.name.upper()}\n\n{comments[f.name]}\n\nDefault: {default}."


def field_comments(path: Path) -> dict[str, str]:
    """What `#:` lines say of the field below them; a field without its own shares the last."""
    said: dict[str, str] = {}
    words: list[str] = []
    fresh = True
    for line in path.read_text().splitlines():
        comment = re.match(r"\s+#: ?(.*)", line)
        field = re.match(r"    (\w+): ", line)
        if comment:
            words = [comment[1]] if fresh else [*words, comment[1]]
            fresh = False
        elif field:
            said[field[1]] = " ".join(words)
            fresh = True
    return said


# Routes


def openapi() -> dict[str, Any]:
    return create_app(Settings(home=Path("/nonexistent"))).openapi()


def http_page(document: dict[str, Any]) -> str:
    intro = (
        "What each answers is described in [the HTTP interface](../design/http-api.md); the exact "
        "schemas are in [openapi.json](openapi.json)."
    )
    return page("Routes", intro, route_parts(document))


def route_parts(document: dict[str, Any]) -> Iterator[str]:
    for path, methods in sorted(document["paths"].items()):
        for method, operation in sorted(methods.items()):
            text = [f"## {method.upper()} {path}", operation.get("description", "")]
            rows = [
                [f"`{p['name']}`", p["in"], "yes" if p.get("required") else "", said(p)]
                for p in operation.get("parameters", [])
            ]
            if rows:
                text.append(table(["parameter", "in", "required", "what"], rows))
            yield "\n\n".join(t for t in text if t)


def said(parameter: dict[str, Any]) -> str:
    text = parameter.get("description", "")
    default = parameter.get("schema", {}).get("default")
    return text if default in (None, [], "") else f"{text} Default: `{default}`."


# Errors


def error_kinds() -> list[type[TurnoutError]]:
    found: list[type[TurnoutError]] = []
    todo: list[type[TurnoutError]] = [TurnoutError]
    while todo:
        kind = todo.pop(0)
        if kind.__module__ == TurnoutError.__module__:
            found.append(kind)
        todo.extend(kind.__subclasses__())
    return found


def errors_page() -> str:
    intro = (
        "The `code` of an error is stable; its message is for a person. From the command line, an "
        "error whose status is 4xx ends with exit code 2."
    )
    parts = (
        f"## {kind.code}\n\n`turnout.spec.errors.{kind.__name__}`, HTTP {kind.status}. "
        f"{' '.join((kind.__doc__ or '').split())}"
        for kind in error_kinds()
    )
    return page("Error codes", intro, parts)


# Targets


def targets_page() -> str:
    return page("Kinds of target", "What each kind can do, from the code.", target_parts())


def target_parts() -> Iterator[str]:
    kinds = {name: registry.kind(name) for name in registry.KINDS}
    names = [f.name for f in dataclasses.fields(next(iter(kinds.values())).capabilities)]
    marks = {True: "yes", False: "no"}
    yield table(
        ["kind", *(name.replace("_", " ") for name in names)],
        [
            [f"[{name}](#{name})", *(marks[getattr(kind.capabilities, n)] for n in names)]
            for name, kind in kinds.items()
        ],
    )
    for name, kind in kinds.items():
        comments = field_comments(Path(sys.modules[kind.config_model.__module__].__file__ or ""))
        rows = [
            [
                f"`{key}`",
                "" if field.default is None else f"`{field.default!r}`",
                comments.get(key, ""),
            ]
            for key, field in kind.config_model.model_fields.items()
        ]
        intro = " ".join((kind.config_model.__doc__ or "").split())
        configuration = table(["key", "default", "what"], rows) if rows else ""
        yield "\n\n".join(
            t for t in (f"## {name}", f"v1's type: `{kind.v1_type}`.", intro, configuration) if t
        )


def main() -> None:
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
