"""What a run's environment is at its launch: as asked for, by the settings of the workspace."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from turnout.environments import registry as recipes
from turnout.environments.base import EnvironmentSettings
from turnout.service.accounts.vault import Vault
from turnout.service.db import Database
from turnout.service.environments import config, registries
from turnout.service.environments.config import EnvironmentConfig
from turnout.spec.definitions import V1_IMAGE
from turnout.spec.environments import EnvironmentSpec
from turnout.spec.secrets import Secret


@dataclass(frozen=True)
class Launching:
    """What `environments.registry.recipe` is given, and what goes to the target beside it."""

    spec: EnvironmentSpec
    settings: EnvironmentConfig
    #: What was done otherwise than asked: warnings of the run.
    notes: tuple[str, ...] = ()
    #: For the registry of the image, with the user name that is in the spec by now.
    password: Secret | None = None


async def prepare(db: Database, vault: Vault, spec: EnvironmentSpec) -> Launching:
    """Look up everything that a launch needs. Changes nothing, so it may be asked again."""
    settings = await config.environments(db)
    spec, notes = resolve(spec, settings)
    login = await registries.login_for(db, vault, spec)
    if login is None or spec.container is None:
        return Launching(spec, settings, notes)
    container = dataclasses.replace(spec.container, registry_username=login[0])
    return Launching(dataclasses.replace(spec, container=container), settings, notes, login[1])


async def check(db: Database, spec: EnvironmentSpec) -> None:
    """Raise `EnvironmentSpecError` for what no target could make, before anything is sent."""
    settings = await config.environments(db)
    spec, _ = resolve(spec, settings)
    recipes.recipe(spec, EnvironmentSettings(**settings.for_recipes()))


def resolve(
    spec: EnvironmentSpec, settings: EnvironmentConfig
) -> tuple[EnvironmentSpec, tuple[str, ...]]:
    """The spec with eras switched off if the workspace says so, and with an image that can be had
    in the place of Azure's own; a note for each substitution."""
    if not settings.eras:
        spec = dataclasses.replace(spec, eras=False)
    box = spec.container
    if box is None or not settings.base_image or not V1_IMAGE.fullmatch(box.image):
        return spec, ()
    note = (
        f"The image '{box.image}' is one of Azure's, which cannot be had any more: "
        f"'{settings.base_image}' is used. Name another as the environment's base image, or for "
        "all of them: turnout config environments.base_image IMAGE"
    )
    replaced = dataclasses.replace(
        box, image=settings.base_image, registry="", registry_username=""
    )
    return dataclasses.replace(spec, container=replaced), (note,)
