"""`turnout history`: runs, as v1 listed them before May 2019."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from turnout.cli.parsing import Noun, count
from turnout.cli.v1_options import add_common, answer


def main(argv: Sequence[str]) -> int:
    noun = Noun("history", "Runs, as Azure ML v1 listed them. `turnout run list` says more.")
    runs = noun.verb("list", show_all, "List the runs of the folder's experiment, newest first.")
    runs.add_argument(
        "-e",
        "--experiment-name",
        "--history",
        metavar="NAME",
        help="experiment (default: the one that the folder is attached to, else all)",
    )
    runs.add_argument("--path", type=Path, default=Path(), metavar="DIR", help="default .")
    runs.add_argument("--last", type=count, default=10, metavar="N", help="so many (default 10)")
    add_common(runs)
    return noun.run(argv)


def show_all(given: argparse.Namespace) -> int:
    from turnout.cli import v1_folder, v1_run
    from turnout.client.embedded import default_client

    experiment = given.experiment_name or v1_folder.experiment_of(given.path)
    query = {"experiment": experiment, "limit": max(given.last, 1)}
    runs = default_client().get("/v1/runs", query)["runs"]
    answer(given, [v1_run.summary(view) for view in runs])
    return 0
