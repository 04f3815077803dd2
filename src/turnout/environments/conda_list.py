"""Lines of a conda list: checked early, and brought to one form so that keys agree.

The solver itself takes nearly every text for a package, so what is wrong must be found here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from turnout.environments.requirements import PROVIDED
from turnout.spec.errors import EnvironmentSpecError

NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_+-])?"
CHANNEL = r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9._-]+)*"
ADDRESS = r"(?:https?|file)://[^\s\[\]'\"]+"
LINE = re.compile(
    rf"(?:(?P<channel>{ADDRESS}|{CHANNEL})::)?(?P<name>{NAME})\s*(?P<rest>[^\[\]]*)"
    r"(?:\[(?P<fields>[^\[\]]*)\])?"
)
#: `version='>=1,<2'`, the values with or without quotes.
FIELD = re.compile(r"\s*(\w+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|([^\s,'\"]+))\s*(?:,|$)")
NUMBER = re.compile(r"(?:\d+!)?[A-Za-z0-9_]+(?:[.+_-][A-Za-z0-9_]+)*(?:\.\*|\*)?")
PART = re.compile(r"(?P<sign>===|==|~=|!=|<=|>=|<|>|=|)\s*(?P<number>(?:\d+!)?[^\s=<>!~,|]+)")
BUILD = re.compile(r"[A-Za-z0-9_.+*]+")
TOKEN = re.compile(r"/t/[^/]+/|//[^/@]*@")
#: Where a name leads that nobody gave an address.
ALIAS = "https://conda.anaconda.org/"
OWN_ALIASES = {"defaults": "https://repo.anaconda.com/pkgs/main"}


@dataclass(frozen=True)
class CondaPackage:
    """One line of a conda list. Empty: anything."""

    #: As the person wrote it.
    text: str
    name: str
    #: In the solver's form: "1.5.*", "==1.5.2", ">=1,<2".
    version: str = ""
    #: A build string, with `*` for anything.
    build: str = ""
    #: Name or address of a channel.
    channel: str = ""


@dataclass(frozen=True)
class Channel:
    name: str
    address: str


def parse(line: str) -> CondaPackage:
    """What a line asks for. Raises `EnvironmentSpecError` for what is no conda requirement.

    >>> parse("Scikit-Learn=1.5").version
    '1.5.*'
    """
    text = re.sub(r"(^|\s)#.*$", "", line).strip()
    match = LINE.fullmatch(text)
    if not match:
        raise unreadable(line)
    version, build = split_rest(line, match["rest"].strip())
    channel = match["channel"] or ""
    for key, value in fields(line, match["fields"]):
        if key == "version" and not version:
            version = normalize_version(line, value)
        elif key == "build" and not build:
            build = value
        elif key == "channel" and not channel:
            channel = value
        else:
            raise EnvironmentSpecError(
                f"'{line}' says '{key}', which cannot be used in a conda list here. Write "
                "version, build or channel in the brackets, each once."
            )
    build = "" if build == "*" else build
    if build and not BUILD.fullmatch(build):
        raise unreadable(line)
    return CondaPackage(text, match["name"].lower(), version, build, channel)


def split_rest(line: str, rest: str) -> tuple[str, str]:
    """(version, build) of what comes after the name."""
    if not rest:
        return "", ""
    # The build stands behind a second "=" or, in the older form, behind a space: "a=1.2=py_0",
    # "a==1.0.*=*_cp", "a 1.2 py_0".
    found = re.fullmatch(r"(?P<version>==?\s*[^=<>!~,|\s]+)\s*=\s*(?P<build>[^=<>!~,|\s]+)", rest)
    found = found or re.fullmatch(r"(?P<version>[^=<>!~,|\s]+)\s+(?P<build>[^=<>!~,|\s]+)", rest)
    if not found:
        return normalize_version(line, rest), ""
    number = found["version"].lstrip("= ")
    # With a build the version is exact, whatever number of "=" stands before it.
    exact = number if number.endswith("*") else f"=={number}"
    return normalize_version(line, exact), found["build"]


def normalize_version(line: str, text: str) -> str:
    """The solver's form of a version, alternatives and parts sorted."""
    choices: set[str] = set()
    for choice in text.split("|"):
        parts = {normalize_part(line, part.strip()) for part in choice.split(",")}
        choices.add(",".join(sorted(parts - {"*"})))
    return "" if "" in choices else "|".join(sorted(choices))


