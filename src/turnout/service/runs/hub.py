"""Tells listeners in this process that something changed. A hint: who misses it looks later."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Generator
from typing import Any

View = dict[str, Any]


class Listener:
    """One who follows a run. `changed` is set by news; `view` is the newest row, None when the
    database must be asked."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.view: View | None = None

    def show(self, view: View | None) -> None:
        if view is None or self.view is None or view["version"] >= self.view["version"]:
            self.view = view


class Watcher:
    """One who wants to know of which kind of thing something changed: "runs", "compute"; and of
    one run also "run" and, when it wrote something, "log"."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.changed = asyncio.Event()
        self.kinds: set[str] = set()

    def note(self, kind: str) -> None:
        self.kinds.add(kind)
        self.changed.set()

    def take(self) -> set[str]:
        """What changed since the last time."""
        self.changed.clear()
        found, self.kinds = self.kinds, set()
        return found


class Hub:
    """Run ids to those who follow them; and those who watch all."""

    def __init__(self) -> None:
        #: Grows with each change; another service begins with another number.
        self.news = time.time_ns()
        self.watchers: set[Watcher] = set()
        self.listeners: defaultdict[str, set[Listener]] = defaultdict(set)

    @contextlib.contextmanager
    def listen(self, run: str) -> Generator[Listener, None, None]:
        listener = Listener()
        self.listeners[run].add(listener)
        try:
            yield listener
        finally:
            self.listeners[run].discard(listener)
            if not self.listeners[run]:
                del self.listeners[run]

    @contextlib.contextmanager
    def watch(self, run: str = "") -> Generator[Watcher, None, None]:
        watcher = Watcher(run)
        self.watchers.add(watcher)
        try:
            yield watcher
        finally:
            self.watchers.discard(watcher)

    def note(self, kind: str, run: str = "") -> None:
        """Something of this kind changed; of this `run`, for those who watch it alone."""
        self.news += 1
        for watcher in self.watchers:
            if not run or run == watcher.run:
                watcher.note(kind)

    def tell(self, run: str, view: View | None = None) -> None:
        """The row of `run` changed; `view` spares listeners a look at the database."""
        self.note("runs")
        self.note("run", run)
        for listener in self.listeners.get(run, ()):
            listener.show(view)
            listener.changed.set()

    def grew(self, run: str) -> None:
        """A log of `run` grew."""
        self.note("log", run)
        for listener in self.listeners.get(run, ()):
            listener.changed.set()
