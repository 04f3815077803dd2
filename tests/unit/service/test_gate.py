import httpx
import pytest
from fastapi import FastAPI

from turnout.service.accounts.gate import hostname


def every_route(app: FastAPI) -> list[tuple[str, str]]:
    paths = app.openapi()["paths"]
    found = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert len(found) > 20
    return [*found, ("GET", "/openapi.json"), ("GET", "/no/such/path")]


async def test_every_route_wants_a_token(app: FastAPI, web: httpx.AsyncClient) -> None:
    for method, path in every_route(app):
        for token in ("", "Bearer wrong", "Basic abc"):
            url = path.format(
                run="r",
                name="n",
                digest="d",
                other="o",
                address="a",
                key="k",
                store="s",
                version="1",
                file="f",
            )
            answer = await web.request(method, url, headers={"Authorization": token})
            wanted = 200 if path == "/healthz" else 401
            assert answer.status_code == wanted, (method, path, token)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example.org"},
        {"Host": "turnout.evil.example.org"},
        {"Origin": "https://evil.example.org"},
        {"Origin": "null"},
    ],
)
async def test_foreign_pages_are_refused(web: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await web.get("/v1/runs")).status_code == 200
    assert (await web.get("/v1/runs", headers=headers)).status_code == 401


async def test_own_pages_are_not(web: httpx.AsyncClient) -> None:
    answer = await web.get("/v1/runs", headers={"Origin": "http://turnout"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("host", "name"),
    [("a:1", "a"), ("A", "a"), ("[::1]:8650", "[::1]"), ("[::1]", "[::1]"), ("", "")],
)
def test_hostname(host: str, name: str) -> None:
    assert hostname(host) == name
