"""Addresses of this machine, for tests of what can be reached."""

from __future__ import annotations

import socket

#: Of a documentation network: nothing is sent there, it only needs a route.
SOMEBODY = ("192.0.2.200", 9)


def own_address() -> str:
    """The one that this machine has towards others; a loopback one where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(SOMEBODY)
        except OSError:
            return "127.0.0.2"
        return str(one.getsockname()[0])
