"""HTML for notebooks: small tables, everything in them escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar


class Summed(Protocol):
    """What can be a row of a table."""

    def _summary(self) -> dict[str, object]: ...


Value = TypeVar("Value", bound=Summed)

#: Colours come from the page, so that a dark theme stays dark.
CELL = "text-align:left;vertical-align:top;padding:2px 10px 2px 0"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


class Named(dict[str, Value]):
    """A dictionary by name that a notebook shows as a table, one object a row."""

    def _repr_html_(self) -> str:
        rows: list[dict[str, object]] = [value._summary() for value in self.values()]
        heads = list(dict.fromkeys(head for row in rows for head in row))
        return table(heads, [[row.get(head, "") for head in heads] for row in rows])


def escape(value: object) -> str:
    """`value` as HTML text, also within quotes.

    >>> escape("<b>"), escape(None), escape(Markup("<b>"))
    ('&lt;b&gt;', '', '<b>')
    """
    if isinstance(value, Markup):
        return str(value)
    return "" if value is None else html.escape(str(value))


def table(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table with a line of heads."""
    top = "".join(f'<th style="{CELL}">{escape(head)}</th>' for head in heads)
    lines = "".join(
        "<tr>" + "".join(f'<td style="{CELL}">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def facts(pairs: dict[str, Any]) -> str:
    """A table of one object: its facts by name, on one line."""
    return table(list(pairs), [list(pairs.values())])


def details(pairs: dict[str, Any], text: str) -> str:
    """As `facts`, with everything else there is in `text`, folded."""
    rest = f"<pre>{escape(text)}</pre>"
    return f"{facts(pairs)}<details><summary>All settings</summary>{rest}</details>"


def link(address: str, text: str) -> Markup:
    """A link; only its text for an address that is not of the web."""
    if not address.startswith(("http://", "https://")):
        return Markup(escape(text) if address else "")
    return Markup(f'<a href="{escape(address)}" target="_blank" rel="noopener">{escape(text)}</a>')
