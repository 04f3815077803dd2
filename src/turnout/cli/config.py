"""`turnout config`: settings of the workspace, which hold for everyone who uses it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from turnout.cli.parsing import Noun, add_json
from turnout.cli.terminal import print_fields, print_json, print_table, printable
from turnout.client.embedded import default_client
from turnout.client.http import segment
from turnout.spec.errors import NotFoundError, UserError

EXAMPLES = """\
  turnout config environments.conda pypi          short for `config set`
  turnout config environments.conda = pypi        the same
  turnout config environments.conda               short for `config get`
  turnout config set environments.channel.conda-forge https://mirror.example.org/conda-forge"""
VERBS = ("list", "get", "set", "unset")


def main(argv: Sequence[str]) -> int:
    noun = Noun("config", "Settings of the workspace. They hold for everyone.", EXAMPLES)
    add_json(noun.verb("list", show_all, "List the settings with their values."))
    get = noun.verb("get", show_one, "Show one setting.")
    put = noun.verb("set", change, "Set a value.")
    unset = noun.verb("unset", forget, "Back to the default.")
    for parser in (get, put, unset):
        parser.add_argument("key", metavar="KEY", help="such as environments.conda")
    put.add_argument("value", nargs="+", metavar="VALUE", help="the value; '=' may go before it")
    add_json(get)
    return noun.run(expand(argv))


def expand(argv: Sequence[str]) -> list[str]:
    """The short forms as commands.

    >>> expand(["a.b", "=", "c"]), expand(["a.b=c"]), expand(["a.b"]), expand(["list"])
    (['set', 'a.b', '=', 'c'], ['set', 'a.b', '=', 'c'], ['get', 'a.b'], ['list'])
    """
    words = list(argv)
    if not words or words[0] in VERBS or words[0].startswith("-") or "." not in words[0]:
        if words[:1] == ["set"] and len(words) > 1 and "=" in words[1]:
            return ["set", *split(words[1]), *words[2:]]
        return words
    words = [*split(words[0]), *words[1:]]
    is_read = all(word.startswith("-") for word in words[1:])
    return ["get" if is_read else "set", *words]


def split(word: str) -> list[str]:
    key, equals, value = word.partition("=")
    return [key, *([equals] if equals else []), *([value] if value else [])]


def settings() -> dict[str, dict[str, Any]]:
    return {x["key"]: x for x in default_client().get("/v1/config")["settings"]}


def show_all(given: argparse.Namespace) -> int:
    found = list(settings().values())
    if given.json:
        print_json(found)
        return 0
    rows = [(x["key"], x["value"], "" if x["is_set"] else "default", x["kind"]) for x in found]
    print_table(("SETTING", "VALUE", "", "ONE OF"), rows)
    return 0


def show_one(given: argparse.Namespace) -> int:
    found = settings()
    view = found.get(given.key)
    if view is None and given.key.startswith("environments.channel."):
        raise NotFoundError(f"'{given.key}' is not set.")
    if view is None:
        from turnout.spec.records import nearest

        raise NotFoundError(
            f"There is no setting '{given.key}'{nearest(given.key, found)}. "
            "`turnout config list` shows them all."
        )
    if given.json:
        print_json(view)
    else:
        print_fields(
            {
                "value": printable(view["value"]),
                "default": view["default"],
                "one of": view["kind"],
                "what": view["help"],
            }
        )
    return 0


def change(given: argparse.Namespace) -> int:
    words = given.value[1:] if given.value[0] == "=" else given.value
    if len(words) > 1:
        raise UserError(f"One value, not {len(words)}: put it into quotes.")
    # An `=` alone at the end empties the setting.
    value = words[0] if words else ""
    found = default_client().request("PUT", f"/v1/config/{segment(given.key)}", {"value": value})
    print(f"{found['key']} = {printable(found['value'])}")
    return 0


def forget(given: argparse.Namespace) -> int:
    default_client().request("DELETE", f"/v1/config/{segment(given.key)}")
    print(f"{given.key} is at its default.")
    return 0
