"""Whether something asked for passes a quota, and the words for it.

Names: "cores:FAMILY" (cores of a size family), "targets", "nodes", "runs:USER" (at once).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping


def check(
    limit: Mapping[str, int], used: Mapping[str, int], asked: Mapping[str, int]
) -> list[str]:
    """A sentence for each quota that `used` and `asked` together would pass; [] is a yes.

    A name without a limit is not limited. Asking for nothing more is never refused, even where
    a quota was lowered below what is in use.
    """
    sentences: list[str] = []
    for name in sorted(asked):
        more, now = asked[name], used.get(name, 0)
        if name not in limit or more <= 0 or now + more <= limit[name]:
            continue
        sentences.append(
            f"{_what(name, more)} would pass the quota '{name}': {now} of {limit[name]} "
            f"in use. Raise it: turnout quota set {shlex.quote(name)} {now + more}"
        )
    return sentences


def _what(name: str, more: int) -> str:
    kind, _, of = name.partition(":")
    thing = kind.removesuffix("s") if more == 1 else kind
    if kind == "cores":
        return f"{more} more {thing} of {of}"
    return f"{more} more {thing} of '{of}'" if of else f"{more} more {thing}"
