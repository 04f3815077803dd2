"""The one place that lets requests in: deny by default, for every route there is or will be."""

from __future__ import annotations

import hmac
import json
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from turnout.service.state import State

#: Answers without a token; says nothing but that the service is up.
OPEN_PATHS = frozenset({"/healthz"})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1", "turnout"})


class Gate:
    """Checks Host (DNS rebinding), Origin (foreign pages) and the token of each request."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app = app
        self.state = state
        names = [n.strip() for n in state.settings.allowed_hosts.split(",") if n.strip()]
        self.hosts = LOOPBACK | {state.settings.host, *names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if refusal:
            await refuse(send, refusal)
            return
        activity = self.state.activity
        activity.requests += 1
        try:
            await self.app(scope, receive, send)
        finally:
            activity.requests -= 1
            activity.last = activity.clock()

    def refusal(self, scope: Scope) -> str:
        """Why the request is not let in; "" when it is."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if hostname(host) not in self.hosts:
            return f"This service is not addressed as '{host}'. See the setting allowed_hosts."
        origin = headers.get(b"origin")
        if origin is not None and hostname(urlsplit(origin).netloc) != hostname(host):
            return "Requests from pages of other sites are refused."
        if scope["path"] in OPEN_PATHS:
            return ""
        scheme, _, given = headers.get(b"authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            return "A token is needed: 'Authorization: Bearer TOKEN'."
        if not hmac.compare_digest(given.encode(), self.state.token.encode()):
            return "The token is wrong. Set TURNOUT_TOKEN to the one that the service printed."
        return ""


def hostname(host: str) -> str:
    """Without the port.

    >>> hostname("[::1]:80"), hostname("example.org:8650")
    ('[::1]', 'example.org')
    """
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


async def refuse(send: Send, message: str) -> None:
    body = json.dumps({"error": {"code": "not_allowed", "message": message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})
