"""Server-sent events of one run: its row whenever it changes, its logs as they grow, its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from turnout.service.db import Database
from turnout.service.runs import logic
from turnout.service.runs.folders import LOGS, RunFolders
from turnout.service.runs.hub import Hub
from turnout.service.runs.views import run_view
from turnout.spec.runs import RunState

PART = 64 << 10
#: A comment line this often keeps proxies from closing a silent stream.
KEEP_ALIVE_S = 15.0


def event(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def whole_characters(data: bytes) -> int:
    """How many bytes of `data` end at the end of a UTF-8 character.

    >>> whole_characters("aé".encode()[:2])
    1
    """
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if needed > back else len(data)
    return len(data)


async def stream(
    db: Database, hub: Hub, folders: RunFolders, run: str, offsets: dict[str, int]
) -> AsyncIterator[bytes]:
    """Events of `run` from the given log offsets until its end."""
    shown: dict[str, Any] = {}
    with hub.listen(run) as listener:
        while True:
            listener.changed.clear()
            if listener.view is None:
                listener.show(run_view(await logic.get(db, run)))
            # The row is older than this look at the logs: when it is final, all logs are there.
            view = listener.view or shown
            final = RunState(view["state"]).is_final
            if view != shown:
                shown = view
                yield event("run", view)
            for name, size in folders.sizes(run, LOGS).items():
                while offsets.get(name, 0) < size:
                    part = log_event(folders, run, name, offsets, final=final)
                    if part is None:
                        break
                    yield part
            if final:
                yield event("end", view)
                return
            try:
                await asyncio.wait_for(listener.changed.wait(), KEEP_ALIVE_S)
            except asyncio.TimeoutError:
                yield b": still here\n\n"
                listener.view = None


def log_event(
    folders: RunFolders, run: str, name: str, offsets: dict[str, int], *, final: bool
) -> bytes | None:
    """The next part of a log; None when only a part of a character is there."""
    offset = offsets.get(name, 0)
    data = folders.read(run, LOGS, name, offset, PART)
    taken = whole_characters(data)
    if not taken:
        if not final or not data:
            return None
        taken = len(data)
    offsets[name] = offset + taken
    text = data[:taken].decode(errors="replace")
    return event("log", {"name": name, "offset": offset, "text": text, "next": offset + taken})
