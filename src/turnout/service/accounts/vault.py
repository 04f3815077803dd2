"""Secrets at rest: the owner-only token and key files, and encryption with that key."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from turnout.spec.errors import ServiceError


def owned_file(path: Path, make: bytes) -> bytes:
    """The content of an owner-only file, made with `make` if it is not there yet."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Written whole under another name, then linked: a reader never sees half, and of two
    # processes that start at once the first wins.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(make)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    return path.read_bytes()


def token(home: Path) -> str:
    """The token of this home's service."""
    return owned_file(home / "token", secrets.token_urlsafe(32).encode()).decode().strip()


class Vault:
    """Encrypts small mappings of secrets with the key in `secret.key`."""

    def __init__(self, home: Path) -> None:
        self.fernet = Fernet(owned_file(home / "secret.key", Fernet.generate_key()))

    def seal(self, values: Mapping[str, str]) -> bytes:
        return self.fernet.encrypt(json.dumps(dict(values)).encode())

    def open(self, sealed: bytes) -> dict[str, str]:
        try:
            return json.loads(self.fernet.decrypt(sealed))
        except InvalidToken:
            raise ServiceError(
                "A secret cannot be read: secret.key in the home folder was changed. Attach the "
                "target again, or log in at the registry again."
            ) from None
