"""`turnout migrate`: which of v1's names scripts and notebooks use, and which are served."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from turnout.cli.parsing import Parser, add_json
from turnout.cli.terminal import print_json, printable
from turnout.client.migration.report import Count, FileReport, check, count

EXAMPLES = """\
  turnout migrate notebooks/
  turnout migrate train.py submit.ipynb --unserved"""


def main(argv: Sequence[str]) -> int:
    about = (
        "Read scripts and notebooks written for Azure Machine Learning's v1 SDK, without running "
        "them, and say which of its names they use and whether Turnout serves them."
    )
    parser = Parser("turnout migrate", about, EXAMPLES)
    parser.add_argument("paths", metavar="PATH", nargs="+", help="a script, notebook or folder")
    parser.add_argument(
        "--unserved", action="store_true", help="show only what is not served, or not readable"
    )
    add_json(parser)
    given = parser.parse_args(argv)
    reports, read = check(Path(path) for path in given.paths)
    total = count(reports)
    if given.json:
        print_json({"files": [as_data(r) for r in reports], "count": dataclasses.asdict(total)})
        return 0
    for report in reports:
        if not given.unserved or not report.is_served:
            show(report, unserved_only=given.unserved)
    print(summary(total, read))
    return 0


def show(report: FileReport, *, unserved_only: bool) -> None:
    served = len(report.uses) - len(report.unserved)
    print(f"{printable(report.path)}: {served} of {len(report.uses)} names served")
    for problem in report.problems:
        print(f"  not readable: {printable(problem)}")
    uses = report.unserved if unserved_only else report.uses
    width = max((len(use.name) for use in uses), default=0)
    for use in uses:
        if use.why:
            print(f"  no   {use.name.ljust(width)}  {use.where}: {use.why}")
        else:
            print(f"  yes  {use.name.ljust(width)}  {use.where}")
    print()


def summary(total: Count, read: int) -> str:
    """
    >>> summary(Count(2, 1, 30, 29), 5)
    '5 files read, 2 use v1, 1 of them only what is served. 30 names of v1: 29 served, 1 not.'
    """
    files = "1 file" if read == 1 else f"{read} files"
    if not total.files:
        return f"{files} read, none uses azureml."
    return (
        f"{files} read, {total.files} use v1, {total.files_served} of them only what is "
        f"served. {total.names} names of v1: {total.names_served} served, "
        f"{total.names - total.names_served} not."
    )


def as_data(report: FileReport) -> dict[str, object]:
    return {
        "path": str(report.path),
        "uses": [dataclasses.asdict(use) for use in report.uses],
        "problems": list(report.problems),
        "served": report.is_served,
    }
