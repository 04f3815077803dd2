"""Keys: private ones that log in, public ones that prove which machine answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import asyncssh
from asyncssh.known_hosts import SSHKnownHosts
from asyncssh.public_key import get_default_public_key_algs

from turnout.hosts.ssh_config import Hop
from turnout.hosts.ssh_settings import DEFAULT_PORT, HostKey
from turnout.spec.errors import TargetError
from turnout.spec.secrets import Secret

#: Signatures that an RSA host key may make; SHA-1 is not among them.
RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")


def private_key(content: Secret, passphrase: Secret | None, name: str) -> asyncssh.SSHKey:
    """The key in `content`. Raises `TargetError` that tells no passphrase from a wrong one.

    Slow on purpose for keys with a passphrase (0.1 to 1 s): call it in a thread.
    """
    start = name[:1].upper() + name[1:]
    text = content.reveal().strip().replace("\r\n", "\n") + "\n"
    if text.startswith(("ssh-", "ecdsa-", "sk-", "---- BEGIN SSH2 PUBLIC")):
        raise TargetError(f"{start} is a public key. Give the private one, without '.pub'.")
    if text.startswith("PuTTY-User-Key-File"):
        raise TargetError(
            f"{start} is a PuTTY key. Export it as an OpenSSH key: puttygen KEY.ppk -O "
            "private-openssh -o KEY"
        )
    try:
        return asyncssh.import_private_key(text, passphrase.reveal() if passphrase else None)
    except asyncssh.KeyEncryptionError as e:
        if "bcrypt" in str(e):
            raise TargetError(
                f"{start} has a passphrase, and this installation cannot read such keys. "
                "Install the package 'bcrypt' beside Turnout."
            ) from e
        raise TargetError(f"The passphrase of {name} is wrong.") from e
    except asyncssh.KeyImportError as e:
        if str(e).startswith("Passphrase must"):
            raise TargetError(f"{start} has a passphrase. Give it too.") from e
        if passphrase and "decrypt" in str(e):  # the older file formats say it like this
            raise TargetError(f"The passphrase of {name} is wrong.") from e
        raise TargetError(
            f"{start} cannot be read as a private key: {e}. Expected is a file that begins with "
            "'-----BEGIN OPENSSH PRIVATE KEY-----' or alike."
        ) from e


def fingerprint(key: asyncssh.SSHKey) -> str:
    return key.get_fingerprint("sha256")


def public_line(key: asyncssh.SSHKey) -> str:
    """ "ssh-ed25519 AAAA…", without a comment."""
    words = key.export_public_key("openssh").decode("ascii").split()
    return " ".join(words[:2])


def pinned_key(line: str) -> asyncssh.SSHKey:
    """The key in "ssh-ed25519 AAAA…" or in a line of `known_hosts`."""
    words = line.split()
    for start in range(min(3, len(words))):
        with contextlib.suppress(asyncssh.KeyImportError):
            return asyncssh.import_public_key(" ".join(words[start : start + 2]))
    raise TargetError(
        f"{line[:60]!r} is not a host key. Expected is a line such as 'ssh-ed25519 AAAA…'."
    )


def known_keys(hop: Hop) -> tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey]]:
    """The keys that `known_hosts` trusts, and those that it revokes, for this machine."""
    trusted: list[asyncssh.SSHKey] = []
    revoked: list[asyncssh.SSHKey] = []
    port = hop.port if hop.port != DEFAULT_PORT else None
    for line in known_lines(hop.known_hosts):
        # One line at a time: a line that nobody can read must not hide the others.
        with contextlib.suppress(ValueError):
            found = SSHKnownHosts(line).match(hop.alias, "", port)
            trusted += found[0]
            revoked += found[2]
    return trusted, revoked


def known_lines(files: Iterable[Path]) -> list[str]:
    lines: list[str] = []
    for file in files:
        with contextlib.suppress(OSError):
            lines += file.read_text(errors="replace").splitlines()
    return lines


def signature_names(keys: Sequence[asyncssh.SSHKey]) -> list[str]:
    """What to ask the server for, so that it presents one of `keys`."""
    names: list[str] = []
    for key in keys:
        algorithm = key.get_algorithm()
        names += RSA_SIGNATURES if algorithm == "ssh-rsa" else [algorithm]
    return list(dict.fromkeys(names))


def preferring(keys: Sequence[asyncssh.SSHKey]) -> list[str]:
    """Every algorithm that we accept, those of `keys` first; none that is weak."""
    usual = [a.decode("ascii") for a in get_default_public_key_algs()]
    return list(dict.fromkeys([*signature_names(keys), *(a for a in usual if a != "ssh-rsa")]))


def host_key(hop: Hop, key: asyncssh.SSHKey) -> HostKey:
    """What a person is shown about `key`, presented by `hop`."""
    trusted, revoked = known_keys(hop)
    if key in revoked:
        raise TargetError(
            f"{hop.where} presents the host key {fingerprint(key)}, which known_hosts marks as "
            "revoked. Do not log in there before its owner has been asked."
        )
    known = key in trusted
    others = [k for k in trusted if k.get_algorithm() == key.get_algorithm() and k != key]
    return HostKey(
        line=public_line(key),
        fingerprint=fingerprint(key),
        algorithm=key.get_algorithm(),
        known=known,
        conflict=fingerprint(others[0]) if others and not known else "",
    )
