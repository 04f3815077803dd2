from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from tests.unit.service.conftest import app, web

from turnout.service.accounts.sessions import SESSION
from turnout.service.app import parts_of

__all__ = ["app", "browser", "web"]


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """What a person's browser sends: the cookie of a session, and where a form came from."""
    parts = parts_of(app)
    code = await parts.sessions.make(SESSION, "ana")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://turnout",
        headers={"Origin": "http://turnout", "Accept": "text/html"},
        cookies={parts.cookie: code},
    ) as client:
        yield client
