"""Looks for words in a log of any length without reading more of it than it must."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Lines that are found in one search.
HITS = 200
PART = 1 << 20
#: Bytes of a line that are shown.
SHOWN = 400


@dataclass(frozen=True)
class Hit:
    """A line that has the words."""

    #: Where the line begins, in bytes; and its number, from 1.
    offset: int
    line: int
    text: str


def find(path: Path, words: str, limit: int = HITS) -> tuple[list[Hit], bool]:
    """The first lines that have `words`, large and small letters alike; whether there are more.
    Blocks: for a thread. A second for 200 MB.

    Beyond ASCII letters must be alike in size too: whole parts are compared as bytes.
    """
    wanted = words.encode().lower()
    found: list[Hit] = []
    if not wanted:
        return found, False
    for offset, line, data in parts(path):
        lowered = data.lower()
        start, seen = 0, 0
        while (at := lowered.find(wanted, start)) >= 0:
            if len(found) == limit:
                return found, True
            begin = data.rfind(b"\n", 0, at) + 1
            end = data.find(b"\n", at)
            end = len(data) if end < 0 else end
            line += data.count(b"\n", seen, begin)
            seen = begin
            text = data[begin : min(end, begin + SHOWN)].decode(errors="replace").strip("\r")
            found.append(Hit(offset + begin, line, text))
            start = end
    return found, False


def parts(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(offset, number of the first line, whole lines) until the end. A line that is longer than
    a part comes in pieces."""
    offset, line, rest = 0, 1, b""
    with path.open("rb") as file:
        while data := file.read(PART):
            data = rest + data
            end = data.rfind(b"\n") + 1
            if not end:
                if len(data) < 2 * PART:
                    rest = data
                    continue
                end = len(data)
            yield offset, line, data[:end]
            line += data.count(b"\n", 0, end)
            offset, rest = offset + end, data[end:]
    if rest:
        yield offset, line, rest
