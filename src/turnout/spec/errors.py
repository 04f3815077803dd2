"""Every error that a person may see. The message says what is wrong and what to do next.

Two roots: `UserError` (something asked for cannot be; HTTP 4xx, exit code 2) and `TargetError`
(a machine did not do its part). Anything else that escapes is a bug.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class TurnoutError(Exception):
    """Root of the errors that carry a stable `code` and a message for a person."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UserError(TurnoutError):
    """What was asked for cannot be done as asked."""

    code = "invalid"
    status = 400


class ConfigurationError(UserError):
    """Fields of a configuration that cannot be so; `fields` has what is wrong with each by its
    name, and under "" what is wrong with the whole."""

    code = "configuration"

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = dict(fields or {})


class NotFoundError(UserError):
    """The thing named does not exist."""

    code = "not_found"
    status = 404


class ModelNotFoundError(NotFoundError):
    """No model of that name, or no such version of it."""

    code = "model_not_found"


class ConflictError(UserError):
    """The thing exists already, or is in a state that forbids this."""

    code = "conflict"
    status = 409


class QuotaError(ConflictError):
    """A quota of the workspace is used up; the message says how to raise it."""

    code = "quota"


class SnapshotMissingError(ConflictError):
    """The service does not hold the snapshot that a run names: send it, then ask again."""

    code = "snapshot_missing"


class NotAllowedError(UserError):
    """No token, a wrong token, or a request from a foreign page."""

    code = "not_allowed"
    status = 401


class SnapshotError(UserError):
    """The source folder cannot be captured: too large, unreadable, or changing while read."""

    code = "snapshot"


class EnvironmentSpecError(UserError):
    """The environment asked for contradicts itself or names something unsupported."""

    code = "environment"


class ServiceError(TurnoutError):
    """The service cannot be started or reached."""

    code = "service"
    status = 503


class TargetError(TurnoutError):
    """A target failed. `retryable` says whether trying again later can help.

    Example: `TargetError("lab refused the connection; is sshd running there?", retryable=True)`.
    """

    code = "target"
    status = 502

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


def by_code(code: str) -> type[TurnoutError]:
    """The class that carries `code`, for a client that rebuilds an error from an answer."""
    found: dict[str, type[TurnoutError]] = {}
    todo: list[type[TurnoutError]] = [TurnoutError]
    while todo:
        kind = todo.pop()
        found.setdefault(kind.code, kind)
        todo.extend(kind.__subclasses__())
    return found.get(code, UserError)
