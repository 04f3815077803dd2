"""HTTP of snapshots; the content store does the work."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from turnout.payload.store import StoreError
from turnout.service.paths import use_file_names
from turnout.service.snapshots import browse
from turnout.service.state import Service
from turnout.spec.errors import NotFoundError, SnapshotError

use_file_names()
router = APIRouter(prefix="/v1/snapshots", tags=["snapshots"])
#: Received bytes are handed on in parts of this size.
PART = 1 << 20


class Hashes(BaseModel):
    model_config = ConfigDict(extra="forbid")

    hashes: list[str]


@router.post("/missing")
async def missing(body: Hashes, service: Service) -> dict[str, Any]:
    return {"missing": await asyncio.to_thread(service.store.missing, body.hashes)}


@router.put("", status_code=201)
async def add(request: Request, service: Service) -> dict[str, Any]:
    ingest = service.store.ingest()
    waiting = bytearray()
    try:
        async for data in request.stream():
            waiting += data
            if len(waiting) >= PART:
                part, waiting = bytes(waiting), bytearray()
                await asyncio.to_thread(ingest.feed, part)
        await asyncio.to_thread(ingest.feed, bytes(waiting))
        done = await asyncio.to_thread(ingest.finish)
    except StoreError as e:
        ingest.abort()
        raise SnapshotError(str(e)) from e
    except BaseException:
        ingest.abort()
        raise
    return {"digest": done.digest, "files": done.files, "bytes": done.bytes}


@router.get("/{digest}")
async def get(digest: str, service: Service) -> StreamingResponse:
    if not service.store.has(digest):
        raise NotFoundError(f"The service has no snapshot {digest}.")
    return StreamingResponse(service.store.bundle(digest), media_type="application/octet-stream")


@router.get("/{digest}/files")
async def list_files(digest: str, service: Service) -> dict[str, Any]:
    return await asyncio.to_thread(browse.tree, service.store, digest)


@router.get("/{digest}/files/{name:file}")
async def read_file(digest: str, name: str, service: Service) -> StreamingResponse:
    entry = await asyncio.to_thread(browse.find, service.store, digest, name)
    return StreamingResponse(
        browse.parts(service.store, entry),
        media_type="application/octet-stream",
        headers={"content-length": str(entry.size)},
    )


@router.get("/{digest}/diff/{other}")
async def compare(
    digest: str, other: str, service: Service, name: str | None = None
) -> dict[str, Any]:
    if name is None:
        return await asyncio.to_thread(browse.compare, service.store, digest, other)
    return await asyncio.to_thread(browse.compare_file, service.store, digest, other, name)
