"""HTTP that lets browsers in. No logic here."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from turnout.service.accounts.sessions import LINK
from turnout.service.accounts.who import who
from turnout.service.state import Service

router = APIRouter(prefix="/v1/portal", tags=["portal"])
View = dict[str, Any]


class LinkBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    #: The page to show.
    page: str = "/portal/"


@router.get("")
async def address(service: Service) -> View:
    """Where browsers find the portal. The embedded service opens a port for it."""
    return {"url": await service.door.open()}


@router.post("/links", status_code=201)
async def make_link(body: LinkBody, service: Service) -> View:
    """A link that lets one browser in, once, within five minutes."""
    code = await service.sessions.make(LINK, who.get())
    path = f"/portal/sign-in?code={code}&next={quote(body.page, safe='')}"
    return {"url": await service.door.open(), "path": path}
