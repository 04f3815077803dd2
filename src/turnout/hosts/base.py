"""A place where commands run: this machine, or one that SSH reaches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Completed:
    """A finished command. `code` is None when the connection was lost before its end."""

    code: int | None
    out: bytes
    err: bytes


class Process(ABC):
    """A running command with pipes. Ends when its stdin is closed, or is killed by `kill`."""

    @abstractmethod
    async def write(self, data: bytes) -> None:
        """Send to its stdin, with backpressure. Raises `TargetError(retryable=True)` when cut."""

    @abstractmethod
    async def read(self, limit: int) -> bytes:
        """Up to `limit` bytes of its stdout; b"" at the end or when the connection is cut."""

    @abstractmethod
    def errors(self) -> str:
        """The last 8 KiB of its stderr, so far."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close stdin, wait shortly, kill. Safe to call twice."""


class Host(ABC):
    """Runs commands. Argument lists only; quoting for a remote shell is this room's business.

    Example: `await host.run(["python3", "-c", "print(1)"], timeout_s=10)`.
    Raises `TargetError` with what to do: unreachable (retryable), refused, host key changed.
    """

    @abstractmethod
    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float = 30.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run to its end. Raises `TargetError(retryable=True)` past `timeout_s`."""

    @abstractmethod
    async def spawn(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        """Start with pipes on stdin and stdout."""

    @abstractmethod
    async def aclose(self) -> None:
        """End every process made by `spawn` and the connection."""
