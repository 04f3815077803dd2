"""What this service is made of, for a person who asks for help."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import sqlalchemy
from sqlalchemy import text

from turnout import __version__
from turnout.service.db import Database
from turnout.service.migrations import NEWEST

SERVER_VERSION = {
    "sqlite": "SELECT sqlite_version()",
    "postgresql": "SHOW server_version",
}
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


async def versions(db: Database, url: str) -> dict[str, Any]:
    """`url`: the database's SQLAlchemy address; nothing but its kind is shown of it."""
    kind = sqlalchemy.make_url(url).get_backend_name()
    question = SERVER_VERSION.get(kind)
    async with db.read() as session:
        answer = await session.scalar(text(question)) if question else ""
    return {
        "turnout": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "database": f"{NAMES.get(kind, kind)} {answer}".strip(),
        "database_revision": NEWEST,
        "uv": version_of("uv"),
    }


def version_of(distribution: str) -> str:
    """Of an installed package; "" when it is not there."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
