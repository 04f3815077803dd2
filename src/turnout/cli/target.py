"""`turnout target`: machines to run on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from turnout.cli.parsing import Noun, Parser, add_json, pairs
from turnout.cli.terminal import ago, print_fields, print_json, print_table, printable, say
from turnout.client.embedded import default_client
from turnout.client.http import segment
from turnout.spec.errors import NotFoundError, UserError

EXAMPLES = """\
  turnout target attach ssh lab --address lab.example.org --username ana
  turnout target attach ssh lab --ssh-config-host lab
  turnout target check lab
  turnout submit train.py --target lab"""


def main(argv: Sequence[str]) -> int:
    noun = Noun("target", "Targets: this machine, and those attached to run on.", EXAMPLES)
    add_json(noun.verb("list", show_all, "List targets with their state."))
    show = noun.verb("show", show_one, "Show a target's configuration (no secrets) and state.")
    check = noun.verb("check", check_again, "Try everything that a run needs there.")
    detach = noun.verb("detach", remove, "Forget a target. Nothing is removed on the machine.")
    for parser in (show, check, detach):
        parser.add_argument("name", metavar="NAME", help="the target's name")
    add_json(show)
    add_json(check)
    attach = noun.verb("attach", attach_ssh, "Check a machine and keep it as a target.")
    kinds = attach.add_subparsers(
        title="kinds", metavar="KIND", dest="kind", required=True, parser_class=Parser
    )
    about = "Attach a Linux machine that SSH reaches."
    declare_ssh(
        kinds.add_parser(
            "ssh",
            prog="turnout target attach ssh",
            about=about,
            examples=ATTACH_EXAMPLES,
            help=about,
        )
    )
    return noun.run(argv)


# -- reading -----------------------------------------------------------------------------------


def show_all(given: argparse.Namespace) -> int:
    found = default_client().get("/v1/targets")["targets"]
    if given.json:
        print_json(found)
        return 0
    rows = [
        (x["name"], x["kind"], x["provisioning_state"], place(x["config"]), ago(x["created_at"]))
        for x in found
    ]
    print_table(("TARGET", "KIND", "STATE", "WHERE", "ATTACHED"), rows)
    return 0


def show_one(given: argparse.Namespace) -> int:
    found = fetch(given.name)
    if given.json:
        print_json(found)
        return 0
    print_fields(
        {
            "target": found["name"],
            "kind": found["kind"],
            "state": found["provisioning_state"],
            "attached": ago(found["created_at"]),
            "description": printable(found["description"] or ""),
            "tags": printable(", ".join(f"{k}={v}" for k, v in (found["tags"] or {}).items())),
            **{name.replace("_", " "): value for name, value in found["config"].items()},
        }
    )
    print_problems(found)
    return 0


# -- changing ----------------------------------------------------------------------------------


def check_again(given: argparse.Namespace) -> int:
    fetch(given.name)
    found = default_client().post(f"/v1/targets/{segment(given.name)}/check")
    return tell(found, as_json=given.json)


def remove(given: argparse.Namespace) -> int:
    fetch(given.name)
    default_client().request("DELETE", f"/v1/targets/{segment(given.name)}")
    print(f"'{given.name}' is detached.")
    return 0


