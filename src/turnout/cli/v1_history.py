"""`turnout history`: runs, as v1 listed them before May 2019."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turnout.cli.parsing import Noun, count
from turnout.cli.v1_options import add_common, answer
from turnout.spec.errors import NotFoundError

EXAMPLES = """\
  turnout history list -o table
  turnout history last --query status -o tsv"""


def main(argv: Sequence[str]) -> int:
    about = "Runs with their metrics, as Azure ML v1 listed them before May 2019."
    noun = Noun("history", about, EXAMPLES)
    runs = noun.verb("list", show_all, "List the runs of the folder's experiment, newest first.")
    runs.add_argument("--last", type=count, default=10, metavar="N", help="so many (default 10)")
    last = noun.verb("last", show_last, "Show the newest run of the folder's experiment.")
    for parser in (runs, last):
        parser.add_argument(
            "-e",
            "--experiment-name",
            metavar="NAME",
            help="experiment (default: the one that the folder is attached to, else all)",
        )
        parser.add_argument("--path", type=Path, default=Path(), metavar="DIR", help="default .")
        add_common(parser)
    return noun.run(argv)


def find(given: argparse.Namespace, limit: int) -> list[dict[str, Any]]:
    from turnout.cli import v1_folder
    from turnout.client.embedded import default_client

    experiment = given.experiment_name or v1_folder.experiment_of(given.path)
    query = {"experiment": experiment, "limit": max(limit, 1)}
    return default_client().get("/v1/runs", query)["runs"]


def record(view: dict[str, Any]) -> dict[str, Any]:
    """A run with its metrics beside v1's keys; a metric of many values has its last."""
    from turnout.cli import v1_run
    from turnout.cli.run import path_of
    from turnout.client.embedded import default_client
    from turnout.payload.values import decode

    found = decode(default_client().get(f"{path_of(view)}/metrics")["metrics"])
    metrics = {k: v[-1] if isinstance(v, list) and v else v for k, v in found.items()}
    return {**metrics, "run_id": view["id"], **v1_run.summary(view)}


def show_all(given: argparse.Namespace) -> int:
    answer(given, [record(view) for view in find(given, given.last)])
    return 0


def show_last(given: argparse.Namespace) -> int:
    found = find(given, 1)
    if not found:
        raise NotFoundError("There are no such runs yet: turnout run submit -c local train.py")
    answer(given, record(found[0]))
    return 0
