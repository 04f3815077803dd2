"""`turnout version`."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import turnout
from turnout.cli.parsing import Parser, add_json
from turnout.cli.terminal import print_json


def main(argv: Sequence[str]) -> int:
    parser = Parser("turnout version", "Show the version of Turnout and of its Python.")
    add_json(parser)
    if parser.parse_args(argv).json:
        print_json({"turnout": turnout.__version__, "python": platform.python_version()})
    else:
        print(f"turnout {turnout.__version__} (Python {platform.python_version()})")
    return 0
