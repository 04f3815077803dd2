"""`RemoteCompute`: machines that SSH reaches, and how they are attached."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from turnout.client.compute import AttachConfiguration, ComputeTarget
from turnout.client.exceptions import ComputeTargetException

if TYPE_CHECKING:
    from turnout.client.workspace import Workspace


class RemoteComputeAttachConfiguration(AttachConfiguration):
    """How to reach a machine by SSH; see `RemoteCompute.attach_configuration`."""

    kind: ClassVar[str] = "ssh"

    def __init__(self, username: str = "", **given: Any) -> None:
        self.username = username
        self.address: str = given.pop("address", None) or ""
        self.ssh_port: int | None = given.pop("ssh_port", 22)
        self.password: str = given.pop("password", None) or ""
        self.private_key_file: str = os.fspath(given.pop("private_key_file", None) or "")
        self.private_key_passphrase: str = given.pop("private_key_passphrase", None) or ""
        self.ssh_config_host: str | None = given.pop("ssh_config_host", None)
        self.jump: str | None = given.pop("jump", None)
        self.use_agent: bool | str = given.pop("use_agent", False)
        self.host_key: str | None = given.pop("host_key", None)
        self.jump_host_key: str | None = given.pop("jump_host_key", None)
        self.python: str | None = given.pop("python", None)
        self.folder: str | None = given.pop("folder", None)
        for name in ("subscription_id", "resource_group", "vm_name", "resource_id"):
            if given.pop(name, None):
                raise ComputeTargetException(
                    f"A machine is named by its address: give address=… instead of {name}."
                )
        if given:
            raise ComputeTargetException(
                f"attach_configuration() has no argument '{next(iter(given))}'."
            )

    def __repr__(self) -> str:
        where = self.ssh_config_host or f"{self.username}@{self.address}:{self.ssh_port}"
        return f"RemoteComputeAttachConfiguration({where})"

    def validate_configuration(self) -> None:
        if not self.ssh_config_host and not (self.address and self.username):
            missing = "address" if not self.address else "username"
            raise ComputeTargetException(
                f"attach_configuration() needs {missing}, or ssh_config_host."
            )
        if self.password and self.private_key_file:
            raise ComputeTargetException("Give a password or a private_key_file, not both.")
        if self.private_key_passphrase and not self.private_key_file:
            raise ComputeTargetException("private_key_passphrase needs private_key_file.")

    def to_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "address": self.address,
            "username": self.username,
            # With a Host of the SSH configuration, its own port stands unless another is given.
            "port": None if self.ssh_config_host and self.ssh_port == 22 else self.ssh_port,
            "password": self.password,
            "private_key": read_key(self.private_key_file) if self.private_key_file else None,
            "passphrase": self.private_key_passphrase,
            "ssh_config_host": self.ssh_config_host,
            "jump": self.jump,
            "agent": self.agent_path(),
            "host_key": self.host_key,
            "jump_host_key": self.jump_host_key,
            "python": self.python,
            "folder": self.folder,
        }
        return {key: value for key, value in config.items() if value}

    def agent_path(self) -> bool | str:
        """The service's environment is not ours: it is told the agent's socket."""
        if self.use_agent is True:
            path = os.environ.get("SSH_AUTH_SOCK")
            if not path:
                raise ComputeTargetException(
                    "use_agent=True, but no SSH agent is here: SSH_AUTH_SOCK is not set."
                )
            return path
        return self.use_agent


class RemoteCompute(ComputeTarget):
    """A Linux machine that SSH reaches."""

    kind: ClassVar[str] = "ssh"

    @staticmethod
    def attach_configuration(
        username: str = "",
        subscription_id: str | None = None,
        resource_group: str | None = None,
        vm_name: str | None = None,
        resource_id: str | None = None,
        address: str | None = None,
        ssh_port: int = 22,
        password: str = "",
        private_key_file: str | os.PathLike[str] = "",
        private_key_passphrase: str = "",
        **extras: Any,
    ) -> RemoteComputeAttachConfiguration:
        """How to reach the machine: address, port, user, and a password or a private key.

        The key file is read here and its content sent. Extras: `ssh_config_host` (a Host of
        ~/.ssh/config), `jump` ("user@host:port"), `use_agent` (True, or the socket's path),
        `host_key` and `jump_host_key` (public keys to pin), `python` (the interpreter that runs
        our side there), `folder` (where Turnout keeps its files there).
        """
        return RemoteComputeAttachConfiguration(
            username,
            subscription_id=subscription_id,
            resource_group=resource_group,
            vm_name=vm_name,
            resource_id=resource_id,
            address=address,
            ssh_port=ssh_port,
            password=password,
            private_key_file=private_key_file,
            private_key_passphrase=private_key_passphrase,
            **extras,
        )

    @staticmethod
    def attach(  # pyright: ignore[reportIncompatibleMethodOverride]
        workspace: Workspace,
        name: str,
        username: str | AttachConfiguration = "",
        address: str | None = None,
        ssh_port: int = 22,
        password: str = "",
        private_key_file: str | os.PathLike[str] = "",
        private_key_passphrase: str = "",
        *,
        attach_configuration: AttachConfiguration | None = None,
        **options: Any,
    ) -> ComputeTarget:
        """`ComputeTarget.attach`, or v1's first form with the login as arguments."""
        config = attach_configuration or username
        if not isinstance(config, AttachConfiguration):
            config = RemoteCompute.attach_configuration(
                config,
                address=address,
                ssh_port=ssh_port,
                password=password,
                private_key_file=private_key_file,
                private_key_passphrase=private_key_passphrase,
            )
        return ComputeTarget.attach(workspace, name, config, **options)

    def get_credentials(self) -> dict[str, str]:
        """`{"username"}`: what was given to log in is sealed, and never given out."""
        return {"username": self.username}

    @property
    def address(self) -> str:
        return self.config.get("address", "")

    @property
    def ssh_port(self) -> int:
        return self.config.get("port") or 22

    @property
    def username(self) -> str:
        return self.config.get("username", "")


def read_key(path: str) -> str:
    try:
        text = Path(path).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is not text"
        raise ComputeTargetException(
            f"The private key file '{path}' cannot be read: {why}."
        ) from None
    if "PRIVATE KEY" not in text:
        raise ComputeTargetException(
            f"'{path}' holds no private key (is it the public one, '.pub'?)."
        )
    return text
