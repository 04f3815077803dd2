"""Who we are to one machine, and what its refusals mean in words."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from turnout.hosts import ssh_keys
from turnout.hosts.ssh_config import Hop
from turnout.spec.errors import TargetError
from turnout.spec.secrets import Secret

Key = asyncssh.SSHKey | asyncssh.SSHKeyPair


@dataclass
class Credentials:
    """Loaded keys of one hop, in the order in which they are offered."""

    keys: list[Key] = field(default_factory=list[Key])
    agent: asyncssh.SSHAgentClient | None = None
    #: Key files that could not be used, and why; told when nothing else works.
    unusable: list[str] = field(default_factory=list[str])

    def close(self) -> None:
        if self.agent is not None:
            self.agent.close()
            self.agent = None


async def load_credentials(hop: Hop) -> Credentials:
    """Read keys, ask the agent. Raises `TargetError` for what cannot work, before connecting."""
    found = Credentials()
    try:
        if hop.private_key:
            found.keys.append(
                await asyncio.to_thread(
                    ssh_keys.private_key, hop.private_key, hop.passphrase, "the private key"
                )
            )
        if hop.agent_path or hop.agent_required:
            await add_agent_keys(hop, found)
        for file in hop.identity_files:
            await asyncio.to_thread(add_identity, hop, file, found)
    except BaseException:
        found.close()
        raise
    if not found.keys and not hop.password:
        found.close()
        raise TargetError(nothing_to_offer(hop, found.unusable))
    return found


def nothing_to_offer(hop: Hop, unusable: Sequence[str]) -> str:
    if unusable:
        return f"There is no usable key for {hop.username} on {hop.where}. {' '.join(unusable)}"
    return (
        f"There is nothing to log in with as {hop.username} on {hop.where}. Give a password or a "
        "private key, or load a key into the SSH agent (ssh-add) and ask for the agent."
    )


async def add_agent_keys(hop: Hop, found: Credentials) -> None:
    path = hop.agent_path
    if not path:
        raise TargetError(
            "The SSH agent was asked for, but SSH_AUTH_SOCK is not set where Turnout runs. Start "
            "one (eval $(ssh-agent); ssh-add), or name its socket."
        )
    try:
        found.agent = await asyncssh.connect_agent(path)
        keys = list(await found.agent.get_keys())
    except (OSError, ValueError) as e:
        if not hop.agent_required:
            return
        raise TargetError(
            f"The SSH agent at {path} does not answer. Is it running? Start one with "
            "eval $(ssh-agent), then ssh-add."
        ) from e
    if hop.agent_required and not keys:
        raise TargetError(f"The SSH agent at {path} holds no key. Load one: ssh-add.")
    if hop.identities_only:
        named = {public_blob(file) for file in hop.identity_files}
        keys = [k for k in keys if k.public_data in named]
    found.keys += keys


def public_blob(file: Path) -> bytes | None:
    with contextlib.suppress(OSError, asyncssh.KeyImportError):
        return asyncssh.read_public_key(f"{file}.pub").public_data
    return None


def add_identity(hop: Hop, file: Path, found: Credentials) -> None:
    blob = public_blob(file)
    if blob is not None and any(k.public_data == blob for k in found.keys):
        return
    try:
        content = Secret(file.read_text(encoding="utf-8", errors="replace"))
        found.keys.append(ssh_keys.private_key(content, hop.passphrase, str(file)))
    except OSError as e:
        found.unusable.append(f"{file}: {e.strerror}.")
    except TargetError as e:
        found.unusable.append(e.message)


class Client(asyncssh.SSHClient):
    """Answers asyncssh's questions about one hop, and remembers what was asked."""

    def __init__(self, hop: Hop, trusted: Sequence[asyncssh.SSHKey], have: Credentials) -> None:
        self.hop = hop
        self.trusted = trusted
        self.left = list(have.keys)
        self.presented: asyncssh.SSHKey | None = None
        self.offered: list[str] = []
        self.password_asked = False
        self.challenge_asked = False
        self.challenge: list[str] = []
        #: What was asked beside the password.
        self.prompts: list[str] = []
        self.password_expired = False
        self.lost = asyncio.Event()
        self.connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn

    @property
    def greeted(self) -> bool:
        """The other side said that it speaks SSH."""
        return bool(self.connection and self.connection.get_extra_info("server_version"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        self.presented = key
        return key in self.trusted

    def public_key_auth_requested(self) -> Key | None:
        if not self.left:
            return None
        key = self.left.pop(0)
        self.offered.append(f"{key.get_algorithm()} {shown(key)}")
        return key

    def password_auth_requested(self) -> str | None:
        if self.password_asked or not self.hop.password:
            return None
        self.password_asked = True
        return self.hop.password.reveal()

    def password_change_requested(self, prompt: str, lang: str) -> tuple[str, str]:
        self.password_expired = True
        raise asyncssh.PermissionDenied("password expired")

    def kbdint_auth_requested(self) -> str | None:
        # A server that took the password by one method and refused it does not get it again.
        if self.password_asked or not self.hop.password:
            return None
        return ""

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> Sequence[str] | None:
        if not prompts:
            return []
        asked = [text.strip() for text, _ in prompts]
        if self.challenge_asked and asked == self.challenge:
            return None  # asked again: the answer was wrong
        self.prompts += asked
        hidden = len(prompts) == 1 and not prompts[0][1]
        if not hidden or self.challenge_asked or not self.hop.password:
            return None
        self.challenge_asked = True
        self.challenge, self.prompts = asked, []
        return [self.hop.password.reveal()]

    def refusal(self, unusable: Sequence[str]) -> str:
        """Why the login failed, and what to do."""
        hop = self.hop
        who = f"{hop.username} on {hop.where}"
        said: list[str] = []
        if self.password_expired:
            return f"The password of {who} has expired. Log in once with ssh and set a new one."
        if self.offered:
            keys = (
                " and ".join(self.offered)
                if len(self.offered) < 3
                else (f"{len(self.offered)} keys ({', '.join(self.offered[:3])}, …)")
            )
            said.append(
                f"{hop.where} refused the key {keys} for user {hop.username}. Add its public half "
                f"to ~{hop.username}/.ssh/authorized_keys there (ssh-copy-id), or check the user "
                "name."
            )
        if self.password_asked or self.challenge_asked:
            if self.prompts:
                said.append(
                    f"{hop.where} also asks {self.prompts[0]!r}, which only a person can "
                    "answer. Use a key."
                )
            else:
                said.append(f"The password of {who} is wrong, or the user may not log in.")
        elif hop.password and self.prompts:
            said.append(
                f"{hop.where} asks {self.prompts[0]!r}, which only a person can answer. Use a key."
            )
        elif hop.password:
            said.append(f"{hop.where} does not take passwords. Use a private key.")
        if not said:
            said.append(
                f"{hop.where} takes none of what there is to log in with as {hop.username}. Give "
                "a password or a private key."
            )
        return " ".join([*said, *unusable])


def shown(key: Key) -> str:
    if isinstance(key, asyncssh.SSHKey):
        return ssh_keys.fingerprint(key)
    with contextlib.suppress(asyncssh.KeyImportError):
        return ssh_keys.fingerprint(asyncssh.public_key.decode_ssh_public_key(key.public_data))
    return key.get_comment() or "?"


def changed_host_key(hop: Hop, presented: asyncssh.SSHKey | None) -> TargetError:
    """The machine's key is not the one that was pinned."""
    now = ssh_keys.fingerprint(presented) if presented else "one of another kind"
    if hop.pinned:
        pinned = ssh_keys.fingerprint(ssh_keys.pinned_key(hop.pinned))
        return TargetError(
            f"The host key of {hop.where} has changed. Pinned at attach: {pinned}. Presented now: "
            f"{now}. Somebody may be in between, so nothing was sent. If you know that the "
            "machine was set up anew, attach it again: turnout target attach ssh NAME …"
        )
    return TargetError(
        f"The host key of {hop.where} is not known: {now}. Nothing was sent. Compare it with the "
        "machine's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there), then log in "
        "once with ssh so that it stands in known_hosts, or give the host key."
    )
