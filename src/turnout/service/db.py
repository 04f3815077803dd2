"""The database: engine, sessions, migrations. SQLite has one writer, so writes queue here."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import JSON, DateTime, Dialect, MetaData, create_engine, event, make_url, orm
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from turnout.service.migrations import NEWEST
from turnout.spec.errors import UserError


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


class Session(Protocol):
    """What logic needs of a database session; `AsyncSession` is one."""

    def add(self, instance: object) -> None: ...
    async def scalar(self, statement: Any, params: Any = None) -> Any: ...
    async def scalars(self, statement: Any, params: Any = None) -> Any: ...
    async def execute(self, statement: Any, params: Any = None) -> Any: ...
    async def delete(self, instance: object) -> None: ...
    async def flush(self) -> None: ...


class DirectSession:
    """A session on SQLite, run in the event loop's own thread.

    A statement there takes 0.1 ms; handing it to another thread, as drivers for asyncio do, takes
    five times as long as the whole transaction (measured: 0.5 ms against 2.9 ms).
    """

    def __init__(self, session: orm.Session) -> None:
        self.session = session

    def add(self, instance: object) -> None:
        self.session.add(instance)

    async def scalar(self, statement: Any, params: Any = None) -> Any:
        return self.session.scalar(statement, params)

    async def scalars(self, statement: Any, params: Any = None) -> Any:
        return self.session.scalars(statement, params)

    async def execute(self, statement: Any, params: Any = None) -> Any:
        return self.session.execute(statement, params)

    async def delete(self, instance: object) -> None:
        self.session.delete(instance)

    async def flush(self) -> None:
        self.session.flush()


class Database(ABC):
    """Short sessions. `read()` for looking, `write()` for one transaction."""

    @abstractmethod
    def read(self) -> AbstractAsyncContextManager[Session]:
        """A session to look with."""

    @abstractmethod
    def write(self) -> AbstractAsyncContextManager[Session]:
        """One transaction: committed at the end, rolled back when anything is raised."""

    @abstractmethod
    async def aclose(self) -> None: ...


class SQLiteDatabase(Database):
    def __init__(self, url: str) -> None:
        self.engine = create_engine(url)
        event.listen(self.engine, "connect", tune_sqlite)
        self.sessions = orm.sessionmaker(self.engine, expire_on_commit=False)
        # A transaction may be suspended between its statements, and SQLite refuses a second
        # writer instead of queueing it: so writers queue here.
        self.writer = asyncio.Lock()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[Session, None]:
        with self.sessions() as session:
            yield DirectSession(session)

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[Session, None]:
        async with self.writer:
            with self.sessions() as session, session.begin():
                yield DirectSession(session)

    async def aclose(self) -> None:
        self.engine.dispose()


class ServerDatabase(Database):
    """A database server, reached by an asyncio driver (PostgreSQL by asyncpg)."""

    def __init__(self, url: str) -> None:
        self.engine = create_async_engine(url)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[Session, None]:
        async with self.sessions() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[Session, None]:
        async with self.sessions() as session, session.begin():
            yield session

    async def aclose(self) -> None:
        await self.engine.dispose()


def connect(url: str) -> Database:
    """The database at a SQLAlchemy address. Raises `UserError` for a driver that is not there."""
    name = make_url(url).get_backend_name()
    if name == "sqlite":
        return SQLiteDatabase(url)
    try:
        return ServerDatabase(url)
    except ModuleNotFoundError as e:
        raise UserError(
            f"The database {name} needs the package '{e.name}': pip install {e.name}."
        ) from None


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
