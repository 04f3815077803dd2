"""`turnout experiment`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from turnout.cli.parsing import Noun, add_json
from turnout.cli.terminal import ago, print_json, print_table
from turnout.cli.v1_options import add_common, answer
from turnout.client.embedded import default_client


def main(argv: Sequence[str]) -> int:
    noun = Noun("experiment", "Experiments: names under which runs are kept together.")
    experiments = noun.verb("list", show_all, "List experiments with their number of runs.")
    add_json(experiments)
    add_common(experiments, output=None)
    create = noun.verb("create", create_one, "As in v1: an experiment comes with its first run.")
    create.add_argument("-n", "--name", required=True, metavar="NAME", help="its name")
    add_common(create)
    return noun.run(argv)


def create_one(given: argparse.Namespace) -> int:
    from turnout.spec.runs import check_name

    answer(given, {"name": check_name("an experiment", given.name)})
    return 0


def show_all(given: argparse.Namespace) -> int:
    found = default_client().get("/v1/experiments")["experiments"]
    if given.output:
        answer(given, [{"name": x["name"], "createdOn": x["created_at"]} for x in found])
    elif given.json:
        print_json(found)
    elif found:
        rows = [(x["name"], x["runs"], ago(x["created_at"])) for x in found]
        print_table(("EXPERIMENT", "RUNS", "CREATED"), rows)
    else:
        print("No experiments yet. The first run makes one: turnout submit train.py")
    return 0
