"""Settings of the workspace: what there is to set, and what was set."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from turnout.service.data.stores import STORES
from turnout.service.db import Database, now
from turnout.service.environments.tables import SettingRow
from turnout.service.events import logic as events
from turnout.spec.environments import IMAGE
from turnout.spec.errors import EnvironmentSpecError, NotFoundError, UserError
from turnout.spec.records import nearest
from turnout.spec.runs import NAME
from turnout.spec.sources import check_address

CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
#: As lists name them: "conda-forge", "conda-forge/label/dev".
LISTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]*")


def one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"one of {', '.join(words)}{nearest(text, words)}")
        return text.lower()

    return read


def switch(text: str) -> bool:
    found = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
    if text.lower() not in found:
        raise ValueError("on or off")
    return found[text.lower()]


def days(text: str) -> int:
    if not text.isdigit():
        raise ValueError("a whole number of days")
    return int(text)


def address(text: str) -> str:
    """A channel's place: what conda takes, or a folder of the target."""
    if not re.match(r"(https?|file)://\S+$|/\S*$", text):
        raise ValueError("an address (https://…, file://…) or the whole path of a folder")
    check_address(text)
    return text


def channels(text: str) -> tuple[str, ...]:
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    for word in found:
        if not LISTED.fullmatch(word):
            address(word)
    if not found:
        raise ValueError("names or addresses of channels, separated by commas")
    return found


def image(text: str) -> str:
    if text and not IMAGE.fullmatch(text):
        raise ValueError("an image's name such as 'python:3.12', or nothing")
    return text


def engine(text: str) -> str:
    if text and not NAME.fullmatch(text):
        raise ValueError("an engine's name, or nothing")
    return text


@dataclass(frozen=True)
class Setting:
    """One thing that can be set."""

    #: How a value is written, for a person.
    kind: str
    default: str
    help: str
    #: The value of a text. Raises ValueError with what is wanted.
    read: Callable[[str], Any]


KNOWN: Mapping[str, Setting] = {
    "environments.conda": Setting(
        "auto|conda|pypi",
        "auto",
        "How conda packages are installed: from channels, from PyPI under the names that they "
        "have there, or (auto) from PyPI only when no channel can be reached.",
        one_of("auto", "conda", "pypi"),
    ),
    "environments.channels": Setting(
        "NAME,NAME…",
        "conda-forge",
        "Channels of environments that name none, the first preferred.",
        channels,
    ),
    "environments.channel.<name>": Setting(
        "ADDRESS", "", "Where the channel of that name is: a mirror, or a folder.", address
    ),
    "environments.pins": Setting(
        "nearest|exact",
        "nearest",
        "What becomes of a version that cannot be had: the nearest newer one with a warning, or "
        "an error.",
        one_of("nearest", "exact"),
    ),
    "environments.eras": Setting(
        "on|off",
        "on",
        "Whether names that libraries have dropped are brought back for old scripts.",
        switch,
    ),
    "environments.base_image": Setting(
        "IMAGE",
        "python:3.11-slim",
        "The image that stands for Azure's own (azureml/…), which cannot be pulled; empty: they "
        "are asked for as they are.",
        image,
    ),
    "environments.keep_days": Setting(
        "DAYS", "30", "Environments that no run used for so long may be pruned.", days
    ),
    "data.default_datastore": Setting(
        "|".join(STORES),
        next(iter(STORES)),
        "The datastore that is meant where none is named.",
        one_of(*STORES),
    ),
    "clusters.engine": Setting(
        "NAME",
        "",
        "The engine of clusters that name none, also of those made for one run; empty: they are "
        "parts of the machine of the service.",
        engine,
    ),
}
PATTERN = "environments.channel.<name>"
CHANNEL_KEY = "environments.channel."


