"""What happens to a version that cannot be had: exact if it can be, else the nearest newer one.

Pure rules over a `Channels` (see `rattler_child.py`), which solves and knows what there is.
A *pin* is a requirement of one version: "==1.5.2" or "1.5.*". It is impossible when it cannot even
be had together with the Python alone. Contradictions between packages are the person's to resolve.
"""

from __future__ import annotations

import difflib
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

PIN = re.compile(r"(?:==(?P<exact>[^=<>!~,|*]+)|(?P<stem>[^=<>!~,|*]+)\.\*)")
#: So many of the versions there are, are named.
NAMED = 12
#: So many packages are looked at alone: each costs a solve.
LOOKED_AT = 40


class Unsolvable(Exception):
    """The solver's own words."""


class Impossible(Exception):
    """The list cannot be had; `kind` and `facts` for the message."""

    def __init__(self, kind: str, text: str = "", **facts: Any) -> None:
        super().__init__(text)
        self.kind = kind
        self.facts = facts


def spec(package: dict[str, Any], version: str | None = None) -> str:
    """The solver's form of a package, with another version if given (and then any build)."""
    parts = {"version": package["version"] if version is None else version}
    parts["build"] = package["build"] if version is None else ""
    parts["channel"] = package["channel"]
    inside = ",".join("%s='%s'" % (key, value) for key, value in parts.items() if value)
    return "%s[%s]" % (package["name"], inside) if inside else package["name"]


def pinned(package: dict[str, Any]) -> str:
    """The version that a pin names: "1.5"; "" for what is no pin."""
    match = PIN.fullmatch(package["version"])
    return (match["exact"] or match["stem"]) if match else ""


def precision(package: dict[str, Any], version: str) -> str:
    """`version` pinned as closely as the person did: for "0.20.*", 0.23.1 becomes "0.23.*"."""
    match = PIN.fullmatch(package["version"])
    if match and match["exact"] and package["name"] != "python":
        return "==" + version
    wanted = pinned(package).count(".") + 1
    if package["name"] == "python":
        wanted = 2  # The last patch of a Python is always meant.
    return ".".join(version.split(".")[:wanted]) + ".*"


def solve(
    channels: Any, packages: list[dict[str, Any]], pins: str
) -> tuple[list[Any], list[dict[str, Any]]]:
    """(the solver's records, what was relaxed: `{"text", "name", "pin", "version", "python"}`).

    Raises `Impossible`.
    """
    try:
        return channels.solve([spec(p) for p in packages]), []
    except Unsolvable as e:
        words = str(e)
    unknown = [p for p in packages if not channels.versions(p["name"])]
    if [p["name"] for p in unknown] == ["pip"]:
        # Many lists name it for their pip part only, which is uv's here.
        records, changed = solve(channels, [p for p in packages if p["name"] != "pip"], pins)
        return records, [*changed, {"text": unknown[0]["text"], "name": "pip"}]
    refuse_unknown(channels, unknown)
    impossible = impossible_ones(channels, packages)
    if not impossible:
        raise Impossible("contradiction", words)
    refuse_hopeless(channels, packages, impossible, pins)
    replaced = [package for package, _ in impossible]
    # First beside what else is restricted; what is not takes its newest version then, which the
    # search for the lowest would keep from it. Where that does not go together: beside everything.
    restricted = [p for p in packages if p["version"] or p["build"]]
    try:
        return relaxed(channels, packages, replaced, restricted)
    except Unsolvable:
        pass
    try:
        return relaxed(channels, packages, replaced, packages)
    except Unsolvable as e:
        raise Impossible("contradiction", str(e), tried=[p["text"] for p in replaced]) from e


def relaxed(
    channels: Any,
    packages: list[dict[str, Any]],
    impossible: list[dict[str, Any]],
    beside: list[dict[str, Any]],
) -> tuple[list[Any], list[dict[str, Any]]]:
    """As `solve`, with the nearest newer versions in place of the impossible ones."""
    specs = [spec(p, ">=" + pinned(p)) if p in impossible else spec(p) for p in beside]
    nearest = versions_of(channels.solve(specs, lowest=True))
    changed = {id(p): precision(p, nearest[p["name"]]) for p in impossible}
    records = channels.solve([spec(p, changed.get(id(p))) for p in packages])
    had = versions_of(records)
    return records, [
        {
            "text": p["text"],
            "name": p["name"],
            "pin": pinned(p),
            "version": had[p["name"]],
            "python": had["python"],
        }
        for p in impossible
    ]


def versions_of(records: Sequence[Any]) -> dict[str, str]:
    return {r.name.normalized: str(r.version) for r in records}


def refuse_unknown(channels: Any, unknown: list[dict[str, Any]]) -> None:
    if not unknown:
        return
    names = channels.package_names()
    raise Impossible(
        "unknown",
        packages=[
            {"text": p["text"], "name": p["name"], "near": near(p["name"], names)} for p in unknown
        ],
    )


def near(name: str, names: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(name, names, n=3, cutoff=0.8)


def impossible_ones(
    channels: Any, packages: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], str]]:
    """The packages that cannot be had alone, or alone with the Python that was asked for, each
    with the solver's words."""
    pythons = [p for p in packages if p["name"] == "python"]
    found: list[tuple[dict[str, Any], str]] = []
    words = why_not(channels, [spec(p) for p in pythons])
    if words:
        # Without a text: what Turnout needs itself. It is no wish that could be relaxed.
        found = [(p, words) for p in pythons if p["version"] and p["text"]]
    # What else is impossible shows only with a Python that is possible.
    floor = [spec(p) for p in pythons if not words or not p["text"]]
    others = [p for p in packages if p["name"] != "python" and (p["version"] or p["build"])]
    found += [(p, why_not(channels, [*floor, spec(p)])) for p in others[:LOOKED_AT]]
    return [(package, words) for package, words in found if words]


def why_not(channels: Any, specs: Sequence[str]) -> str:
    """The solver's words; "" when it can be had."""
    try:
        channels.solve(specs)
    except Unsolvable as e:
        return str(e) or "no reason given"
    return ""


def refuse_hopeless(
    channels: Any,
    packages: list[dict[str, Any]],
    impossible: list[tuple[dict[str, Any], str]],
    pins: str,
) -> None:
    """With exact pins every impossible one ends it; else those that have nothing newer."""
    asked = next((p["text"] for p in packages if p["name"] == "python" and p["text"]), "")
    hopeless: list[dict[str, Any]] = []
    for package, words in impossible:
        version = pinned(package)
        exact = pins == "exact" or not version
        if exact or why_not(channels, [spec(package, ">=" + version)]):
            known = channels.versions(package["name"])
            hopeless.append(
                {
                    "text": package["text"],
                    "name": package["name"],
                    "pin": bool(version),
                    "exact": pins == "exact",
                    "exists": is_there(known, version),
                    "versions": known[-NAMED:],
                    "more": max(len(known) - NAMED, 0),
                    "python": asked,
                    "words": words,
                }
            )
    if hopeless:
        raise Impossible("hopeless", packages=hopeless)


def is_there(known: Sequence[str], version: str) -> bool:
    """Whether the channel has the pinned version, for whatever Python."""
    return any(v == version or v.startswith(version + ".") for v in known) if version else False
