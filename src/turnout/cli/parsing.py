"""Command lines by argparse, with our errors and a help that shows examples.

argparse and not a framework on top of it: importing one costs as much as a whole local run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from turnout.spec.errors import UserError
from turnout.spec.records import nearest

Command = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """No abbreviations; a mistake is a `UserError` that points to the help."""

    def __init__(self, prog: str, about: str, examples: str = "", **options: Any) -> None:
        super().__init__(
            prog=prog,
            description=about,
            epilog=f"examples:\n{examples}" if examples else None,
            formatter_class=HelpFormatter,
            allow_abbrev=False,
            **options,
        )

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message[:1].upper()}{message[1:]}. `{self.prog} --help` explains it.")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


class Noun:
    """`turnout NOUN VERB …`: declares the verbs and runs the one that is asked for."""

    def __init__(self, name: str, about: str, examples: str = "") -> None:
        self.parser = Parser(f"turnout {name}", about, examples)
        self.verbs = self.parser.add_subparsers(
            title="commands", metavar="COMMAND", dest="verb", parser_class=Parser
        )

    def verb(self, name: str, command: Command, about: str, examples: str = "") -> Parser:
        parser = self.verbs.add_parser(
            name, prog=f"{self.parser.prog} {name}", about=about, examples=examples, help=about
        )
        parser.set_defaults(command=command)
        return parser

    def run(self, argv: Sequence[str]) -> int:
        if argv and not argv[0].startswith("-") and argv[0] not in self.verbs.choices:
            raise UserError(
                f"{self.parser.prog} has no command '{argv[0]}'"
                f"{nearest(argv[0], self.verbs.choices)}. It has: {', '.join(self.verbs.choices)}."
            )
        found = self.parser.parse_args(argv)
        if found.verb is None:
            self.parser.print_help()
            return 0
        return found.command(found)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def add_run(parser: argparse.ArgumentParser) -> None:
    # Of the parser, before the argument is there: a default of its own would undo what an option
    # says that stands before it.
    parser.set_defaults(run="latest")
    parser.add_argument(
        "run",
        nargs="?",
        default=argparse.SUPPRESS,
        metavar="RUN",
        help="a run's id, a part that only its id has, or 'latest' (default)",
    )


def pairs(option: str, given: Sequence[str], *, value_needed: bool = True) -> dict[str, str]:
    """`["a=1"]` as a mapping.

    >>> pairs("--env", ["a=1", "b=x=y"])
    {'a': '1', 'b': 'x=y'}
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or (value_needed and not equals):
            raise UserError(f"{option} takes NAME=VALUE, not '{text}'.")
        found[name] = value
    return found


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    """
    >>> seconds("90"), seconds("2h"), seconds("1.5d")
    (90, 7200, 129600)
    """
    unit = UNITS.get(text[-1:], 0)
    try:
        found = int(float(text[:-1] if unit else text) * (unit or 1))
    except (ValueError, OverflowError):
        found = 0
    if found <= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no duration; write 3600, 90m, 2h or 1d")
    return found


def count(text: str) -> int:
    """A number of things; for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no number")
    return int(text)
