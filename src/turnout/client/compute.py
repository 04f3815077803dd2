"""`ComputeTarget`: create, attach, check, list, detach. Each kind has a module of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from turnout.client.exceptions import ComputeTargetException
from turnout.client.http import segment
from turnout.client.markup import details
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


#: Kind → where its class is. Imported when a target of it is met.
KINDS = {
    "cluster": ("turnout.client.aml_compute", "AmlCompute"),
    "ssh": ("turnout.client.remote_compute", "RemoteCompute"),
}


class ProvisioningConfiguration:
    """What `ComputeTarget.create` takes. Made by the kinds' `provisioning_configuration`."""

    kind: ClassVar[str] = ""
    tags: dict[str, str]
    description: str

    def validate_configuration(self) -> None:
        """Raise `ComputeTargetException` for what is missing or contradicts itself."""

    def to_config(self) -> dict[str, Any]:
        """What is sent."""
        raise NotImplementedError


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
        kind = class_of(view["kind"])
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
        attach_configuration: AttachConfiguration | None = None,
        *,
        attach_config: AttachConfiguration | None = None,
        tags: dict[str, str] | None = None,
        description: str = "",
        confirm: Callable[[dict[str, Any]], bool] | None = None,
    ) -> ComputeTarget:
        """Check a machine and keep it under `name`: `provisioning_state` is "Succeeded", or
        "Failed" with the reasons in `provisioning_errors`.

        Its host key is looked at first, printed and pinned; with `confirm` that function decides
        (it is given `{"host_key", "fingerprint", "known"}`). A target of the same name and kind is
        replaced. Raises `ComputeTargetException` for what can be seen to be wrong before.
        `attach_config` is another name of `attach_configuration`.
        """
        attach_configuration = attach_configuration or attach_config
        if attach_configuration is None:
            raise ComputeTargetException(
                "attach() needs what RemoteCompute.attach_configuration(...) gives."
            )
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
    def create(
        workspace: Workspace, name: str, provisioning_configuration: ProvisioningConfiguration
    ) -> ComputeTarget:
        """Make a target and keep it under `name`; one of the same name and kind is changed to
        what is asked for now.

        Example::

            config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=4)
            cpu = ComputeTarget.create(ws, "cpu", config)
            cpu.wait_for_completion(show_output=True)
        """
        asked: Any = provisioning_configuration
        if not isinstance(asked, ProvisioningConfiguration):
            raise ComputeTargetException(
                "create() takes what AmlCompute.provisioning_configuration(...) gives, not "
                f"{type(asked).__name__}. For a machine that is there already: "
                "ComputeTarget.attach."
            )
        asked.validate_configuration()
        body = {
            "name": name,
            "kind": asked.kind,
            "config": asked.to_config(),
            "tags": asked.tags,
            "description": asked.description,
        }
        try:
            return wrap(workspace, workspace.client.post("/v1/targets", body))
        except UserError as e:
            raise ComputeTargetException(e.message) from None

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

    @staticmethod
    def deserialize(workspace: Workspace, object_dict: dict[str, Any]) -> ComputeTarget:
        """The target that `serialize` described, as it is now."""
        return ComputeTarget(workspace, object_dict["name"])

    def _repr_html_(self) -> str:
        why = "; ".join(problem["message"] for problem in self.provisioning_errors)
        more = {"Problems": why} if why else {}
        return details({**self._summary(), **more}, json.dumps(self.serialize(), indent=2))

    def _summary(self) -> dict[str, object]:
        return {
            "Name": self.name,
            "Type": self.type,
            "State": self.provisioning_state,
            "Description": self.description,
        }


def class_of(kind: str) -> type[ComputeTarget]:
    if kind not in KINDS:
        return ComputeTarget
    module, name = KINDS[kind]
    return getattr(import_module(module), name)


def wrap(workspace: Workspace, view: dict[str, Any]) -> ComputeTarget:
    """The object of the class that fits the target's kind."""
    found = object.__new__(class_of(view["kind"]))
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
