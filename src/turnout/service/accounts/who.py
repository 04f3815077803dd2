"""Whose request this is."""

from __future__ import annotations

from contextvars import ContextVar

#: The user of the request in hand, as the client named it; "" in the service's own loops.
who: ContextVar[str] = ContextVar("who", default="")
#: Longest name that is kept.
NAME_LIMIT = 64


def named(text: str) -> str:
    """A name from outside, fit to be shown on one line.

    >>> named("  ana\\nb ")
    'anab'
    """
    return "".join(c for c in text if c.isprintable()).strip()[:NAME_LIMIT]