def normalize_part(line: str, part: str) -> str:
    if part == "*" or part.lstrip("= ") == "*":
        return "*"
    match = PART.fullmatch(part)
    if not match or not NUMBER.fullmatch(match["number"]):
        raise unreadable(line)
    sign, number = match["sign"], match["number"].lower()
    if number.endswith("*"):
        stem = number[:-1].rstrip(".")
        if sign in ("", "=", "==", "==="):
            return f"{stem}.*"
        if sign == "!=":
            return f"!={stem}.*"
        if sign in (">=", "<"):
            return sign + stem
        raise unreadable(line)
    if sign == "=":
        return f"{number}.*"
    return {"": "==", "===": "=="}.get(sign, sign) + number


def fields(line: str, text: str | None) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while text and at < len(text):
        match = FIELD.match(text, at)
        if not match:
            raise unreadable(line)
        found.append((match[1].lower(), (match[2] or match[3] or match[4] or "").strip()))
        at = match.end()
    return found


def unreadable(line: str) -> EnvironmentSpecError:
    hint = ""
    if re.search(r"\S;|; *\S", line):
        hint = " conda has no markers behind a ';'."
    elif line.lstrip().startswith(("git+", "-", ".", "/")) or " @ " in line:
        hint = " Files and addresses of packages belong to the pip part."
    return EnvironmentSpecError(
        f"'{line}' is not a conda requirement.{hint} Write a name with an optional version, for "
        "example 'scikit-learn=1.5', 'numpy>=1.26,<3' or 'conda-forge::pandas'."
    )


def split_provided(lines: Iterable[str]) -> tuple[list[CondaPackage], list[str]]:
    """(packages sorted, no doubles; names that Turnout stands for)."""
    wanted: dict[tuple[str, ...], CondaPackage] = {}
    provided: set[str] = set()
    for line in lines:
        package = parse(line)
        if PROVIDED.fullmatch(package.name):
            provided.add(package.name)
        else:
            asked = (package.name, package.version, package.build, package.channel)
            wanted.setdefault(asked, package)
    return [wanted[asked] for asked in sorted(wanted)], sorted(provided)


def resolve_channel(name: str, addresses: Mapping[str, str]) -> Channel:
    """Where the channel is. Raises `EnvironmentSpecError` for what names none.

    >>> resolve_channel("conda-forge", {}).address
    'https://conda.anaconda.org/conda-forge'
    """
    text = name.strip().rstrip("/")
    address = text
    if text in addresses:
        address = addresses[text].strip().rstrip("/")
        if not re.match(ADDRESS, address) and not address.startswith("/"):
            raise EnvironmentSpecError(
                f"The setting of the channel '{name}' is '{address}', which is no address. Write "
                "'https://…' or the whole path of a folder of the target."
            )
    elif text in OWN_ALIASES:
        address = OWN_ALIASES[text]
    elif re.fullmatch(CHANNEL, text):
        address = ALIAS + text
    if address.startswith("/"):
        address = f"file://{quote(address)}"
    if not re.fullmatch(ADDRESS, address):
        raise EnvironmentSpecError(
            f"'{name}' is not a conda channel. Write a name ('conda-forge'), an address "
            "('https://…') or the whole path of a folder of the target."
        )
    if TOKEN.search(address):
        raise EnvironmentSpecError(
            f"The address of the channel '{TOKEN.sub('//…', name)}' holds a password or token, "
            "which would be kept with the run. Leave it out, and put it into ~/.netrc on the "
            "target."
        )
    return Channel(text if re.fullmatch(CHANNEL, text) else short(address), address)


def short(address: str) -> str:
    return address.rpartition("/")[2] if address.startswith("file:") else address