def setting_of(key: str) -> Setting:
    """Raises `NotFoundError` with the nearest for what cannot be set."""
    if key in KNOWN and key != PATTERN:
        return KNOWN[key]
    name = key.removeprefix(CHANNEL_KEY)
    if name != key and CHANNEL.fullmatch(name):
        return KNOWN[PATTERN]
    raise NotFoundError(
        f"There is no setting '{key}'{nearest(key, KNOWN)}. `turnout config list` shows them all."
    )


def checked(key: str, value: str) -> Any:
    """The value that `value` says. Raises `UserError` when it cannot be that of `key`."""
    setting = setting_of(key)
    try:
        return setting.read(value.strip())
    except EnvironmentSpecError as e:
        raise UserError(f"{key}: {e.message}") from None
    except ValueError as e:
        raise UserError(f"{key} must be {e}, not '{value}'.") from None


async def put(db: Database, key: str, value: str) -> dict[str, Any]:
    checked(key, value)
    async with db.write() as session:
        row = await session.scalar(select(SettingRow).where(SettingRow.key == key))
        if row is None:
            row = SettingRow(key=key)
            session.add(row)
        row.value, row.modified_at = value.strip(), now()
        await events.note(session, "set", "setting", key)
    return view(key, value.strip())


async def unset(db: Database, key: str) -> None:
    """Back to the default; harmless when nothing was set."""
    setting_of(key)
    async with db.write() as session:
        row = await session.scalar(select(SettingRow).where(SettingRow.key == key))
        if row is not None:
            await session.delete(row)
            await events.note(session, "unset", "setting", key)


async def stored(db: Database) -> dict[str, str]:
    async with db.read() as session:
        rows = await session.scalars(select(SettingRow).order_by(SettingRow.key))
        return {row.key: row.value for row in rows}


async def value(db: Database, key: str) -> Any:
    """What is set, or the default."""
    return checked(key, (await stored(db)).get(key, setting_of(key).default))


async def list_all(db: Database) -> list[dict[str, Any]]:
    """Every setting with its value, and the names of channels that were given an address."""
    found = await stored(db)
    named = [key for key in found if key.startswith(CHANNEL_KEY)]
    keys = [key for key in KNOWN if key != PATTERN]
    return [view(key, found.get(key)) for key in (*keys, *named, PATTERN)]


def view(key: str, value: str | None) -> dict[str, Any]:
    setting = KNOWN[PATTERN] if key == PATTERN else setting_of(key)
    return {
        "key": key,
        "value": setting.default if value is None else value,
        "default": setting.default,
        "is_set": value is not None,
        "kind": setting.kind,
        "help": setting.help,
    }


@dataclass(frozen=True)
class EnvironmentConfig:
    """What the settings say, in types."""

    #: "auto", "conda" or "pypi".
    conda: str
    #: Address by a channel's name.
    channels: Mapping[str, str]
    default_channels: tuple[str, ...]
    #: "nearest" or "exact".
    pins: str
    eras: bool
    #: "" leaves v1's images as they are.
    base_image: str
    keep_days: int

    def for_recipes(self) -> dict[str, Any]:
        """Those that decide what an environment holds, by the names that
        `environments.base.EnvironmentSettings` has for them."""
        return {
            "conda": self.conda,
            "channels": dict(self.channels),
            "default_channels": self.default_channels,
            "pins": self.pins,
        }


async def environments(db: Database) -> EnvironmentConfig:
    """The settings that decide how environments are made, as they are now."""
    found = await stored(db)

    def of(name: str) -> Any:
        key = f"environments.{name}"
        return checked(key, found.get(key, KNOWN[key].default))

    named = [key for key in found if key.startswith(CHANNEL_KEY)]
    return EnvironmentConfig(
        conda=of("conda"),
        channels={key.removeprefix(CHANNEL_KEY): found[key] for key in named},
        default_channels=of("channels"),
        pins=of("pins"),
        eras=of("eras"),
        base_image=of("base_image"),
        keep_days=of("keep_days"),
    )
