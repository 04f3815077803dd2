"""HTTP of secrets. No logic here."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, SecretStr

from turnout.service.secrets import logic
from turnout.service.state import Service

router = APIRouter(prefix="/v1", tags=["secrets"])
View = dict[str, Any]


class SecretBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    value: SecretStr


@router.get("/secrets")
async def list_secrets(service: Service) -> View:
    return {"secrets": await logic.list_all(service.db)}


@router.put("/secrets/{name}")
async def keep_secret(name: str, body: SecretBody, service: Service) -> View:
    return await logic.keep(service.db, service.pool.vault, name, body.value.get_secret_value())


@router.get("/secrets/{name}")
async def reveal_secret(name: str, service: Service) -> View:
    return {"name": name, "value": await logic.reveal(service.db, service.pool.vault, name)}


@router.delete("/secrets/{name}", status_code=204)
async def forget_secret(name: str, service: Service) -> None:
    await logic.forget(service.db, name)
