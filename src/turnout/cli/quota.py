"""`turnout quota`: how much the clusters, targets and runs of the workspace may come to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from turnout.cli.parsing import Noun, add_json
from turnout.cli.terminal import print_json, print_table
from turnout.client.embedded import default_client
from turnout.client.http import segment
from turnout.spec.errors import NotFoundError

EXAMPLES = """\
  turnout quota show
  turnout quota set cores:standardDv2Family 8     cores of all nodes of that family at once
  turnout quota set runs 20                       runs that wait or work
  turnout quota unset runs"""


def main(argv: Sequence[str]) -> int:
    noun = Noun("quota", "Quotas of the workspace. They hold for everyone.", EXAMPLES)
    show = noun.verb("show", show_all, "Show the quotas and what is in use of them.")
    show.add_argument("name", nargs="?", metavar="NAME", help="only this one")
    show.add_argument(
        "--all", action="store_true", help="with the families of sizes that nobody uses"
    )
    add_json(show)
    put = noun.verb("set", change, "Set a limit.")
    request = noun.verb("request", ask, "The same as `set`: nobody has to approve it.")
    unset = noun.verb("unset", forget, "Back to the default.")
    for parser in (put, request, unset):
        parser.add_argument("name", metavar="NAME", help="nodes, targets, runs or cores:FAMILY")
    for parser in (put, request):
        parser.add_argument("limit", metavar="LIMIT", type=int, help="a number")
    return noun.run(argv)


def quotas() -> list[dict[str, Any]]:
    return default_client().get("/v1/quotas")["quotas"]


def show_all(given: argparse.Namespace) -> int:
    every = quotas()
    found = [x for x in every if given.all or is_of_interest(x)]
    if given.name:
        found = [x for x in every if x["name"].casefold() == given.name.casefold()]
    if given.name and not found:
        from turnout.spec.records import nearest

        raise NotFoundError(
            f"There is no quota '{given.name}'{nearest(given.name, [x['name'] for x in every])}. "
            "`turnout quota show --all` lists them."
        )
    if given.json:
        print_json(found)
        return 0
    rows = [(x["name"], x["used"], words(x["limit"]), words(x["default"])) for x in found]
    print_table(("QUOTA", "IN USE", "LIMIT", "DEFAULT"), rows)
    if not given.name and not given.all:
        print("Every family of sizes has one for its cores: turnout quota show --all")
    return 0


def is_of_interest(view: dict[str, Any]) -> bool:
    """Whether it is one of the workspace, in use, or set."""
    return ":" not in view["name"] or view["used"] > 0 or view["limit"] != view["default"]


def words(limit: int | None) -> str:
    return "none" if limit is None else str(limit)


def change(given: argparse.Namespace) -> int:
    path = f"/v1/quotas/{segment(given.name)}"
    found = default_client().request("PUT", path, {"limit": given.limit})
    print(f"{found['name']} = {found['limit']} ({found['used']} in use)")
    return 0


def ask(given: argparse.Namespace) -> int:
    code = change(given)
    print("Nobody has to approve it in a self-hosted workspace: it holds at once.")
    return code


def forget(given: argparse.Namespace) -> int:
    default_client().request("DELETE", f"/v1/quotas/{segment(given.name)}")
    print(f"{given.name} is at its default.")
    return 0
