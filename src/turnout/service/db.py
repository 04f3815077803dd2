"""The database: engine, sessions, migrations. SQLite has one writer, so writes queue here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncGenerator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, MetaData, create_engine, event, make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from turnout.service.migrations import NEWEST


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC in Python, naive UTC in a database that has no zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=timezone.utc)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: UtcTime,
        dict[str, Any]: JSON,
        dict[str, str]: JSON,
        dict[str, str | None]: JSON,
        list[str]: JSON,
    }


class Database:
    """Short sessions. `read()` for looking, `write()` for one transaction."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_async_engine(url)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        # SQLite refuses a second writer instead of queueing it, so writers queue here.
        self.writer = asyncio.Lock()
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", tune_sqlite)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        async with self.sessions() as session:
            yield session

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        """One transaction: committed at the end, rolled back when anything is raised."""
        lock = self.writer if self.is_sqlite else contextlib.nullcontext()
        async with lock, self.sessions() as session, session.begin():
            yield session

    async def aclose(self) -> None:
        await self.engine.dispose()


def tune_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    # WAL with NORMAL survives a killed process; only a power cut may lose the last commits.
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "busy_timeout=10000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def migrate(url: str) -> None:
    """Bring the schema to the newest revision.

    A new SQLite file is made from the tables at once (a test keeps them equal to the sum of the
    migrations): importing alembic would double the time of a first start.
    """
    address = make_url(url)
    if address.drivername.startswith("sqlite") and address.database:
        path = Path(address.database)
        if not path.exists():
            create_sqlite(path)
            return
        if revision_of(path) == NEWEST:
            return
    from turnout.service.migrations import runner  # noqa: PLC0415 - slow, rarely needed

    runner.upgrade(url)


def create_sqlite(path: Path) -> None:
    # Under another name until complete: a process killed here leaves no half-made database.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    engine = create_engine(f"sqlite:///{temporary}")
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
        )
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (NEWEST,))
    engine.dispose()
    temporary.rename(path)


def revision_of(path: Path) -> str | None:
    """The schema's revision, found out without alembic."""
    connection = sqlite3.connect(path)
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return None
    finally:
        connection.close()
    return row[0] if row else None


def now() -> datetime:
    return datetime.now(timezone.utc)
