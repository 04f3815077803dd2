"""Settings of the service, from `TURNOUT_*` variables and the command line."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path

from turnout.spec.errors import UserError


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Each field is `TURNOUT_<FIELD>` in the environment."""

    #: Folder of all state; owner-only.
    home: Path = field(default_factory=lambda: Path.home() / ".turnout")
    #: Name of the workspace that this service keeps.
    workspace: str = "default"
    #: SQLAlchemy address of the database; empty means `turnout.db` in the home folder.
    database: str = ""
    #: Minutes without a request or an active run after which the embedded service ends.
    idle_minutes: float = 30.0
    #: Seconds between two looks at a target that said nothing.
    tick_s: float = 5.0
    #: Runs that are started at once on one target.
    launches_at_once: int = 16
    #: Address and port of `turnout server`.
    host: str = "127.0.0.1"
    port: int = 8650
    #: Host names under which a hosted service may be addressed, comma-separated.
    allowed_hosts: str = ""

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.home / 'turnout.db'}"


def load(**given: object) -> Settings:
    """Settings from the environment, overridden by what is `given` and not None."""
    values: dict[str, object] = {}
    for f in fields(Settings):
        text = os.environ.get(f"TURNOUT_{f.name.upper()}")
        if text:
            values[f.name] = parse(f.name, str(f.type), text)
    values.update({k: v for k, v in given.items() if v is not None})
    return Settings(**values)  # type: ignore[arg-type]


def parse(name: str, kind: str, text: str) -> object:
    if kind == "Path":
        return Path(text).expanduser().absolute()
    try:
        return {"float": float, "int": int}.get(kind, str)(text)
    except ValueError:
        raise UserError(f"TURNOUT_{name.upper()} must be a number, not {text!r}.") from None
