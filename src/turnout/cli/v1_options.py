"""Options and answers that v1's commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from turnout.cli.terminal import print_json, print_table, printable

#: Options of v1 that say where the workspace is. The service is found by itself.
IGNORED = {
    ("--workspace-name", "--workspace", "-w"): "NAME",
    ("--resource-group", "--group", "-g"): "NAME",
    ("--subscription-id", "--subscription"): "ID",
}
FORMATS = ("json", "jsonc", "yaml", "table", "tsv", "none")


def add_common(parser: argparse.ArgumentParser, *, output: str | None = "json") -> None:
    """What every command of v1 takes; `output` is the format without `--output`: none is ours."""
    group = parser.add_argument_group("as in Azure ML v1")
    add_ignored(group)
    group.add_argument(
        "-o",
        "--output",
        choices=FORMATS,
        default=output,
        metavar="FORMAT",
        help="v1's answer: json, yaml, table, tsv or none"
        + (f" (default {output})" if output else ""),
    )


def add_ignored(group: Any) -> None:
    for names, metavar in IGNORED.items():
        group.add_argument(*names, metavar=metavar, help="taken, without effect")
    for name in ("--verbose", "--debug", "--only-show-errors"):
        group.add_argument(name, dest="ignored", action="store_true", help=argparse.SUPPRESS)


def answer(given: argparse.Namespace, data: Any) -> None:
    """Print what a command found, in the format asked for."""
    output = given.output
    if output in ("json", "jsonc"):
        print_json(data)
    elif output == "yaml":
        import yaml

        print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), end="")
    elif output in ("table", "tsv"):
        records: list[dict[str, Any]] = data if isinstance(data, list) else [data]
        print_records(records, tabs=output == "tsv")


def print_records(records: Sequence[dict[str, Any]], *, tabs: bool) -> None:
    """A line for each; what is itself a list or a mapping does not fit on one."""
    names = list(
        dict.fromkeys(
            name
            for record in records
            for name, value in record.items()
            if not isinstance(value, dict | list)
        )
    )
    rows = [["" if (v := r.get(n)) is None else str(v) for n in names] for r in records]
    if tabs:
        for row in rows:
            print("\t".join(printable(cell) for cell in row))
    elif names:
        print_table([name[:1].upper() + name[1:] for name in names], rows)
