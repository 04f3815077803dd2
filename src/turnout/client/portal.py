"""Addresses of the portal's pages."""

from __future__ import annotations

from urllib.parse import quote

from turnout.client.http import Client, TCPEndpoint
from turnout.spec.errors import TurnoutError


def page(*parts: str) -> str:
    """A page's path; every part is one piece of it.

    >>> page("runs", "hello_1_2")
    '/portal/runs/hello_1_2'
    """
    return "/".join(["/portal", *(quote(part, safe="") for part in parts)])


def base(client: Client, told: str) -> str:
    """The address of the service for browsers: a hosted one's is the one that we use ourselves,
    which may be a proxy's."""
    endpoint = client.endpoint
    return endpoint.url.rstrip("/") if isinstance(endpoint, TCPEndpoint) else told


def address(client: Client, *parts: str) -> str:
    """The address of a page. "" while the service does not answer: links are an extra."""
    try:
        found = base(client, client.get("/v1/portal")["url"])
    except TurnoutError:
        return ""
    return found + page(*parts) if found else ""


def sign_in_link(client: Client, path: str) -> str:
    """An address that lets one browser in, once, and shows the page at `path`."""
    found = client.post("/v1/portal/links", {"page": path})
    return base(client, found["url"]) + found["path"]
