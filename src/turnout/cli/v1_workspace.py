"""`turnout workspace` and `turnout configure`: what v1's scripts say before they begin."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from turnout.cli.parsing import Noun, Parser, pairs
from turnout.cli.terminal import say
from turnout.cli.v1_options import add_common, add_quiet, answer


def main_workspace(argv: Sequence[str]) -> int:
    noun = Noun("workspace", "The workspace that the service keeps.")
    add_common(noun.verb("show", show_one, "Show the workspace."))
    add_common(noun.verb("list", show_all, "List it."))
    create = noun.verb("create", show_one, "Show the workspace: it is there already.")
    for names in (("-n", "--name"), ("-l", "--location"), ("--friendly-name",), ("--sku",)):
        create.add_argument(*names, dest="ignored", help="taken, without effect")
    for names in (("--exist-ok",), ("--yes", "-y")):
        create.add_argument(
            *names, dest="ignored", action="store_true", help="taken, without effect"
        )
    add_common(create)
    return noun.run(argv)


def record() -> dict[str, Any]:
    from turnout.client.workspace import Workspace

    found = Workspace().get_details()
    return {
        "id": found["id"],
        "name": found["name"],
        "workspaceName": found["name"],
        "workspaceid": found["name"],
        "location": found["location"],
        "resourceGroup": "",
        "subscription": "",
        "type": found["type"],
        "version": found["version"],
    }


def show_one(given: argparse.Namespace) -> int:
    answer(given, record())
    return 0


def show_all(given: argparse.Namespace) -> int:
    answer(given, [record()])
    return 0


def main_configure(argv: Sequence[str]) -> int:
    parser = Parser(
        "turnout configure",
        "Take v1's defaults. They have no effect: the service is found by itself.",
        "  turnout configure --defaults aml_workspace=my-workspace group=my-group",
    )
    parser.add_argument(
        "-d", "--defaults", nargs="+", default=[], metavar="NAME=VALUE", help="taken"
    )
    add_quiet(parser)
    given = parser.parse_args(argv)
    pairs("--defaults", given.defaults)
    say("There is nothing to configure: TURNOUT_HOME or TURNOUT_URL says where the service is.")
    return 0
