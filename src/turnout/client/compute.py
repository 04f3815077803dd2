"""`ComputeTarget` and its kinds: attach, check, list, detach."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from turnout.client.exceptions import ComputeTargetException
from turnout.client.http import segment
from turnout.spec.errors import NotFoundError, UserError
from turnout.spec.records import nearest

if TYPE_CHECKING:
    from turnout.client.workspace import Workspace

ATTRIBUTES = {
    "id": "id",
    "type": "type",
    "tags": "tags",
    "description": "description",
    "created_on": "created_at",
    "modified_on": "modified_at",
    "provisioning_state": "provisioning_state",
    "provisioning_errors": "provisioning_errors",
}


class AttachConfiguration:
    """What `ComputeTarget.attach` takes. Made by the kinds' `attach_configuration`."""

    kind: ClassVar[str] = ""

    def validate_configuration(self) -> None:
        """Raise `ComputeTargetException` for what is missing or contradicts itself."""

    def to_config(self) -> dict[str, Any]:
        """What is sent; secrets among it."""
        raise NotImplementedError


class ComputeTarget:
    """A place that runs scripts. `ComputeTarget(workspace, name)` gets one that is there, as the
    class of its kind, and raises `ComputeTargetException` otherwise.

    Example::

        config = RemoteCompute.attach_configuration(
            username="ana", address="lab.example.org", private_key_file="~/.ssh/id_ed25519"
        )
        lab = ComputeTarget.attach(ws, "lab", config)
        lab.wait_for_completion(show_output=True)
    """

    kind: ClassVar[str] = ""

    def __new__(cls, workspace: Workspace, name: str) -> ComputeTarget:
        view = lookup(workspace, name)
        kind = KINDS.get(view["kind"], ComputeTarget)
        if not issubclass(kind, cls):
            raise ComputeTargetException(f"The target '{name}' is of type {view['type']}.")
        return wrap(workspace, view)

    name: str
    id: str
    type: str
    tags: dict[str, str]
    description: str
    created_on: str
    modified_on: str
    provisioning_state: str
    provisioning_errors: list[dict[str, str]]
    cluster_resource_id: str | None
    cluster_location: str | None
    location: str
    is_attached: bool
    workspace: Workspace

    def _take(self, workspace: Workspace, view: dict[str, Any]) -> None:
        self.workspace = workspace
        self.name = view["name"]
        for attribute, key in ATTRIBUTES.items():
            setattr(self, attribute, view[key])
        self.config: dict[str, Any] = view["config"]
        self.capabilities: dict[str, bool] = view["capabilities"]
        self.cluster_resource_id = None
        self.cluster_location = None
        self.location = "local"
        self.is_attached = not self.capabilities.get("created", False)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(workspace={self.workspace!r}, name={self.name}, id={self.id}, "
            f"type={self.type}, provisioning_state={self.provisioning_state})"
        )

    # -- making ---------------------------------------------------------------------------------

    @staticmethod
    def attach(
        workspace: Workspace,
        name: str,
        attach_configuration: AttachConfiguration,
        *,
        tags: dict[str, str] | None = None,
        description: str = "",
        confirm: Callable[[dict[str, Any]], bool] | None = None,
    ) -> ComputeTarget:
        """Check a machine and keep it under `name`: `provisioning_state` is "Succeeded", or
        "Failed" with the reasons in `provisioning_errors`.

        Its host key is looked at first, printed and pinned; with `confirm` that function decides
        (it is given `{"host_key", "fingerprint", "known"}`). A target of the same name and kind is
        replaced. Raises `ComputeTargetException` for what can be seen to be wrong before.
        """
        attach_configuration.validate_configuration()
        config = attach_configuration.to_config()
        client = workspace.client
        try:
            if attach_configuration.kind == "ssh" and not config.get("host_key"):
                pin_host_key(client, name, config, confirm)
            body = {
                "name": name,
                "kind": attach_configuration.kind,
                "config": config,
                "tags": tags or {},
                "description": description,
            }
            return wrap(workspace, client.post("/v1/targets", body))
        except UserError as e:
            raise ComputeTargetException(e.message) from None

    @staticmethod
    def create(workspace: Workspace, name: str, provisioning_configuration: Any) -> ComputeTarget:
        """Managed clusters are not there in this version."""
        raise ComputeTargetException(
            f"The target '{name}' cannot be created: managed clusters are not there in this "
            "version. Attach a machine with ComputeTarget.attach."
        )

    @staticmethod
    def list(workspace: Workspace) -> list[ComputeTarget]:
        """Those attached or created, by name; `local` is always there and not among them."""
        found = workspace.client.get("/v1/targets")["targets"]
        return [wrap(workspace, view) for view in found if view["kind"] != "local"]

    # -- using ----------------------------------------------------------------------------------

    def refresh_state(self) -> None:
        """Take over what the service has now."""
        self._take(self.workspace, lookup(self.workspace, self.name))

    def check(self) -> None:
        """Try the target again; the outcome is in `provisioning_state` and `_errors`."""
        path = f"/v1/targets/{segment(self.name)}/check"
        self._take(self.workspace, self.workspace.client.post(path))

    def get_status(self) -> str:
        self.refresh_state()
        return self.provisioning_state

    def wait_for_completion(
        self, show_output: bool = False, is_delete_operation: bool = False
    ) -> None:
        """Attach is over when it returns; this prints how it ended."""
        if not is_delete_operation:
            self.refresh_state()
        if show_output:
            print(f"{self.provisioning_state}")
            for problem in self.provisioning_errors:
                print(f"{problem['message']} {problem.get('fix', '')}".rstrip())

    def detach(self) -> None:
        """Forget the target; nothing is removed on the machine. Raises `ComputeTargetException`
        while runs are active there."""
        try:
            self.workspace.client.request("DELETE", f"/v1/targets/{segment(self.name)}")
        except UserError as e:
            raise ComputeTargetException(e.message) from None

    def delete(self) -> None:
        """For targets that were created; attached ones are detached."""
        if self.is_attached:
            raise ComputeTargetException(
                f"'{self.name}' was attached, not created here: use detach()."
            )
        self.detach()

    def serialize(self) -> dict[str, Any]:
        """The target as plain data, without secrets."""
        return {
            "name": self.name,
            "id": self.id,
            "type": self.type,
            "location": self.location,
            "tags": self.tags,
            "description": self.description,
            "created_on": self.created_on,
            "modified_on": self.modified_on,
            "provisioning_state": self.provisioning_state,
            "provisioning_errors": self.provisioning_errors,
            "properties": self.config,
        }

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(json.dumps(self.serialize(), indent=2))}</pre>"


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

    @property
    def address(self) -> str:
        return self.config.get("address", "")

    @property
    def ssh_port(self) -> int:
        return self.config.get("port") or 22

    @property
    def username(self) -> str:
        return self.config.get("username", "")


