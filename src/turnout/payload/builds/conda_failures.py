"""What went wrong with a conda list, in words that need no log: the package, the requirement as it
was written, what there is instead, where, and what to do.
"""

from __future__ import annotations

import re

from turnout.payload.builds.conda_channels import named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from turnout.payload.builds.rattler_tool import ChildError

#: A solver's explanation is cut here: one screen.
LINES = 14
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
FULL = re.compile(r"No space left on device|Disk quota exceeded|os error 28\b|os error 122\b")


def unreachable(reasons: list[str]) -> str:
    return (
        "%s Check the network and the proxy there, name a mirror (turnout config "
        "environments.channel.NAME ADDRESS), or take the packages from PyPI (turnout config "
        "environments.conda pypi)." % " ".join(map(capital, reasons))
    )


def solve(e: ChildError, wanted: dict[str, Any]) -> str:
    """Why the list of `request.json` has no solution."""
    channels, oldest = wanted["channels"], wanted["oldest_python"]
    where = ", ".join(named(c) for c in channels)
    facts = e.facts
    if e.kind == "unknown":
        return "\n".join(unknown(p, where) for p in facts["packages"])
    if e.kind == "hopeless":
        return "\n".join(hopeless(p, where, oldest) for p in facts["packages"])
    if e.kind == "contradiction":
        return contradiction(str(e), facts.get("tried", []), where, wanted["packages"])
    if e.kind == "channel":
        return channel(str(e), channels)
    if FULL.search(str(e)):
        return full_disk()
    return "The conda packages could not be solved: %s" % shortened(str(e))


def unknown(package: dict[str, Any], where: str) -> str:
    near = package["near"]
    meant = " Did you mean %s?" % listed("'%s'" % n for n in near) if near else ""
    return (
        "'%s': there is no package '%s' in %s.%s Check its spelling; a package that only PyPI has "
        "belongs to the pip part." % (package["text"], package["name"], where, meant)
    )


def hopeless(package: dict[str, Any], where: str, oldest: str) -> str:
    python = "'%s'" % package["python"] if package["python"] else "Python %s or later" % oldest
    newer = "" if package["exact"] else ", nor anything newer"
    if package["name"] == "python":
        why = "cannot be had: Turnout needs Python %s or later" % oldest
    elif package["exists"]:
        why = "is in the channel, but cannot be had with %s%s" % (python, newer)
    elif package["pin"]:
        why, package = "does not exist%s" % newer, {**package, "words": ""}
    elif "No candidates were found for %s " % package["name"] in package["words"]:
        why, package = "fits no version that there is", {**package, "words": ""}
    else:
        why = "cannot be had with %s" % python
    more = " and %d older" % package["more"] if package["more"] else ""
    known = ", ".join(reversed(package["versions"])) + more
    text = "'%s' %s. In %s there is %s %s." % (
        *(package["text"], why, where, package["name"], known),
    )
    if package["words"] and package["name"] != "python":
        text += "\n%s\n" % tree(package["words"])
    return (
        text
        + ("" if text.endswith("\n") else " ")
        + "Ask for one of these, or leave the version out."
    )


def contradiction(words: str, tried: list[str], where: str, packages: list[dict[str, Any]]) -> str:
    named = ["'%s'" % p["text"] for p in packages if p["text"] and mentions(words, p["name"])]
    about = " (%s)" % listed(named) if named else ""
    text = "The packages cannot be installed together%s, from %s.\n%s" % (
        *(about, where, tree(words)),
    )
    if tried:
        quoted = listed("'%s'" % t for t in tried)
        text += "\nNewer versions in place of %s were tried." % quoted
    return text + "\nLeave one of the versions out, or ask for others."


def tree(words: str) -> str:
    """The solver's explanation without its first line, which says only that it failed."""
    lines = [line.rstrip() for line in words.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].lower().startswith(("cannot solve", "failed to solve")):
        first = lines[0].partition(":")[2].strip()
        lines = ([first] if first else []) + lines[1:]
    # The same explanation is repeated by the outer errors.
    unique = list(dict.fromkeys(lines))
    more = ["… (%d more lines in the log)" % (len(unique) - LINES)] if len(unique) > LINES else []
    return "\n".join(unique[:LINES] + more)


