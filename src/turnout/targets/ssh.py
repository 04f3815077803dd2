"""`ssh`: any Linux machine that SSH reaches and that has a Python. No root, no daemon there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator
from typing_extensions import Self

from turnout.hosts import bootstrap
from turnout.hosts.base import Host
from turnout.hosts.ssh import SSHHost, SSHSettings, fetch_host_key, fetch_jump_host_keys
from turnout.spec.secrets import Secret
from turnout.spec.targets import Capabilities
from turnout.targets.base import Identity
from turnout.targets.supervised import SupervisedTarget

#: More machines on the way than anybody chains.
JUMPS_LIMIT = 8
#: What forms do with a field: fold it away, or show it to nobody.
ADVANCED: dict[str, JsonValue] = {"advanced": True}
HIDDEN: dict[str, JsonValue] = {"hidden": True}


class SSHConfig(BaseModel):
    """How to reach the machine. `address` and `username`, or `ssh_config_host`."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    address: str = Field(
        default="",
        title="Address",
        description="Name or IP address of the machine.",
        json_schema_extra={"placeholder": "lab.example.org"},
    )
    port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        title="Port",
        description="Where its SSH server listens; 22, or what the Host says, when not given.",
        json_schema_extra={"placeholder": "22"},
    )
    username: str = Field(default="", title="User", description="The user on that machine.")
    password: Secret | None = Field(
        default=None,
        title="Password",
        description="The user's password. Without password, key and agent, the keys of the "
        "service's own user are tried, as `ssh` does.",
    )
    private_key: Secret | None = Field(
        default=None,
        title="Private key",
        description="The key file's content, not its path.",
        json_schema_extra={
            "multiline": True,
            "placeholder": "-----BEGIN OPENSSH PRIVATE KEY-----",
        },
    )
    passphrase: Secret | None = Field(
        default=None,
        title="Passphrase",
        description="The passphrase of the private key, if it has one.",
    )
    agent: bool | str = Field(
        default=False,
        title="Use the SSH agent",
        description="Use the SSH agent: True for $SSH_AUTH_SOCK of the service, or the socket's "
        "path.",
        json_schema_extra=ADVANCED,
    )
    ssh_config_host: str | None = Field(
        default=None,
        title="Host of ~/.ssh/config",
        description="A Host of ~/.ssh/config of the service's user, instead of address and user.",
        json_schema_extra=ADVANCED,
    )
    jump: str | None = Field(
        default=None,
        title="Jump host",
        description='"user@host:port" of a machine to go through; several are separated by '
        "commas, the nearest first.",
        json_schema_extra={**ADVANCED, "placeholder": "ana@gate.example.org"},
    )
    host_key: str | None = Field(
        default=None,
        title="Host key",
        description="The machine's public host key as one line; pinned.",
        json_schema_extra=HIDDEN,
    )
    jump_host_key: str | None = Field(
        default=None,
        title="Host keys of jump hosts",
        description="The same for jump hosts, a line for each.",
        json_schema_extra=HIDDEN,
    )
    python: str | None = Field(
        default=None,
        title="Python",
        description="The Python that runs our side there, 3.8 or newer; found when not given.",
        json_schema_extra={**ADVANCED, "placeholder": "/usr/bin/python3"},
    )
    folder: str = Field(
        default="~/.turnout/host",
        title="Folder",
        description="Where Turnout keeps its files there.",
        json_schema_extra=ADVANCED,
    )

    @field_validator("password", "private_key", "passphrase", mode="before")
    @classmethod
    def hide(cls, value: object) -> object:
        return Secret(value) if isinstance(value, str) else value

    @field_validator("address", "username", "jump", "folder", "python", "ssh_config_host")
    @classmethod
    def plain_word(cls, value: str | None) -> str | None:
        if value and (value.startswith("-") or any(c in value for c in "\0\n\r")):
            raise ValueError(f"{value!r} cannot be used here")
        return value

    @model_validator(mode="after")
    def complete(self) -> Self:
        if not self.ssh_config_host and not (self.address and self.username):
            raise ValueError("give an address and a username, or ssh_config_host")
        if self.passphrase and not self.private_key:
            raise ValueError("a passphrase needs a private key")
        return self


class SSHTarget(SupervisedTarget[SSHConfig]):
    """A machine that SSH reaches. It needs Python and nothing else: no root, no Docker."""

    kind: ClassVar[str] = "ssh"
    v1_type: ClassVar[str] = "VirtualMachine"
    config_model: ClassVar[type[BaseModel]] = SSHConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        gpu=True, tuning=True, automl=True, pipelines=True
    )

    def make_host(self) -> Host:
        return SSHHost(settings(self.config))

    async def identity(self) -> Identity | None:
        return await identity_of(self.config)

    @property
    def root(self) -> str:
        return self.config.folder

    @property
    def pythons(self) -> Sequence[str]:
        return (self.config.python,) if self.config.python else bootstrap.PYTHONS


def settings(config: SSHConfig) -> SSHSettings:
    """What the host needs of a target's configuration."""
    return SSHSettings(
        address=config.address,
        port=config.port,
        username=config.username,
        password=config.password,
        private_key=config.private_key,
        passphrase=config.passphrase,
        ssh_config_host=config.ssh_config_host,
        jump=config.jump,
        agent=bool(config.agent),
        agent_path=config.agent if isinstance(config.agent, str) else None,
        host_key=config.host_key,
        jump_host_key=config.jump_host_key,
    )


async def identity_of(config: SSHConfig) -> Identity | None:
    """The host key, and those of jump hosts on the way, each unknown one pinned in turn."""
    if config.host_key:
        return None
    lines: list[str] = []
    known = True
    # Every round pins one more jump host: nothing is sent through a machine that is not.
    for _ in range(JUMPS_LIMIT):
        hops = await fetch_jump_host_keys(settings(config))
        new = [hop for hop in hops if not hop.known and hop.line not in lines]
        if not new:
            break
        known = False
        lines.append(new[0].line)
        config = config.model_copy(update={"jump_host_key": "\n".join(lines)})
    found = await fetch_host_key(settings(config))
    pinned = {"host_key": found.line}
    if config.jump_host_key:
        pinned["jump_host_key"] = config.jump_host_key
    known = known and found.known
    return Identity(found.line, found.fingerprint, known, pinned, found.conflict)