KINDS: dict[str, type[ComputeTarget]] = {"ssh": RemoteCompute}


def wrap(workspace: Workspace, view: dict[str, Any]) -> ComputeTarget:
    """The object of the class that fits the target's kind."""
    found = object.__new__(KINDS.get(view["kind"], ComputeTarget))
    found._take(workspace, view)
    return found


def lookup(workspace: Workspace, name: str) -> dict[str, Any]:
    try:
        return workspace.client.get(f"/v1/targets/{segment(name)}")
    except NotFoundError:
        known = [t["name"] for t in workspace.client.get("/v1/targets")["targets"]]
        raise ComputeTargetException(
            f"There is no target '{name}'{nearest(name, known)}. "
            "`turnout target list` shows what there is."
        ) from None


def pin_host_key(
    client: Any,
    name: str,
    config: dict[str, Any],
    confirm: Callable[[dict[str, Any]], bool] | None,
) -> None:
    """Look at the machine's key without sending a secret, show it, and put it into `config`.

    A machine that does not answer is left to the attach itself, which says why."""
    shown = {k: v for k, v in config.items() if k not in ("password", "private_key", "passphrase")}
    try:
        found = client.post("/v1/targets/host-key", {"kind": "ssh", "config": shown})
    except UserError:
        raise
    except Exception:
        # Unreachable: attach records it as the target's problem.
        return
    if not found or not found.get("host_key"):
        return
    if confirm is not None:
        if not confirm(found):
            raise ComputeTargetException(f"The host key of '{name}' was not accepted.")
    else:
        met = "known" if found["known"] else "new"
        print(f"Host key of {name} ({met}): {found['fingerprint']}")
    config["host_key"] = found["host_key"]


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
