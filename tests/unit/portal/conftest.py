from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from tests.unit.service.conftest import app, web

__all__ = ["app", "browser", "web"]


@pytest.fixture
async def browser(app: FastAPI, web: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is signed in; its forms come from the portal's own pages."""
    transport = httpx.ASGITransport(app)
    headers = {"Accept": "text/html", "Origin": "http://turnout"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://turnout", headers=headers
    ) as client:
        link = (await web.post("/v1/portal/links", json={})).json()["path"]
        assert (await client.get(link)).status_code == 303
        yield client
