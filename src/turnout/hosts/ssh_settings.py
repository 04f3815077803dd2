"""What it takes to reach a machine by SSH, and a host key. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from turnout.spec.secrets import Secret

DEFAULT_PORT = 22


@dataclass(frozen=True)
class SSHSettings:
    """How to reach one machine.

    Without password, private key and agent, the key files and the agent of the service's user are
    tried, as `ssh` does. What is given here comes before what `ssh_config_host` says.

    Example: `SSHSettings("lab.example.org", username="ana", private_key=Secret(text))`.
    """

    #: Name or IP address; may be "" with `ssh_config_host`.
    address: str = ""
    port: int | None = None
    username: str = ""
    password: Secret | None = None
    #: Content of the key file, not its path.
    private_key: Secret | None = None
    passphrase: Secret | None = None
    #: A `Host` of `~/.ssh/config`.
    ssh_config_host: str | None = None
    #: "user@host:port"; several hops are separated by commas, the nearest first.
    jump: str | None = None
    #: Use the agent's keys, and nothing else when no key or password is given.
    agent: bool = False
    #: The agent's socket; $SSH_AUTH_SOCK when None.
    agent_path: str | None = None
    #: The machine's public host key, "ssh-ed25519 AAAA…"; None: it must be in `known_hosts`.
    host_key: str | None = None
    #: The same for the jump host; one line per hop.
    jump_host_key: str | None = None
    connect_timeout_s: float = 15.0


@dataclass(frozen=True)
class HostKey:
    """A machine's public host key, to be shown to a person and pinned."""

    #: "ssh-ed25519 AAAA…": goes into `SSHSettings.host_key`.
    line: str
    #: "SHA256:…", as `ssh-keygen -l` prints it.
    fingerprint: str
    #: "ssh-ed25519"
    algorithm: str
    #: The user's `known_hosts` has exactly this key for this machine.
    known: bool = False
    #: Fingerprint of another key of this algorithm that `known_hosts` has instead; "" if none.
    conflict: str = ""
