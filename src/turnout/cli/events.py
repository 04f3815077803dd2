"""`turnout events`: who did what in the workspace."""

from __future__ import annotations

from collections.abc import Sequence

from turnout.cli.parsing import Parser, add_json, count
from turnout.cli.terminal import ago, print_json, print_table
from turnout.client.embedded import default_client

EXAMPLES = """\
  turnout events
  turnout events --kind target --name lab      who attached it, who changed it
  turnout events --who ana --limit 20"""


def main(argv: Sequence[str]) -> int:
    parser = Parser(
        "turnout events",
        "Who did what in the workspace, the newest first: runs submitted and canceled, targets\n"
        "attached, quotas and settings set. Kept for 180 days.",
        EXAMPLES,
    )
    parser.add_argument("--kind", default="", metavar="KIND", help="only of: run, target, quota …")
    parser.add_argument(
        "--name", default="", metavar="NAME", help="only what has this in its name"
    )
    parser.add_argument("--who", default="", metavar="USER", help="only of this user")
    parser.add_argument(
        "--limit",
        type=count,
        default=50,
        metavar="N",
        help="at most so many (default 50, up to 500)",
    )
    add_json(parser)
    given = parser.parse_args(list(argv))
    query = {"kind": given.kind, "name": given.name, "who": given.who, "limit": given.limit}
    found = default_client().get("/v1/events", query)["events"]
    if given.json:
        print_json(found)
    elif found:
        rows = [
            (ago(e["at"]), e["who"] or "Turnout", e["action"], e["kind"], e["name"]) for e in found
        ]
        print_table(("WHEN", "WHO", "DID", "WHAT", "NAME"), rows)
    else:
        print("Nothing of that kind was done yet.")
    return 0
