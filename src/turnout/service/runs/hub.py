"""Tells listeners in this process that a run changed. A hint: who misses it looks later."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Generator


class Hub:
    """Run ids to the events of those who follow them."""

    def __init__(self) -> None:
        self.listeners: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextlib.contextmanager
    def listen(self, run: str) -> Generator[asyncio.Event]:
        event = asyncio.Event()
        self.listeners[run].add(event)
        try:
            yield event
        finally:
            self.listeners[run].discard(event)
            if not self.listeners[run]:
                del self.listeners[run]

    def tell(self, run: str) -> None:
        for event in self.listeners.get(run, ()):
            event.set()

    def tell_all(self) -> None:
        for run in list(self.listeners):
            self.tell(run)
