"""Options and answers that v1's commands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from turnout.cli.terminal import print_json, print_table, printable
from turnout.spec.errors import UserError

#: Options of v1 that say where the workspace is. The service is found by itself.
IGNORED = {
    ("--workspace-name", "--workspace", "-w"): "NAME",
    ("--resource-group", "--group", "-g"): "NAME",
    ("--subscription-id", "--subscription"): "ID",
}
FORMATS = ("json", "jsonc", "yaml", "table", "tsv", "none")
#: A step of `--query`: a name, an index, or all of a list.
STEP = re.compile(r"""\.?([A-Za-z_][A-Za-z0-9_]*|"[^"]+")|\[(-?\d*|\*)\]""")


class AsV1(argparse.Action):
    """An option that only v1 has: whoever gives it reads v1's answer."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, True if self.nargs == 0 else values)
        namespace.output = namespace.output or "json"


def add_common(parser: argparse.ArgumentParser, *, output: str | None = "json") -> None:
    """What every command of v1 takes; `output` is the format without `--output`: none is ours."""
    group = parser.add_argument_group("as in Azure ML v1")
    for names, metavar in IGNORED.items():
        group.add_argument(*names, action=AsV1, metavar=metavar, help="taken, without effect")
    group.add_argument(
        "-o",
        "--output",
        type=str.lower,
        choices=FORMATS,
        default=output,
        metavar="FORMAT",
        help="v1's answer as json, yaml, table, tsv or none"
        + (f" (default {output})" if output else ""),
    )
    group.add_argument(
        "--query",
        action=AsV1,
        metavar="PATH",
        help="a part of the answer: status, [0].runId or [].properties",
    )
    add_quiet(group)


def add_place(parser: argparse.ArgumentParser) -> None:
    """Where the workspace is, for a command whose answer is not v1's."""
    for names in IGNORED:
        parser.add_argument(*names, dest="ignored", help=argparse.SUPPRESS)


def add_quiet(group: Any) -> None:
    for name in ("--verbose", "--debug", "--only-show-errors"):
        group.add_argument(name, dest="ignored", action="store_true", help=argparse.SUPPRESS)


def answer(given: argparse.Namespace, data: Any) -> None:
    """Print what a command found, in the format asked for."""
    if given.query:
        data = pick(data, given.query)
    output = given.output
    if output in ("json", "jsonc"):
        print_json(data)
    elif output == "yaml":
        import yaml

        print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), end="")
    elif output in ("table", "tsv"):
        print_records(data if isinstance(data, list) else [data], tabs=output == "tsv")


def print_records(records: Sequence[Any], *, tabs: bool) -> None:
    """A line for each; what is itself a list or a mapping does not fit on one."""
    if not all(isinstance(record, dict) for record in records):
        for record in records:
            print("" if record is None else printable(record))
        return
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


def pick(data: Any, query: str) -> Any:
    """The part of `data` that a path names: what v1's scripts ask for of JMESPath.

    >>> pick({"a": [{"b": 1}, {"b": 2}, {}]}, "a[].b"), pick([{"b": 1}], "[0].b")
    ([1, 2], 1)
    """
    at = 0
    steps: list[str] = []
    while at < len(query):
        found = STEP.match(query, at)
        if found is None:
            raise UserError(
                f"--query '{query}': only names, indexes and [] are understood, such as "
                "[0].runId. For more, read the JSON with a program such as jq."
            )
        steps.append(found[0].removeprefix("."))
        at = found.end()
    return follow(data, steps)


def follow(data: Any, steps: Sequence[str]) -> Any:
    for i, step in enumerate(steps):
        if step in ("[]", "[*]"):
            if not isinstance(data, list):
                return None
            found = (follow(item, steps[i + 1 :]) for item in data)
            return [item for item in found if item is not None]
        if step.startswith("["):
            index = int(step[1:-1])
            is_there = isinstance(data, list) and -len(data) <= index < len(data)
            data = data[index] if is_there else None
        else:
            data = data.get(step.strip('"')) if isinstance(data, dict) else None
    return data
