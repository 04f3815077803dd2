"""What a cluster is to be: size, priority and scale, checked before anything is sent."""

from __future__ import annotations

from typing import Any, ClassVar

from turnout.client.aml_compute_status import IDLE_S, PRIORITIES, ScaleSettings
from turnout.client.compute import ProvisioningConfiguration
from turnout.client.exceptions import ComputeTargetException
from turnout.spec.records import nearest

DEFAULT_MAX_NODES = 4


class AmlComputeProvisioningConfiguration(ProvisioningConfiguration):
    """See `AmlCompute.provisioning_configuration`."""

    kind: ClassVar[str] = "cluster"

    def __init__(
        self,
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
        compute_location: str | None = None,
        enable_node_public_ip: bool = True,
        vnet_outside: bool = False,
        **on_engine: str,
    ) -> None:
        self.vm_size = vm_size
        self.vm_priority = vm_priority
        # None is "as usual", wherever it is written.
        least = 0 if min_nodes is None else min_nodes
        most = DEFAULT_MAX_NODES if max_nodes is None else max_nodes
        idle_s = idle_seconds_before_scaledown
        self.scale_settings = ScaleSettings(least, most, IDLE_S if idle_s is None else idle_s)
        self.admin_username = admin_username
        self.admin_user_password = admin_user_password
        self.admin_user_ssh_key = admin_user_ssh_key
        self.vnet_resourcegroup_name = vnet_resourcegroup_name
        self.vnet_name = vnet_name
        self.subnet_name = subnet_name
        self.tags = {str(name): str(value) for name, value in (tags or {}).items()}
        self.description = description or ""
        self.remote_login_port_public_access = remote_login_port_public_access
        self.identity_type = identity_type
        self.identity_id = identity_id
        self.compute_location = compute_location
        self.enable_node_public_ip = enable_node_public_ip
        self.vnet_outside = vnet_outside
        #: The engine and what it is asked for; empty where nodes are parts of this machine.
        self.on_engine = {name: value for name, value in on_engine.items() if value}
        self.validate_configuration()

    def __repr__(self) -> str:
        scale = self.scale_settings
        return (
            f"AmlComputeProvisioningConfiguration(vm_size={self.vm_size!r}, "
            f"min_nodes={scale.minimum_node_count}, max_nodes={scale.maximum_node_count})"
        )

    def validate_configuration(self) -> None:
        size: Any = self.vm_size
        if not isinstance(size, str) or not size.strip():
            raise ComputeTargetException(
                "Name a size: vm_size='STANDARD_D2_V2'. AmlCompute.supported_vmsizes(workspace) "
                "lists them."
            )
        self.vm_priority = check_priority(self.vm_priority)
        scale = self.scale_settings
        check_scale(
            scale.minimum_node_count,
            scale.maximum_node_count,
            scale.idle_seconds_before_scaledown,
        )
        if self.on_engine and not self.on_engine.get("engine"):
            raise ComputeTargetException(
                f"{', '.join(self.on_engine)}: options of Slurm need the engine's name (engine=…, "
                "--engine). Without one, nodes are parts of this machine."
            )
        if bool(self.vnet_name) != bool(self.subnet_name):
            raise ComputeTargetException(
                "vnet_name and subnet_name belong together: give both or none. A subnet is a "
                "range such as '10.20.0.0/24', or a name."
            )
        for name in ("vnet_resourcegroup_name", "vnet_outside"):
            if getattr(self, name) and not self.vnet_name:
                raise ComputeTargetException(f"{name} needs a virtual network (vnet_name).")

    def to_config(self) -> dict[str, Any]:
        """Size, scale and network alone: nodes are parts of machines that have their own logins,
        identities and places."""
        network = {
            "vnet_resourcegroup_name": self.vnet_resourcegroup_name or "",
            "vnet_name": self.vnet_name,
            "subnet_name": self.subnet_name,
            "vnet_outside": self.vnet_outside,
        }
        return {
            **(network if self.vnet_name else {}),
            "vm_size": self.vm_size.strip(),
            "vm_priority": self.vm_priority,
            "min_nodes": self.scale_settings.minimum_node_count,
            "max_nodes": self.scale_settings.maximum_node_count,
            "idle_seconds_before_scaledown": self.scale_settings.idle_seconds_before_scaledown,
            **self.on_engine,
        }


def check_priority(given: object) -> str:
    """
    >>> check_priority("LowPriority")
    'lowpriority'
    """
    name = str(given or "dedicated").lower().replace("_", "")
    if name not in PRIORITIES:
        raise ComputeTargetException(
            f"'{given}' is no vm_priority{nearest(name, PRIORITIES)}: use 'dedicated' or "
            "'lowpriority'."
        )
    return name


def check_scale(least: Any, most: Any, idle_s: Any) -> None:
    """Raise `ComputeTargetException` for numbers that cannot be; None says nothing."""
    for name, value, lowest in (
        ("min_nodes", least, 0),
        ("max_nodes", most, 1),
        ("idle_seconds_before_scaledown", idle_s, 0),
    ):
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise ComputeTargetException(
                f"{name} must be a whole number, {lowest} or more, not {value!r}."
            )
    if least is not None and most is not None and least > most:
        raise ComputeTargetException(f"min_nodes ({least}) is more than max_nodes ({most}).")
