"""HTTP of named environments, registries and settings. No logic here."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from turnout.service.environments import config, named, registries
from turnout.service.state import Service

router = APIRouter(prefix="/v1", tags=["environments"])
View = dict[str, Any]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EnvironmentBody(Body):
    name: str
    definition: dict[str, Any] = Field(default_factory=dict)
    version: str | None = None
    description: str = ""
    tags: dict[str, str] = Field(default_factory=dict)


class RegistryBody(Body):
    address: str
    username: str
    password: SecretStr


class SettingBody(Body):
    value: str


@router.post("/environments", status_code=201)
async def register(body: EnvironmentBody, service: Service, response: Response) -> View:
    found, is_new = await named.register(service.db, named.NewEnvironment(**body.model_dump()))
    if not is_new:
        response.status_code = 200
    return found


@router.get("/environments")
async def list_environments(service: Service) -> View:
    return {"environments": await named.list_all(service.db)}


@router.get("/environments/{name}")
async def get_environment(name: str, service: Service, version: str | None = None) -> View:
    return await named.get(service.db, name, version)


@router.post("/registries", status_code=201)
async def log_in(body: RegistryBody, service: Service) -> View:
    return await registries.keep(
        service.db,
        service.pool.vault,
        body.address,
        body.username,
        body.password.get_secret_value(),
    )


@router.get("/registries")
async def list_registries(service: Service) -> View:
    return {"registries": await registries.list_all(service.db)}


@router.delete("/registries/{address}", status_code=204)
async def log_out(address: str, service: Service) -> None:
    await registries.forget(service.db, address)


@router.get("/config")
async def list_settings(service: Service) -> View:
    return {"settings": await config.list_all(service.db)}


@router.put("/config/{key}")
async def set_setting(key: str, body: SettingBody, service: Service) -> View:
    return await config.put(service.db, key, body.value)


@router.delete("/config/{key}", status_code=204)
async def unset_setting(key: str, service: Service) -> None:
    await config.unset(service.db, key)
