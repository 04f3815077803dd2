"""The one place that lets requests in: deny by default, for every route there is or will be.

Programs bring the token and reach everything but the portal; browsers bring a session's cookie
and reach the portal alone. So no page can make a browser call the API.
"""

from __future__ import annotations

import hmac
import json
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from turnout.service.accounts.who import named, who
from turnout.service.state import State

#: Answer without a token: that the service is up, and where the portal is.
OPEN_PATHS = frozenset({"/healthz", "/"})
PORTAL = "/portal"
SIGN_IN = "/portal/sign-in"
#: The same for everybody: style sheets, scripts, pictures.
STATIC = "/portal/static/"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1", "turnout"})
SAFE_METHODS = frozenset({"GET", "HEAD"})
Headers = dict[bytes, str]


class Refused(Exception):
    """Why a request is not let in, and what a browser is answered."""

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class Gate:
    """Checks Host (DNS rebinding), Origin (foreign pages) and the token or session."""

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
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self.check_page(headers)
            if is_portal(scope["path"]):
                user = await self.browser(scope, headers)
            else:
                user = self.program(scope["path"], headers)
        except Refused as e:
            await refuse(send, e)
            return
        if user is None:
            await to_sign_in(scope, headers, send)
            return
        activity = self.state.activity
        activity.requests += 1
        mark = who.set(user)
        try:
            await self.app(scope, receive, send)
        finally:
            who.reset(mark)
            if scope["method"] not in SAFE_METHODS:
                # Perhaps somebody did something: open pages look.
                self.state.hub.note("events")
            activity.requests -= 1
            activity.last = activity.clock()

    def check_page(self, headers: Headers) -> None:
        """Refuse requests under a foreign name, and those of pages of other sites."""
        host = headers.get(b"host", "")
        if hostname(host) not in self.hosts:
            raise Refused(
                f"This service is not addressed as '{host}'. See the setting allowed_hosts."
            )
        origin = headers.get(b"origin")
        if origin is not None and hostname(urlsplit(origin).netloc) != hostname(host):
            raise Refused("Requests from pages of other sites are refused.")

    def program(self, path: str, headers: Headers) -> str:
        """The user of a request with the token."""
        if path in OPEN_PATHS:
            return ""
        scheme, _, given = headers.get(b"authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise Refused("A token is needed: 'Authorization: Bearer TOKEN'.")
        if not hmac.compare_digest(given.encode(), self.state.token.encode()):
            raise Refused("The token is wrong. Set TURNOUT_TOKEN to the one that the service has.")
        return named(headers.get(b"turnout-user", ""))

    async def browser(self, scope: Scope, headers: Headers) -> str | None:
        """The user of a browser's session; None for one that must sign in first."""
        path = scope["path"]
        if scope["method"] not in SAFE_METHODS and not same_origin(headers):
            # Cookies come along from other ports of the same host: the origin must be ours whole.
            raise Refused("Forms are taken from the portal's own pages only.", 403)
        if path == SIGN_IN or path.startswith(STATIC):
            return ""
        code = cookie_of(headers, self.state.cookie)
        return await self.state.sessions.who(code) if code else None


def is_portal(path: str) -> bool:
    return path == PORTAL or path.startswith(f"{PORTAL}/")


def same_origin(headers: Headers) -> bool:
    """Whether a page of this very service sent the request. Browsers say so in `Sec-Fetch-Site`
    (where they find the address trustworthy) and, with every POST, in `Origin`."""
    site = headers.get(b"sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    return urlsplit(headers.get(b"origin", "")).netloc == headers.get(b"host", "") != ""


def cookie_of(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get(b"cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def hostname(host: str) -> str:
    """Without the port.

    >>> hostname("[::1]:80"), hostname("example.org:8650")
    ('[::1]', 'example.org')
    """
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


async def refuse(send: Send, refused: Refused) -> None:
    body = json.dumps({"error": {"code": "not_allowed", "message": str(refused)}}).encode()
    headers = [(b"content-type", b"application/json")]
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def to_sign_in(scope: Scope, headers: Headers, send: Send) -> None:
    """Where a browser without a session goes; afterwards it comes back to the same page."""
    path, query = scope["path"], scope["query_string"].decode("latin-1")
    if b"hx-request" in headers:
        # It was a part of a page that was refused: the page itself is what one comes back to.
        page = urlsplit(headers.get(b"hx-current-url", ""))
        path, query = page.path or PORTAL, page.query
    wanted = f"{path}?{query}" if query else path
    place = f"{SIGN_IN}?next={quote(wanted, safe='')}".encode()
    found = [(b"cache-control", b"no-store")]
    if b"hx-request" in headers:
        found.append((b"hx-redirect", place))
        status = 401
    elif scope["method"] in SAFE_METHODS and "text/html" in headers.get(b"accept", ""):
        found.append((b"location", place))
        status = 303
    else:
        status = 401
    await send({"type": "http.response.start", "status": status, "headers": found})
    await send({"type": "http.response.body", "body": b""})
