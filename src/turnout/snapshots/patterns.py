"""Patterns of an ignore file with git's own meaning (gitignore(5), wildmatch).

Written here because the verdict on a folder decides whether the walk enters it: a library that
judges whole file paths cannot say that (`*` with `!*/`, or `a/**`), and takes longer to import
than a capture takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: What stands between `[:` and `:]`.
CLASSES = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "upper": "A-Z",
    "punct": "!-/:-@\\[-`{-~", "space": "\\s", "xdigit": "0-9a-fA-F",
}  # fmt: skip


@dataclass(frozen=True)
class Pattern:
    """One line. `matches` judges the path itself, never the folders above it."""

    regex: re.Pattern[str]
    negated: bool
    folders_only: bool
    #: No slash inside: compared with the last component alone.
    by_name: bool

    def matches(self, path: str, name: str, is_folder: bool) -> bool:
        if self.folders_only and not is_folder:
            return False
        return self.regex.fullmatch(name if self.by_name else path) is not None


def parse(text: str) -> list[Pattern]:
    """The patterns of an ignore file; lines that can match nothing are left out, as git does."""
    lines = text.removeprefix("\ufeff").split("\n")
    return [pattern for line in lines if (pattern := parse_line(line)) is not None]


def parse_line(line: str) -> Pattern | None:
    line = trim(line.removesuffix("\r"))
    if line.startswith("#"):
        return None
    negated = line.startswith("!")
    line = line[1:] if negated else line
    folders_only = line.endswith("/")
    line = line[:-1] if folders_only else line
    by_name = "/" not in line
    line = line.removeprefix("/")
    source = translate(line) if line else None
    if source is None:
        return None
    try:
        regex = re.compile(source, re.DOTALL)
    except re.error:  # a range that runs backward: git matches nothing with it
        return None
    return Pattern(regex, negated, folders_only, by_name)


def trim(line: str) -> str:
    """Without the spaces at its end, but for one that a backslash protects."""
    bare = line.rstrip(" ")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    return bare + " " if backslashes % 2 and len(bare) < len(line) else bare


def translate(pattern: str) -> str | None:
    """The regular expression for `pattern`; None for one that can match nothing."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            piece, at = translate_stars(pattern, at)
        elif char == "?":
            piece, at = "[^/]", at + 1
        elif char == "[":
            found = translate_class(pattern, at + 1)
            if found is None:
                return None
            piece, at = found
        elif char == "\\":
            if at + 1 == len(pattern):
                return None
            piece, at = re.escape(pattern[at + 1]), at + 2
        else:
            piece, at = re.escape(char), at + 1
        out.append(piece)
    return "".join(out)


def translate_stars(pattern: str, at: int) -> tuple[str, int]:
    end = at
    while end < len(pattern) and pattern[end] == "*":
        end += 1
    alone = (at == 0 or pattern[at - 1] == "/") and (end == len(pattern) or pattern[end] == "/")
    if end - at < 2 or not alone:
        return "[^/]*", end
    if end == len(pattern):
        return ".*", end
    return "(?:.*/)?", end + 1


def translate_class(pattern: str, at: int) -> tuple[str, int] | None:
    """A bracket expression whose inside begins at `at`; None when it has no end."""
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    items: list[str] = []
    while True:
        if at >= len(pattern):
            return None
        char = pattern[at]
        if char == "]" and items:
            break
        if pattern.startswith("[:", at) and (end := pattern.find(":]", at + 2)) >= 0:
            name = pattern[at + 2 : end]
            if name not in CLASSES:
                return None
            items.append(CLASSES[name])
            at = end + 2
            continue
        if char == "-" and items and at + 1 < len(pattern) and pattern[at + 1] != "]":
            items.append("-")
            at += 1
            continue
        if char == "\\":
            at += 1
            if at >= len(pattern):
                return None
        items.append(re.escape(pattern[at]) if pattern[at] not in "&~|" else "\\" + pattern[at])
        at += 1
    inside = "".join(items)
    return f"(?!/)[{'^' if negated else ''}{inside}]", at + 1
