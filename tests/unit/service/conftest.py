from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from turnout.service import db as database
from turnout.service.app import create_app, parts_of
from turnout.service.db import Database
from turnout.service.settings import Settings


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    app = create_app(Settings(home=tmp_path / "home"))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def web(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service in this process, with its token."""
    token = parts_of(app).token
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://turnout",
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        yield client


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    """A new database alone."""
    url = f"sqlite:///{tmp_path / 't.db'}"
    database.migrate(url)
    db = database.connect(url)
    yield db
    await db.aclose()
