"""Logins at registries of images: kept sealed, given to the build of an image and to nobody."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select

from turnout.service.accounts.vault import Vault
from turnout.service.db import Database, now
from turnout.service.environments.tables import RegistryRow
from turnout.service.events import logic as events
from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.spec.errors import NotFoundError, UserError
from turnout.spec.records import nearest
from turnout.spec.secrets import Secret

DOCKER_HUB = "docker.io"
ADDRESS = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?")
FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)", re.IGNORECASE | re.MULTILINE)


def normal_address(given: str) -> str:
    """The registry as image names begin with it.

    >>> normal_address("https://Registry.example.org/v2/"), normal_address("index.docker.io")
    ('registry.example.org', 'docker.io')
    """
    text = re.sub(r"^https?://", "", given.strip().lower()).split("/")[0]
    if not ADDRESS.fullmatch(text):
        raise UserError(
            f"'{given}' is not a registry's address. Write it like 'registry.example.org'."
        )
    return DOCKER_HUB if text in ("index.docker.io", "registry-1.docker.io") else text


def registry_of(image: str) -> str:
    """
    >>> registry_of("python:3.12"), registry_of("localhost:5000/team/base:1")
    ('docker.io', 'localhost:5000')
    """
    host, slash, _ = image.partition("/")
    is_host = slash and ("." in host or ":" in host or host == "localhost")
    return normal_address(host) if is_host else DOCKER_HUB


def addresses(container: ContainerSpec) -> list[str]:
    """Registries that the container's image may come from, the first preferred."""
    if container.registry:
        return [normal_address(container.registry)]
    if container.image:
        return [registry_of(container.image)]
    found: list[str] = []
    for image in FROM.findall(container.dockerfile):
        try:
            found.append(registry_of(image))
        except UserError:
            continue  # a name with a variable in it, or of an earlier stage
    return found


async def keep(
    db: Database, vault: Vault, address: str, username: str, password: str
) -> dict[str, Any]:
    """Remember a login; one that is there for the address is replaced."""
    at = normal_address(address)
    if not username.strip() or not password:
        raise UserError(f"A login at {at} needs a user name and a password (or token).")
    async with db.write() as session:
        row = await session.scalar(select(RegistryRow).where(RegistryRow.address == at))
        if row is None:
            row = RegistryRow(address=at)
            session.add(row)
        row.username, row.sealed = username, vault.seal({"password": password})
        row.modified_at = now()
        await session.flush()
        await events.note(session, "logged in at", "registry", at)
        return view(row)


async def list_all(db: Database) -> list[dict[str, Any]]:
    async with db.read() as session:
        rows = await session.scalars(select(RegistryRow).order_by(RegistryRow.address))
        return [view(row) for row in rows]


async def forget(db: Database, address: str) -> None:
    at = normal_address(address)
    async with db.write() as session:
        row = await session.scalar(select(RegistryRow).where(RegistryRow.address == at))
        if row is None:
            known = list(await session.scalars(select(RegistryRow.address)))
            raise NotFoundError(f"There is no login at '{at}'{nearest(at, known)}.")
        await session.delete(row)
        await events.note(session, "logged out of", "registry", at)


async def login_for(
    db: Database, vault: Vault, spec: EnvironmentSpec
) -> tuple[str, Secret] | None:
    """(user name, password) for the image that `spec` asks for, if one is kept. With a user name
    in the spec only the login of that user."""
    box = spec.container
    if box is None:
        return None
    async with db.read() as session:
        for address in addresses(box):
            row = await session.scalar(select(RegistryRow).where(RegistryRow.address == address))
            if row is not None and box.registry_username in ("", row.username):
                return row.username, Secret(vault.open(row.sealed)["password"])
    return None


async def password_for(db: Database, vault: Vault, spec: EnvironmentSpec) -> str | None:
    """The password alone, to be handed straight to the target and kept nowhere."""
    found = await login_for(db, vault, spec)
    return None if found is None else found[1].reveal()


def view(row: RegistryRow) -> dict[str, Any]:
    return {
        "address": row.address,
        "username": row.username,
        "modified_at": row.modified_at.isoformat(),
    }