def channel(words: str, channels: list[dict[str, Any]]) -> str:
    """Which channel, and why it cannot be read."""
    guilty = next((c for c in channels if c["address"] in words), channels[0])
    cause = last_cause(words)
    return (
        "The channel %s cannot be read: %s. Check its address (turnout config "
        "environments.channel.NAME ADDRESS) and the network of the target."
        % (named(guilty), cause.rstrip("."))
    )


def last_cause(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return re.sub(r"^Caused by: ", "", lines[-1])[:300] if lines else "it does not say why"


def relaxed(word: dict[str, Any], oldest: str) -> str:
    """The note about a pin that gave way."""
    if "version" not in word:
        return (
            "'%s' is left out: the channel does not have it, and uv does its work." % word["text"]
        )
    reason = "cannot be had for Python %s" % word["python"]
    if word["name"] == "python":
        reason = "cannot be had"
        if numbers(word["pin"])[:2] < numbers(oldest):
            reason = "is too old: Turnout needs %s or later" % oldest
    return "'%s' %s. %s %s is installed instead, the nearest newer version." % (
        *(word["text"], reason, word["name"], word["version"]),
    )


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def install(e: ChildError, packages: list[dict[str, Any]]) -> str:
    words = str(e)
    if FULL.search(words):
        return full_disk()
    guilty = next((p for p in packages if p["file"] in words), None)
    guilty = guilty or next(
        (
            p
            for p in packages
            if re.search(r"\b%s-%s-" % (re.escape(p["name"]), re.escape(p["version"])), words)
        ),
        None,
    )
    what = "%(name)s %(version)s (%(url)s)" % guilty if guilty else ""
    if re.search(r"[Cc]orrupt|hash mismatch|[Cc]hecksum|sha256", words):
        return damaged(guilty)
    package = "The conda package %s" % what if what else "A conda package"
    return "%s could not be installed: %s" % (package, shortened(last_cause(words)))


def damaged(package: dict[str, Any] | None) -> str:
    what = "%(name)s %(version)s (%(url)s)" % package if package else "that was downloaded"
    return (
        "The package %s is damaged in its channel: its content is not what the channel's index "
        "says. Tell whoever keeps the channel, or ask for another version." % what
    )


def full_disk() -> str:
    return "The disk of the target is full. Make room there, then submit again."


def pip_part(said: str, provided: dict[str, str], wanted: dict[str, Any]) -> str:
    """What uv says about the pip part, with the requirements as the person wrote them."""
    text = ANSI.sub("", said)
    if FULL.search(text):
        return full_disk()
    found = re.search(r"(Because [\s\S]*?)(?:\n\s*\n|\n\s*hint|\Z)", text)
    words = re.sub(r"\s+", " ", found[1] if found else " ".join(text.splitlines()[-6:]))
    # Our stand-ins for conda packages are no addresses that a person knows.
    words = re.sub(r"\s*@ file://\S*/stubs/[^\s,]*", "", words)
    words = re.sub(r"\(from file://\S*/stubs/[^\s)]*\)", "", words)
    named = [line for line in wanted["pip"] if mentions(words, line)]
    quoted = listed("'%s'" % wanted["texts"].get(line, line) for line in named)
    about = "The pip part cannot be installed%s: " % (" (%s)" % quoted if quoted else "")
    held = [n for n in provided if re.search(r"(?<![\w-])%s(?![\w-])" % re.escape(n), words)]
    note = ""
    if held:
        what = listed("%s %s" % (name, provided[name]) for name in sorted(held))
        note = " From the conda part: %s." % what
    return about + shortened(words) + note


def mentions(words: str, line: str) -> bool:
    name = re.split(r"[^a-z0-9-]", line, maxsplit=1)[0]
    return bool(name) and bool(re.search(r"(?<![\w-])%s(?![\w-])" % re.escape(name), words))


def not_on_pypi(impossible: list[tuple[str, str]], why: str) -> str:
    """For what PyPI does not have: (text, reason) of each; `why` PyPI was asked at all."""
    lines = ["'%s' %s" % pair for pair in impossible]
    return "\n".join([*lines, why] if why else lines)


def shortened(words: str) -> str:
    return words if len(words) <= 800 else words[:800] + " …"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def listed(words: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    found = list(words)
    return (
        found[0]
        if len(found) == 1
        else ", ".join(found[:-1]) + (" and %s" % found[-1] if found else "")
    )
