"""`import turnout`: every name is there, and nothing is imported before it is used."""

from __future__ import annotations

import subprocess
import sys

import turnout


def test_every_public_name_is_there() -> None:
    for name in turnout.__all__:
        assert getattr(turnout, name).__name__
    assert set(turnout.__all__) <= set(dir(turnout))
    assert sorted(turnout.__all__) == turnout.__all__
    assert set(turnout._MODULES) == set(turnout.__all__)


def test_the_import_brings_nothing() -> None:
    script = """
import sys
before = set(sys.modules)
import turnout
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['turnout']"


def test_the_sdk_brings_nothing_heavy() -> None:
    script = """
import sys
from turnout import *
from turnout.client import embedded, submission
heavy = {"asyncio", "pydantic", "httpx", "requests", "yaml", "sqlalchemy", "numpy", "uuid",
    "subprocess", "sqlite3", "turnout.service", "turnout.payload.store"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
