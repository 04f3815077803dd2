"""A service for the tests of the command line: it answers what it was told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from turnout.spec.errors import NotFoundError


class FakeClient:
    """Answers by (method, path) and notes what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Any] = {}
        self.asked: list[tuple[str, str, Any]] = []

    def request(self, method: str, path: str, body: Any = None, *, query: Any = None) -> Any:
        self.asked.append((method, path, body or query))
        answer = self.answers.get((method, path), NotFoundError(f"nothing at {path}"))
        answer = answer(body or query) if isinstance(answer, Callable) else answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def get(self, path: str, query: Any = None) -> Any:
        return self.request("GET", path, query=query)

    def post(self, path: str, body: Any = None) -> Any:
        return self.request("POST", path, body)

    def sent(self, method: str) -> list[Any]:
        return [body for m, _, body in self.asked if m == method]

    def changes(self) -> list[tuple[str, str, Any]]:
        return [asked for asked in self.asked if asked[0] != "GET"]
