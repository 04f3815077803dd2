"""Argument lists as one line for a login shell that is not known: sh, bash, zsh, csh, fish."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from turnout.spec.errors import UserError

PLAIN = re.compile(r"[A-Za-z0-9_./:,@%+-]+")
#: What means something inside single quotes to one of the shells: fish reads backslashes, csh `!`.
SPECIAL = re.compile(r"[\\'!]")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Undoes `encode` and runs the result. The login shell sees neither line ends nor quotes in `$1`.
DECODE = 'eval "$(printf %b "$1")"'


def command_line(argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """The line that runs `argv` with `env` added; each word arrives as it is.

    `env` can be seen by every user of that machine while the command runs: nothing secret in it.

    >>> command_line(["echo", "it's $HOME"], {"A": "1"})
    "env A=1 echo 'it'\\\\''s $HOME'"
    """
    words = list(argv)
    if env:
        for name in env:
            if not NAME.fullmatch(name):
                raise UserError(f"'{name}' cannot be an environment variable's name.")
        words = ["env", *(f"{k}={v}" for k, v in env.items()), *words]
    if any("\0" in word for word in words):
        raise UserError("Arguments cannot contain a NUL character.")
    if any(CONTROL.search(word) for word in words):
        return f"sh -c '{DECODE}' sh '{encode(shlex.join(words))}'"
    return " ".join(quote(word) for word in words)


def quote(word: str) -> str:
    """One word without control characters, for any of the shells."""
    if PLAIN.fullmatch(word):
        return word
    parts = re.split(r"([\\'!])", word)
    text = "".join(
        f"\\{part}" if SPECIAL.fullmatch(part) else f"'{part}'" for part in parts if part
    )
    return text or "''"


def encode(script: str) -> str:
    """`script` in the form that `printf %b` undoes, without line ends, quotes and `!`."""
    return re.sub(r"[\x00-\x1f\x7f\\'!]", lambda m: f"\\0{ord(m.group()):03o}", f"exec {script}")
