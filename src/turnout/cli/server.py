"""`turnout server`: the service on TCP. The one command that imports the service."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    from turnout.service import server

    return server.main(argv)
