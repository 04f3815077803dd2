"""Alembic's entry: one synchronous connection, also for asynchronous drivers."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine, make_url

from turnout.service.accounts.tables import SessionRow
from turnout.service.clusters.tables import NodeRow
from turnout.service.db import Base
from turnout.service.environments.tables import EnvironmentRow
from turnout.service.events.tables import EventRow
from turnout.service.models.tables import ModelRow
from turnout.service.quotas.tables import QuotaRow
from turnout.service.runs.tables import RunRow
from turnout.service.targets.tables import TargetRow

#: Naming a table of each module makes sure that all of them are known.
TABLES = (
    EnvironmentRow,
    EventRow,
    ModelRow,
    NodeRow,
    QuotaRow,
    RunRow,
    SessionRow,
    TargetRow,
)
PLAIN = {"postgresql+asyncpg": "postgresql"}


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    url = make_url(context.config.get_main_option("sqlalchemy.url") or "")
    engine = create_engine(url.set(drivername=PLAIN.get(url.drivername, url.drivername)))
    with engine.connect() as connection:
        run(connection)
    engine.dispose()


main()
