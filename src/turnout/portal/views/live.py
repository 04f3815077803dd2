"""Tells an open page that something changed; it asks again for what it shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from turnout.service.runs.hub import Hub
from turnout.service.state import Service

router = APIRouter()
#: A page asks at most this often, however much happens.
REST_S = 0.7
KINDS = ("runs", "compute", "events", "run", "log")
#: A comment line this often keeps proxies from closing a silent stream.
KEEP_ALIVE_S = 15.0


@router.get("/live")
async def live(service: Service, run: str = "", seen: int = 0) -> StreamingResponse:
    """`run`: the one that the page shows; `seen`: what had happened before it was made."""
    return StreamingResponse(hints(service.hub, run, seen), media_type="text/event-stream")


async def hints(hub: Hub, run: str, seen: int) -> AsyncIterator[bytes]:
    """Server-sent events without content, named after the kind of thing that changed."""
    with hub.watch(run) as watcher:
        yield b": here\n\n"
        if hub.news != seen:
            # Between the page and this moment.
            for kind in KINDS:
                watcher.note(kind)
        while True:
            try:
                await asyncio.wait_for(watcher.changed.wait(), KEEP_ALIVE_S)
            except asyncio.TimeoutError:
                yield b": still here\n\n"
                continue
            for kind in sorted(watcher.take()):
                yield f"event: {kind}\ndata: 1\n\n".encode()
            await asyncio.sleep(REST_S)
