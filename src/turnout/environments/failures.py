"""What a failed build's log says, in one or two sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Said = Callable[[re.Match[str]], str]
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def told(message: str, origins: Mapping[str, str]) -> str:
    """A build's failure for one screen: which package and why, where it was written, and the
    build's own last words.

    >>> told("There is no version of idna that fits 'idna==99'.", {"idna==99": "env.yml, line 3"})
    "There is no version of idna that fits 'idna==99'.\\n'idna==99' stands in env.yml, line 3."
    """
    why = explain(message)
    first = why or message
    lines = [why] if why else []
    for written, place in origins.items():
        if is_named(written, first):
            lines.append(f"'{written}' stands in {place}.")
    return "\n".join([*lines, message] if why else [message, *lines])


def is_named(written: str, text: str) -> bool:
    """Whether `text` speaks of the requirement as a person wrote it, or of its package."""
    if f"'{written}'" in text:
        return True
    name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", written.rpartition("::")[2])
    if name is None:
        return False
    parts = re.split(r"[-_.]+", name[0])
    pattern = r"[-_.]+".join(map(re.escape, parts))
    return re.search(rf"(?<![\w.-]){pattern}(?![\w-])", text, re.IGNORECASE) is not None


def explain(log_tail: str) -> str:
    """Which package could not be installed and why; "" when the log says nothing that we know.

    >>> explain("cause: Because there is no version of idna==99.0 and you require idna==99.0, we")
    "There is no version of idna that fits 'idna==99.0'. ..."
    """
    text = ANSI.sub("", log_tail)
    for pattern, said in KNOWN:
        found = re.search(pattern, text, re.MULTILINE)
        if found:
            return said(found)
    return ""


def python_missing(found: re.Match[str]) -> str:
    text = ANSI.sub("", found.string)
    listed = text.rpartition("Pythons on this machine:")[2] if "Pythons on" in text else ""
    versions = re.findall(r"^\s*[a-z]+-(\d+\.\d+\.\d+)", listed, re.MULTILINE)
    unique = sorted(set(versions), key=lambda v: tuple(map(int, v.split("."))))
    have = f" It has {', '.join(unique)}." if unique else ""
    asked = re.search(r"No interpreter found for (Python [^\s]+|[^\s]+)", text)
    named = asked or re.search(r"cpython-(?P<v>\d+\.\d+\.\d+)", text)
    what = (
        asked[1] if asked else (f"Python {named['v']}" if named else "A Python that is new enough")
    )
    why = " and could not be downloaded" if "Failed to download" in text else ""
    return f"{what} is not on the target{why}.{have} Ask for one of these, or install it there."


def build_failed(found: re.Match[str]) -> str:
    """The package, and the last line of what its build said."""
    said = ""
    block = re.search(
        r"\[stderr\]\n(?P<body>(?:[ \t]+.*\n?|\s*\n)+)", found.string[found.start() :]
    )
    if block:
        lines = [line.strip() for line in block["body"].splitlines() if line.strip()]
        said = f" It said: {lines[-1][:300]}" if lines else ""
    end = "" if said.endswith(".") or not said else "."
    return (
        f"{found['what']} could not be built on the target.{said}{end} "
        "Ask for a version that has a wheel for its Python, or install what the build lacks there."
    )


KNOWN: list[tuple[str, Said]] = [
    (
        r"No space left on device|Disk quota exceeded",
        lambda m: "The disk of the target is full. Make room there, then submit again.",
    ),
    (
        r"could not be queried due to a lack of valid authentication credentials",
        lambda m: (
            "The package index asks for a login. Put the user name and password into the index "
            "address that pip or uv uses on the target."
        ),
    ),
    (
        r"No interpreter found for|Failed to download `https?://\S*cpython-",
        python_missing,
    ),
    (
        r"Because (?P<name>[A-Za-z0-9._-]+) was not found in the (?:package registry|provided "
        r"package locations)",
        lambda m: f"There is no package '{m['name']}'. Check its spelling.",
    ),
    (
        r"[Bb]ecause there (?:is|are) no versions? of (?P<what>[A-Za-z0-9._\[\]-]+)"
        r"(?P<spec>[<>=!~][^\s]*)",
        lambda m: (
            f"There is no version of {m['what']} that fits '{m['what']}{m['spec']}'. "
            "Ask for another, or leave the version out."
        ),
    ),
    (
        r"(?P<what>[A-Za-z0-9._-]+==\S+) (?:has no usable wheels|has no wheels with a matching)",
        lambda m: (
            f"{m['what']} has no wheel for the target's Python and system. Ask for another "
            "version, or another Python version."
        ),
    ),
    (
        r"the (?:requested|current) Python version \((?P<python>[^)]+)\) does not satisfy "
        r"Python(?P<needs>[^\s]+)[\s\S]*?(?P<what>[A-Za-z0-9._-]+==[^\s,]+)",
        lambda m: (
            f"{m['what']} needs Python {m['needs']}, the environment has {m['python']}. Ask "
            "for another version of one of the two."
        ),
    ),
    (
        r"hint: `(?P<what>[^`]+)` is often confused for `(?P<other>[^`]+)`",
        lambda m: f"{m['what']} could not be built. Its name today is '{m['other']}'.",
    ),
    (
        r"Failed to build `?(?P<what>[^`\n]+)`?",
        build_failed,
    ),
    (
        # The line that says "Failed to build" may be too far up.
        r"need to install a library that provides `(?P<lib>[^`]+)` for `(?P<what>[^`]+)`",
        lambda m: (
            f"{m['what'].replace('@', '==')} could not be built on the target: {m['lib']} is "
            "missing there. Ask for a version that has a wheel for its Python, or install what "
            "the build lacks there."
        ),
    ),
    (
        r"invalid peer certificate",
        lambda m: (
            "The package index's certificate is not trusted on the target. Set SSL_CERT_FILE "
            "there to a bundle that has its authority."
        ),
    ),
    (
        r"Failed to (?:fetch|download):? `?(?P<url>[^\s`]+)[\s\S]*?(?:client error|tcp connect|"
        r"dns error|timed out|operation timed out|error sending request)",
        lambda m: (
            f"The package index cannot be reached from the target ({host_of(m['url'])}). "
            "Check its network and proxy, or the index address."
        ),
    ),
    (
        r"Because (?P<why>you require [^\n]*?), we can conclude that your requirements",
        lambda m: f"The packages contradict each other: {m['why']}.",
    ),
    (
        r"cause: (?P<why>you require [^\n]*? which are incompatible)",
        lambda m: f"The packages contradict each other: {m['why']}.",
    ),
    (
        r"[Bb]ecause (?P<what>[A-Za-z0-9._-]+)(?P<spec>[<>=]\S*) has no usable wheels",
        lambda m: (
            f"{m['what']} in the versions {m['spec'].replace(',', ', ')} has no wheel for the "
            "target's Python and system. Ask for another version, or another Python version."
        ),
    ),
    (
        r"No solution found when resolving dependencies[\s\S]*?cause: (?P<why>[^\n]+"
        r"(?:\n[ \t]+[^\n]+)*)",
        lambda m: f"The packages cannot be installed together: {' '.join(m['why'].split())[:600]}",
    ),
]


def host_of(url: str) -> str:
    return re.sub(r"^[a-z+]+://(?:[^/@]*@)?([^/]+).*$", r"\1", url)
