"""What v1's `environment` commands took and answered, for `turnout environments`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.cli.parsing import Noun
from turnout.cli.v1_options import AsV1, add_common, answer

if TYPE_CHECKING:
    from turnout.client.environment import Environment


def declare(noun: Noun) -> None:
    """The verbs that only v1 had."""
    for verb, command, about in (
        ("download", download, "Write an environment as a folder of files that can be edited."),
        ("scaffold", scaffold, "Write the folder of a new environment, to be filled in."),
    ):
        parser = noun.verb(verb, command, about)
        parser.add_argument("-n", "--name", required=True, metavar="NAME", help="its name")
        parser.add_argument(
            "-d", "--directory", type=Path, required=True, metavar="DIR", help="the folder"
        )
        if verb == "download":
            parser.add_argument("-v", "--version", help="default: the newest")
            parser.add_argument("--overwrite", action="store_true", help="replace what is there")
        add_common(parser)


def add_name(parser: argparse.ArgumentParser) -> None:
    """v1's way to name an environment that is there."""
    add_common(parser, output=None)
    parser.add_argument("-n", "--name", action=AsV1, default=argparse.SUPPRESS, help="as NAME")
    parser.add_argument("-v", "--version", action=AsV1, help="a version of it")


def add_folder(parser: argparse.ArgumentParser) -> None:
    """v1's way to say what an environment holds."""
    add_common(parser, output=None)
    parser.add_argument(
        "-d",
        "--directory",
        action=AsV1,
        type=Path,
        metavar="DIR",
        help="a folder that download or scaffold wrote; it says the name too",
    )


def record(environment: Environment) -> dict[str, Any]:
    """An environment with v1's keys; no password is in it."""
    from turnout.client.run_config_data import plain

    return plain(environment)


def register(given: argparse.Namespace) -> int:
    from turnout.client.environment import Environment
    from turnout.client.workspace import Workspace

    found = Environment.load_from_directory(given.directory)
    found.name = given.name or found.name
    answer(given, record(found.register(Workspace())))
    return 0


def show(given: argparse.Namespace) -> int:
    from turnout.client.environment import Environment
    from turnout.client.workspace import Workspace

    answer(given, record(Environment.get(Workspace(), given.name, given.version)))
    return 0


def show_all(given: argparse.Namespace) -> int:
    from turnout.client.environment import Environment
    from turnout.client.workspace import Workspace

    answer(given, [record(found) for found in Environment.list(Workspace()).values()])
    return 0


def download(given: argparse.Namespace) -> int:
    from turnout.client.environment import Environment
    from turnout.client.workspace import Workspace

    found = Environment.get(Workspace(), given.name, given.version)
    found.save_to_directory(given.directory, overwrite=given.overwrite)
    answer(given, record(found))
    return 0


def scaffold(given: argparse.Namespace) -> int:
    from turnout.client.environment import Environment

    found = Environment(given.name)
    found.save_to_directory(given.directory)
    answer(given, record(found))
    return 0
