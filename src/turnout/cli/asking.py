"""What is asked on the terminal: secrets, and yes or no."""

from __future__ import annotations

import sys

from turnout.spec.errors import UserError


def secret(prompt: str, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UserError(
            f"{prompt.rstrip(': ')} is needed and there is no terminal to ask on. Use "
            "--password-stdin or --passphrase-stdin."
        )
    from getpass import getpass

    return getpass(prompt)


def agreed(question: str) -> bool:
    """Whether the person says yes. Ask only where there is a terminal."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
