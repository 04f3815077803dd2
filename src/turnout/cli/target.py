"""`turnout target`: clusters, attached machines and this one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from turnout.cli import attach, cluster
from turnout.cli.parsing import Noun, add_json
from turnout.cli.target_views import fetch, node_words, path_of, place, print_target, tell, watch
from turnout.cli.terminal import ago, print_json, print_table
from turnout.client.embedded import default_client
from turnout.client.http import Client
from turnout.spec.errors import NotFoundError, UserError

EXAMPLES = """\
  turnout target create cluster cpu --size STANDARD_D2_V2 --max-nodes 4
  turnout target show cpu --watch
  turnout target attach ssh lab --address lab.example.org --username ana
  turnout target check lab
  turnout submit train.py --target cpu"""


def main(argv: Sequence[str]) -> int:
    about = "Targets: this machine, clusters made here, and machines attached."
    noun = Noun("target", about, EXAMPLES)
    add_json(noun.verb("list", show_all, "List targets with their state."))
    show = noun.verb("show", show_one, "Show a target's configuration (no secrets) and state.")
    attach.declare(noun)
    cluster.declare(noun)
    check = noun.verb("check", check_again, "Try everything that a run needs there.")
    detach = noun.verb("detach", remove, "Forget a target. Nothing is removed on the machine.")
    for parser in (show, check, detach):
        parser.add_argument("name", metavar="NAME", help="the target's name")
    how = show.add_mutually_exclusive_group()
    how.add_argument("--watch", action="store_true", help="go on showing it, until Ctrl-C")
    how.add_argument("--json", action="store_true", help="print JSON, for programs")
    add_json(check)
    return noun.run(argv)


def show_all(given: argparse.Namespace) -> int:
    client = default_client()
    found = client.get("/v1/targets")["targets"]
    if given.json:
        print_json(found)
        return 0
    rows: list[tuple[object, ...]] = []
    for view in found:
        whole = with_cluster(client, view)
        nodes, waiting = "", ""
        if whole.get("cluster"):
            nodes, waiting = node_words(whole), whole["cluster"]["waiting"]
        state, since = view["provisioning_state"], ago(view["created_at"])
        rows.append((view["name"], view["kind"], state, place(view), nodes, waiting, since))
    print_table(("TARGET", "KIND", "STATE", "WHERE", "NODES", "WAITING", "SINCE"), rows)
    return 0


def with_cluster(client: Client, view: dict[str, Any]) -> dict[str, Any]:
    """The view with how the cluster is at the moment, which a list need not say."""
    if view["kind"] != "cluster" or view.get("cluster"):
        return view
    try:
        return client.get(path_of(view["name"]))
    except NotFoundError:
        return view  # deleted since the list was made


def show_one(given: argparse.Namespace) -> int:
    if given.watch:
        return watch(given.name)
    found = fetch(given.name)
    if given.json:
        print_json(found)
    else:
        print_target(found)
    return 0


def check_again(given: argparse.Namespace) -> int:
    fetch(given.name)
    found = default_client().post(f"{path_of(given.name)}/check")
    return tell(found, as_json=given.json)


def remove(given: argparse.Namespace) -> int:
    if fetch(given.name)["kind"] == "cluster":
        raise UserError(
            f"'{given.name}' was created here, not attached: turnout target delete {given.name}"
        )
    default_client().request("DELETE", path_of(given.name))
    print(f"'{given.name}' is detached.")
    return 0
