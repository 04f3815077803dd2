"""Follows a run by server-sent events, over breaks: every log byte once, in order."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from turnout.client.http import SILENCE_S, Client, address, segment
from turnout.spec.errors import ServiceError

#: Beyond any log: asks for no text of it.
NOTHING = 1 << 60


@dataclass(frozen=True)
class Event:
    """`kind` is "run", "log" or "end"; `data` as docs/design/http-api.md says."""

    kind: str
    data: dict[str, Any]


def follow(
    client: Client, run: str, offsets: dict[str, int] | None = None
) -> Generator[Event, None, None]:
    """Events of `run` until its end. `offsets` holds the next byte by log name and is kept up to
    date, so that a broken stream goes on where it was."""
    known = {} if offsets is None else offsets
    broken_at = 0.0
    while True:
        query = [("offset", f"{name}:{n}") for name, n in known.items()]
        try:
            path = address(f"/v1/runs/{segment(run)}/events", query)
            with client.open("GET", path, timeout_s=SILENCE_S) as answer:
                for event in parse(parts(answer)):
                    broken_at = 0.0
                    if event.kind != "log" or is_new(event.data, known):
                        yield event
                    if event.kind == "end":
                        return
        except (OSError, HTTPException) as e:
            cause: object = e
        else:
            cause = "it closed the stream"
        broken_at = broken_at or time.monotonic()
        if time.monotonic() - broken_at > client.retry_s:
            raise ServiceError(f"The run '{run}' cannot be followed: {cause}.")
        time.sleep(0.05)


def parts(answer: Any) -> Iterator[bytes]:
    while part := answer.read1(1 << 16):
        yield part


def parse(stream: Iterator[bytes]) -> Iterator[Event]:
    """Events of a stream cut anywhere."""
    buffer = b""
    for part in stream:
        buffer += part
        while (end := buffer.find(b"\n\n")) >= 0:
            block, buffer = buffer[:end], buffer[end + 2 :]
            kind, data = "", ""
            for line in block.decode().split("\n"):
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    data += line[6:]
            if kind:
                yield Event(kind, json.loads(data))


def is_new(log: dict[str, Any], known: dict[str, int]) -> bool:
    """Note the log part's end; whether it was not seen before."""
    name = log["name"]
    if log["offset"] < known.get(name, 0):
        return False
    known[name] = log["next"]
    return True
