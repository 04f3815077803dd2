"""Live target objects, one per target, made from their rows when first needed."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel
from sqlalchemy import select

from turnout.service.accounts.vault import Vault
from turnout.service.db import Database
from turnout.service.targets.tables import TargetRow
from turnout.spec.errors import NotFoundError
from turnout.spec.records import nearest
from turnout.spec.secrets import Secret
from turnout.targets import registry
from turnout.targets.base import Target, TargetResources

if TYPE_CHECKING:
    from turnout.targets.cluster import ClusterConfig
    from turnout.targets.slurm import SlurmEngine

#: Targets that every workspace has: name and kind.
BUILT_IN = {"local": "local"}


class TargetPool:
    """Gives the live `Target` of a name; `drop` it when its row changed."""

    def __init__(self, db: Database, vault: Vault, resources: TargetResources) -> None:
        self.db = db
        self.vault = vault
        self.resources = resources
        self.live: dict[str, Target[Any]] = {}
        self.making = asyncio.Lock()

    async def get(self, name: str) -> Target[Any]:
        """Raises `NotFoundError` for a name that nobody attached."""
        found = self.live.get(name)
        if found is not None:
            return found
        kind, config = await self.configuration(name)
        # Before the lock: the engine of a cluster is one of these itself.
        engine = await self.engine(config)
        async with self.making:
            if name not in self.live:
                self.live[name] = self.made(name, kind, config, engine)
            return self.live[name]

    async def build(self, name: str, kind: str, config: Mapping[str, Any]) -> Target[Any]:
        """A target object that is not kept, to try a configuration."""
        return self.made(name, kind, config, await self.engine(config))

    async def engine(self, config: Mapping[str, Any]) -> SlurmEngine | None:
        """The live engine that a configuration names; raises `UserError` for what is none."""
        name = config.get("engine")
        if not name:
            return None
        try:
            found = await self.get(name)
        except NotFoundError:
            found = None
        if found is None or not found.is_engine:
            raise NotFoundError(
                f"There is no engine '{name}'. `turnout engine list` shows those that there are; "
                f"attach one with `turnout engine attach slurm {name}`."
            )
        return cast("SlurmEngine", found)

    def made(
        self, name: str, kind: str, config: Mapping[str, Any], engine: SlurmEngine | None
    ) -> Target[Any]:
        checked = registry.config(kind, config)
        if engine is not None:
            return engine.cluster(name, cast("ClusterConfig", checked))
        return registry.kind(kind)(name, checked, self.resources)

    async def configuration(self, name: str) -> tuple[str, dict[str, Any]]:
        if name in BUILT_IN:
            return BUILT_IN[name], {}
        async with self.db.read() as session:
            row = await session.scalar(select(TargetRow).where(TargetRow.name == name))
            if row is None:
                known = [*BUILT_IN, *await session.scalars(select(TargetRow.name))]
                raise NotFoundError(
                    f"There is no target '{name}'{nearest(name, known)}. Known targets: "
                    f"{', '.join(sorted(known))}. Attach one with `turnout target attach`, or "
                    "make a cluster with `turnout target create`."
                )
            secret = self.vault.open(row.secrets) if row.secrets else {}
            return row.kind, {**row.config, **secret}

    async def drop(self, name: str) -> None:
        found = self.live.pop(name, None)
        if found is None:
            return
        for cluster, target in list(self.live.items()):
            if getattr(target, "engine", None) is found:
                await self.drop(cluster)
        await found.aclose()

    async def aclose(self) -> None:
        for name in list(self.live):
            await self.drop(name)


def split_secrets(config: BaseModel) -> tuple[dict[str, Any], dict[str, str]]:
    """(what may be shown and stored plainly, what is encrypted)."""
    plain: dict[str, Any] = {}
    secret: dict[str, str] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Secret):
            secret[name] = value.reveal()
        elif value is not None:
            plain[name] = value
    json.dumps(plain)
    return plain, secret


def capabilities(kind: str) -> dict[str, bool]:
    return dataclasses.asdict(registry.kind(kind).capabilities)
