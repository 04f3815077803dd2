"""A log that is being written: it takes everything at once, and survives a full disk."""

from __future__ import annotations

import os

TAIL = 16 << 10


class Log:
    """Appends to the file at `path`. What does not fit on the disk is counted, never waited for.

    `lost` is the number of bytes that could not be kept.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1
        self.lost = 0
        self.unsaid = 0
        self.tail = b""

    def write(self, data: bytes) -> None:
        self.tail = (self.tail + data)[-TAIL:] if len(data) < TAIL else data[-TAIL:]
        if self.unsaid:
            note = b"\n[turnout: %d bytes of output lost, the disk was full]\n" % self.unsaid
            if self.put(note) != len(note):
                self.lost += len(data)
                self.unsaid += len(data)
                return
            self.unsaid = 0
        left = len(data) - self.put(data)
        self.lost += left
        self.unsaid += left

    def put(self, data: bytes) -> int:
        """Write as much as the disk takes; how many bytes that were."""
        done = 0
        try:
            if self.fd < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self.fd = os.open(self.path, flags, 0o600)
            while done < len(data):
                done += os.write(self.fd, data[done:] if done else data)
        except OSError:
            pass
        return done

    def say(self, text: str) -> None:
        """A line of our own."""
        self.write(text.encode("utf-8", "replace") + b"\n")

    def last_lines(self, count: int = 15) -> str:
        """The last lines written that are not empty."""
        lines = self.tail.decode("utf-8", "replace").replace("\r", "\n").split("\n")
        return "\n".join([line.rstrip() for line in lines if line.strip()][-count:])

    def forget_tail(self) -> None:
        self.tail = b""

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
