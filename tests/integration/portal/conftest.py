from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from turnout.service.accounts.sessions import SESSION
from turnout.service.app import create_app, parts_of
from turnout.service.settings import Settings


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    app = create_app(Settings(home=tmp_path / "home"))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    parts = parts_of(app)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://turnout",
        headers={"Origin": "http://turnout", "Accept": "text/html"},
        cookies={parts.cookie: await parts.sessions.make(SESSION, "ana")},
    ) as client:
        yield client
