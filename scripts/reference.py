"""Writes docs/reference from the code: commands, settings, routes, errors, kinds of target.

`pages()` gives the texts; run as a program it writes them. A test compares the two.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from turnout.cli import main as cli
from turnout.service.app import create_app
from turnout.service.environments import config, curated
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
        "config.md": config_page(),
        "curated.md": curated_page(),
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


class Asked(Exception):
    """A command got as far as reading its words; carries the parser that was to do it."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser that `turnout COMMAND` makes for itself."""

    def stop(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise Asked(parser)

    # Commands make their parser when they run, so that the others need not be imported.
    with mock.patch.object(argparse.ArgumentParser, "parse_args", stop):
        try:
            cli.dispatch([command])
        except Asked as asked:
            return asked.parser
    raise LookupError(f"turnout {command} reads no words")


def verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found.update(action.choices)
    return found


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """(words, parser) of every command."""
    todo = [(f"turnout {name}", parser_of(name)) for name in cli.COMMANDS]
    while todo:
        words, parser = todo.pop(0)
        yield words, parser
        todo[0:0] = [(f"{words} {name}", child) for name, child in verbs(parser).items()]


def cli_page() -> str:
    intro = (
        "Every command answers `--help`. Exit codes: 0 done, 1 it failed, 2 what was asked for "
        "cannot be; `turnout submit` ends with the script's own."
    )
    return page("Commands", intro, (command_part(w, p) for w, p in commands()))


def command_part(words: str, parser: argparse.ArgumentParser) -> str:
    text = [f"## {words}", parser.description or ""]
    rows = [row for action in parser._actions if (row := parameter_row(action)) is not None]
    if rows:
        text.append(table(["parameter", "what"], rows))
    if parser.epilog:
        text.append(f"```\n{parser.epilog}\n```")
    return "\n\n".join(t for t in text if t)


def parameter_row(action: argparse.Action) -> list[str] | None:
    hidden = action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction)
    if hidden or isinstance(action, argparse._SubParsersAction):
        return None
    takes = "" if action.nargs == 0 else f" {metavar(action)}"
    names = ", ".join(f"`{name}{takes}`" for name in action.option_strings)
    return [names or f"`{metavar(action)}`", action.help or ""]


def metavar(action: argparse.Action) -> str:
    if action.choices is not None:
        return "{" + ",".join(str(choice) for choice in action.choices) + "}"
    name = action.metavar or action.dest
    return str(name if not action.option_strings else name.upper())


# Settings


def settings_page() -> str:
    intro = (
        "Set by environment variables where the service starts. Embedded, that is where the first "
        "`turnout` command of this user runs."
    )
    return page("Settings of the service", intro, settings_parts())


def settings_parts() -> Iterator[str]:
    comments = field_comments(ROOT / "src" / "turnout" / "service" / "settings.py", shared=True)
    for f in dataclasses.fields(Settings):
        default = "`~/.turnout`" if f.name == "home" else f"`{f.default!r}`"
        yield f"## TURNOUT_{f.name.upper()}\n\n{comments[f.name]}\n\nDefault: {default}."


def field_comments(path: Path, *, shared: bool = False) -> dict[str, str]:
    """What `#:` lines say of the field below them; `shared`: and of those that follow it."""
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
            words, fresh = (words if shared else []), True
    return said


def config_page() -> str:
    intro = (
        "They hold for everyone who uses the workspace: `turnout config KEY VALUE`. A run takes "
        "them as they are when it starts."
    )
    parts = (
        f"## {key}\n\n{setting.help}\n\nValue: `{setting.kind}`. "
        + (f"Default: `{setting.default}`." if setting.default else "Not set by default.")
        for key, setting in config.KNOWN.items()
    )
    return page("Settings of the workspace", intro, parts)


def curated_page() -> str:
    intro = (
        "Environments that are there in every workspace: `turnout submit train.py --environment "
        'scikit-learn`, `Environment.get(ws, "scikit-learn")`. They name packages of PyPI; clone '
        "one to add your own."
    )
    return page("Curated environments", intro, curated_parts())


def curated_parts() -> Iterator[str]:
    for name, found in curated.CURATED.items():
        packages = [*(f"`{p}`" for p in found.pip), *(f"`{o}`" for o in found.pip_options)]
        yield "\n\n".join(
            [
                f"## {name}",
                f"{found.description} Version {found.version}.",
                f"Packages: {', '.join(packages)}." if packages else "No packages.",
                "Also under v1's names that begin with `AzureML` and have one of these words: "
                f"{', '.join(found.families)}.",
            ]
        )


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
    intro = (
        "What each kind can carry, as its class declares it. Tuning, AutoML and pipelines are not "
        "built yet, and GPUs were not tried: a script finds what its machine has."
    )
    return page("Kinds of target", intro, target_parts())


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
    engines = {name: registry.kind(name) for name in registry.ENGINES}
    for name, kind in {**kinds, **engines}.items():
        rows = [
            [
                f"`{key}`",
                "" if field.default is None else f"`{field.default!r}`",
                field.description or "",
            ]
            for key, field in kind.config_model.model_fields.items()
        ]
        intro = " ".join((kind.config_model.__doc__ or "").split())
        configuration = table(["key", "default", "what"], rows) if rows else ""
        what = "What clusters are made on." if kind.is_engine else f"v1's type: `{kind.v1_type}`."
        yield "\n\n".join(t for t in (f"## {name}", what, intro, configuration) if t)


def main() -> None:
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
