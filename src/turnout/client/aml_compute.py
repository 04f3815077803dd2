"""`AmlCompute`: managed clusters. Create, watch, change, delete."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from turnout.client import quotas
from turnout.client.aml_compute_config import (
    AmlComputeProvisioningConfiguration,
    check_scale,
)
from turnout.client.aml_compute_status import (
    IDLE_S,
    AmlComputeNodeStateCounts,
    AmlComputeStatus,
    ScaleSettings,
    priority_of,
    scale_of,
    status_of,
)
from turnout.client.compute import ComputeTarget
from turnout.client.exceptions import ComputeTargetException
from turnout.client.http import segment
from turnout.spec.errors import ConflictError, NotFoundError, UserError

if TYPE_CHECKING:
    from turnout.client.run import Run
    from turnout.client.workspace import Workspace

__all__ = [
    "AmlCompute",
    "AmlComputeNodeStateCounts",
    "AmlComputeProvisioningConfiguration",
    "AmlComputeStatus",
    "ScaleSettings",
]

#: Between two looks while waiting, in seconds.
POLL_S = 0.5
#: In the order in which a run goes through them.
ACTIVE = ("created", "queued", "provisioning", "preparing", "running", "finalizing")


class AmlCompute(ComputeTarget):
    """A cluster that grows while runs wait and shrinks when they are through.

    Example::

        config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=4)
        cpu = ComputeTarget.create(ws, "cpu", config)
        cpu.wait_for_completion(show_output=True)
        print(cpu.get_status().serialize())
    """

    kind: ClassVar[str] = "cluster"

    vm_size: str
    #: "Dedicated" or "LowPriority".
    vm_priority: str
    scale_settings: ScaleSettings
    #: The virtual network of its runs; None where they have none.
    vnet_resourcegroup_name: str | None
    vnet_name: str | None
    subnet_name: str | None

    def _take(self, workspace: Workspace, view: dict[str, Any]) -> None:
        super()._take(workspace, view)
        self.is_attached = False
        self.vm_size = self.config["vm_size"]
        self.vm_priority = priority_of(self.config)
        self.scale_settings = scale_of(self.config)
        self.vnet_resourcegroup_name = self.config.get("vnet_resourcegroup_name") or None
        self.vnet_name = self.config.get("vnet_name") or None
        self.subnet_name = self.config.get("subnet_name") or None
        # Answers to a change may come without how the cluster is at the moment.
        self._status = status_of(view) if view.get("cluster") else None
        self._waiting: int = view["cluster"]["waiting"] if view.get("cluster") else 0

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: int | None = 0,
        max_nodes: int | None = None,
        idle_seconds_before_scaledown: int | None = IDLE_S,
        admin_username: str | None = None,
        admin_user_password: str | None = None,
        admin_user_ssh_key: str | None = None,
        vnet_resourcegroup_name: str | None = None,
        vnet_name: str | None = None,
        subnet_name: str | None = None,
        tags: dict[str, Any] | None = None,
        description: str | None = None,
        remote_login_port_public_access: str = "NotSpecified",
        identity_type: str | None = None,
        identity_id: list[str] | None = None,
        location: str | None = None,
        enable_node_public_ip: bool = True,
        *,
        engine: str = "",
        partition: str = "",
        constraint: str = "",
        account: str = "",
        qos: str = "",
        vnet_outside: bool = False,
    ) -> AmlComputeProvisioningConfiguration:
        """What `ComputeTarget.create` makes a cluster of.

        `vm_size` is a name for cores, memory and GPUs; `max_nodes` (4) how far it grows,
        `min_nodes` how far it shrinks, `idle_seconds_before_scaledown` (120) after how long
        without a run; `vm_priority` "dedicated" or "lowpriority". `engine` names the engine whose
        nodes the cluster uses (none: parts of this machine), and `partition`, `constraint`,
        `account` and `qos` what Slurm is asked for. With `vnet_name` and `subnet_name` (a range
        such as "10.20.0.0/24", or a name) runs are containers in a network of their own, and
        `vnet_outside` lets them reach what is outside of it. Options of logins, identities and
        places are taken and have no effect. Raises `ComputeTargetException` for what cannot be.
        """
        return AmlComputeProvisioningConfiguration(
            vm_size,
            vm_priority,
            min_nodes,
            max_nodes,
            idle_seconds_before_scaledown,
            admin_username,
            admin_user_password,
            admin_user_ssh_key,
            vnet_resourcegroup_name,
            vnet_name,
            subnet_name,
            tags,
            description,
            remote_login_port_public_access,
            identity_type,
            identity_id,
            location,
            enable_node_public_ip,
            engine=engine,
            partition=partition,
            constraint=constraint,
            account=account,
            qos=qos,
            vnet_outside=vnet_outside,
        )

    @property
    def _path(self) -> str:
        return f"/v1/targets/{segment(self.name)}"

    # -- looking --------------------------------------------------------------------------------

    @property
    def status(self) -> AmlComputeStatus:
        """The status when it was last looked at; `get_status()` looks now."""
        if self._status is None:
            self.refresh_state()
        assert self._status is not None, "the view of a cluster has its cluster"
        return self._status

    def get_status(self) -> AmlComputeStatus:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.refresh_state()
        return self.status

    def get(self) -> dict[str, Any]:
        """As `serialize`, asked anew."""
        self.refresh_state()
        return self.serialize()

    def serialize(self) -> dict[str, Any]:
        """The cluster as plain data, in v1's shape."""
        return {
            "id": self.id,
            "name": self.name,
            "location": self.location,
            "tags": self.tags,
            "properties": {
                "computeType": self.type,
                "computeLocation": self.location,
                "description": self.description,
                "createdOn": self.created_on,
                "modifiedOn": self.modified_on,
                "resourceId": self.cluster_resource_id,
                "provisioningState": self.provisioning_state,
                "provisioningErrors": self.status.errors,
                "properties": {
                    "vmSize": self.vm_size,
                    "vmPriority": self.vm_priority,
                    "scaleSettings": self.scale_settings.serialize(),
                    "status": self.status.serialize(),
                },
            },
        }

    def list_nodes(self) -> list[dict[str, Any]]:
        """The nodes under v1's names, and what each holds. They have no address of their own."""
        return [
            {
                "nodeId": node["name"],
                "nodeState": node["state"],
                "runId": node["run"],
                "privateIpAddress": None,
                "publicIpAddress": None,
                "port": None,
                "cores": node["cores"],
                "memoryMB": node["memory_mb"],
                "gpus": node["gpus"],
                "since": node["since"],
            }
            for node in self.workspace.client.get(f"{self._path}/nodes")["nodes"]
        ]

    def get_active_runs(
        self, type: str | None = None, tags: Any = None, properties: Any = None, status: Any = None
    ) -> Generator[Run, None, None]:
        """Runs that run or wait here. `tags` and `properties`: a name, or `{name: value}`;
        `status`: v1's name such as "Queued"."""
        from turnout.client.run import find

        seen: set[str] = set()
        for state in ACTIVE:
            # A run that goes on while this looks is met twice, never missed.
            query = {"state": state, "type": type, "include_children": True}
            for run in find(self.workspace, query, tags, properties, status):
                if run._view["target"] == self.name and run.id not in seen:
                    seen.add(run.id)
                    yield run

    # -- waiting --------------------------------------------------------------------------------

    def wait_for_completion(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        show_output: bool = False,
        min_node_count: int | None = None,
        timeout_in_minutes: float = 25,
        is_delete_operation: bool = False,
    ) -> None:
        """Return when the cluster can be used and has `min_node_count` nodes (default: its
        `min_nodes`), when it failed or, with a delete, is gone, or after `timeout_in_minutes`.

        A cluster grows for runs alone: when more nodes are asked for than it keeps by itself and
        no run waits, this says so and returns at once, where v1 lets the time pass.
        """
        deadline = time.monotonic() + timeout_in_minutes * 60
        shown = ""
        while True:
            if is_delete_operation:
                end = self._end_of_delete()
            else:
                self.refresh_state()
                end = self._end_of_wait(min_node_count)
            if show_output and self.provisioning_state != shown:
                shown = self.provisioning_state
                print(shown, flush=True)
            if not end and time.monotonic() >= deadline:
                end = ["Wait timeout has been reached", self._moment()]
            if end:
                break
            time.sleep(POLL_S)
        if show_output:
            print("AmlCompute wait for completion finished", *end, sep="\n", flush=True)

    def _end_of_wait(self, min_node_count: int | None) -> list[str]:
        """What to say when there is nothing to wait for any more."""
        state = self.provisioning_state
        if state in ("Failed", "Canceled"):
            problems = [f"{p['message']} {p.get('fix', '')}" for p in self.provisioning_errors]
            return [f'Terminal state of "{state}" has been reached', *map(str.rstrip, problems)]
        if state != "Succeeded":
            return []
        kept = self.scale_settings.minimum_node_count
        wanted = kept if min_node_count is None else min_node_count
        if self.status.current_node_count >= wanted:
            return ["Minimum number of nodes requested have been provisioned"]
        if wanted > kept and self.status.allocation_state == "Steady" and not self._waiting:
            return [
                self._moment(),
                f"While no run waits, '{self.name}' keeps min_nodes ({kept}), not {wanted}: "
                "submit a run, or update(min_nodes=…).",
            ]
        return []

    def _end_of_delete(self) -> list[str]:
        try:
            self._take(self.workspace, self.workspace.client.get(self._path))
        except NotFoundError:
            return [f"'{self.name}' is deleted"]
        return []

    def _moment(self) -> str:
        return (
            f'Current provisioning state of AmlCompute is "{self.provisioning_state}" and '
            f'current node count is "{self.status.current_node_count}"'
        )

    # -- changing -------------------------------------------------------------------------------

    def update(
        self,
        min_nodes: int | None = None,
        max_nodes: int | None = None,
        idle_seconds_before_scaledown: int | None = None,
    ) -> None:
        """Change what is given. Runs that are there go on."""
        check_scale(min_nodes, max_nodes, idle_seconds_before_scaledown)
        given = {
            "min_nodes": min_nodes,
            "max_nodes": max_nodes,
            "idle_seconds_before_scaledown": idle_seconds_before_scaledown,
        }
        body = {name: value for name, value in given.items() if value is not None}
        if not body:
            return
        try:
            self._take(self.workspace, self.workspace.client.request("PATCH", self._path, body))
        except UserError as e:
            raise ComputeTargetException(e.message) from None

    def delete(self, force: bool = False) -> None:
        """Remove the cluster and its nodes. Raises `ComputeTargetException` while runs are active
        there; `force` cancels them first."""
        query = {"force": True} if force else None
        try:
            self.workspace.client.request("DELETE", self._path, query=query)
        except UserError as e:
            hint = ""
            if isinstance(e, ConflictError):
                hint = " delete(force=True) cancels what get_active_runs() lists."
                hint = " They are being canceled: try again in a moment." if force else hint
            raise ComputeTargetException(e.message + hint) from None

    def detach(self) -> None:
        """Not for clusters: they were made here."""
        raise ComputeTargetException(
            f"'{self.name}' was created here, not attached: use delete()."
        )

    def add_identity(self, identity_type: str, identity_id: Any = None) -> NoReturn:
        raise ComputeTargetException("Clusters have no identities of their own here.")

    def remove_identity(self, identity_id: Any = None) -> NoReturn:
        self.add_identity("")

    # -- of the workspace -----------------------------------------------------------------------

    @staticmethod
    def supported_vmsizes(
        workspace: Workspace, location: str | None = None
    ) -> list[dict[str, Any]]:
        """The sizes that are known by name, under v1's keys."""
        return [
            {
                "name": size["name"],
                "vCPUs": size["cores"],
                "gpus": size["gpus"],
                "memoryGB": round(size["memory_mb"] / 1024, 2),
            }
            for size in workspace.client.get("/v1/sizes")["sizes"]
        ]

    @staticmethod
    def list_usages(
        workspace: Workspace, show_all: bool = False, location: str | None = None
    ) -> list[dict[str, Any]]:
        """Cores in use by size family, as the REST interface beneath v1 says it; those with
        nothing in use only with `show_all`."""
        rows = quotas.usages(workspace)
        return [row for row in rows if show_all or row["currentValue"]]

    @staticmethod
    def list_quotas(workspace: Workspace, location: str | None = None) -> list[dict[str, Any]]:
        """How many cores of each size family may be in use at once."""
        return [
            {k: v for k, v in row.items() if k != "currentValue"}
            for row in quotas.usages(workspace)
        ]

    @staticmethod
    def update_quotas(
        workspace: Workspace,
        vm_family: str | Sequence[str],
        limit: int | Sequence[int] | None = None,
        location: str | None = None,
    ) -> list[dict[str, Any]]:
        """Set how many cores of a family, or of several, may be in use; the quotas then."""
        families = [vm_family] if isinstance(vm_family, str) else list(vm_family)
        found = [limit] if isinstance(limit, int) else list(limit or ())
        if len(found) != len(families):
            raise ComputeTargetException("Give one limit for each family of sizes.")
        for family, value in zip(families, found, strict=True):
            quotas.put(workspace, family, value)
        return AmlCompute.list_quotas(workspace)
