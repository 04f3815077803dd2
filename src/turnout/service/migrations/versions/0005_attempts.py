"""Runs that are started again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with op.batch_alter_table("runs") as batch:
        batch.add_column(sa.Column("taken_back_at", sa.DateTime(), nullable=True))
        batch.add_column(sa.Column("losses", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("log_starts", sa.JSON(), nullable=False, server_default="{}"))
