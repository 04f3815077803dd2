import sqlite3
from pathlib import Path

from turnout.service import db as database
from turnout.service.migrations import NEWEST, runner


def schema(path: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = sqlite3.connect(path)
    try:
        tables = [
            r[0]
            for r in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not r[0].startswith("sqlite_")
        ]
        found: dict[str, list[tuple[object, ...]]] = {}
        for table in tables:
            columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
            found[table] = sorted(c[1:] for c in columns)
            indexes = connection.execute(f"PRAGMA index_list({table})").fetchall()
            found[f"{table} indexes"] = sorted(
                (i[2], *connection.execute(f"PRAGMA index_info({i[1]})").fetchall())
                for i in indexes
            )
        return found
    finally:
        connection.close()


def test_the_tables_are_the_sum_of_the_migrations(tmp_path: Path) -> None:
    migrated, created = tmp_path / "migrated.db", tmp_path / "created.db"
    runner.upgrade(f"sqlite:///{migrated}")
    database.migrate(f"sqlite:///{created}")
    assert schema(created) == schema(migrated)
    assert database.revision_of(created) == database.revision_of(migrated) == NEWEST


def test_an_old_file_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    sqlite3.connect(path).close()
    database.migrate(f"sqlite:///{path}")
    assert database.revision_of(path) == NEWEST
