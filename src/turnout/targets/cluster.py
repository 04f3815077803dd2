"""`cluster`: a managed cluster whose nodes are slices of this machine, made and let go on demand.

Which run gets which nodes is decided by the service (service/clusters); here a run that has its
node is started in that slice, by the same agent and in the same folders as on `local`.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator
from typing_extensions import Self

from turnout.environments.base import Recipe
from turnout.spec.errors import UserError
from turnout.spec.runs import RunSpec
from turnout.spec.sizes import size_of
from turnout.spec.targets import Capabilities
from turnout.targets.base import Handle, Progress, Ticket
from turnout.targets.local_machine import ThisMachine

#: What may name a virtual network or a subnet: it becomes part of a name on the container engine.
NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
#: Addresses of a subnet that no node gets: its own, the gateway's and the last.
NO_NODES = 3
#: What forms do with a field: fold it away; show it where there are engines.
ADVANCED: dict[str, JsonValue] = {"advanced": True}
ON_ENGINE: dict[str, JsonValue] = {"advanced": True, "engine": True}


class ClusterConfig(BaseModel):
    """What a cluster is made of. `vm_size` and `max_nodes` are enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vm_size: str = Field(
        default="STANDARD_D2_V2",
        title="Size of a node",
        description='A size of v1 ("STANDARD_D2_V2") or cores, memory and GPUs ("2c4g", '
        '"4c16g1gpu").',
    )
    max_nodes: int = Field(
        default=4,
        ge=1,
        le=1000,
        title="Most nodes",
        description="So many nodes at once at most.",
    )
    min_nodes: int = Field(
        default=0,
        ge=0,
        title="Fewest nodes",
        description="So many nodes stay when nothing runs.",
        json_schema_extra=ADVANCED,
    )
    idle_seconds_before_scaledown: int = Field(
        default=120,
        ge=0,
        title="Idle seconds before a node goes",
        description="A node without a run leaves after so many seconds.",
        json_schema_extra=ADVANCED,
    )
    vm_priority: Literal["dedicated", "lowpriority"] = Field(
        default="dedicated",
        title="Priority",
        description="Nodes of lowpriority are taken back when a dedicated cluster needs them.",
        json_schema_extra=ADVANCED,
    )
    engine: str = Field(
        default="",
        title="Engine",
        description="The engine whose nodes these are; empty is this machine.",
    )
    partition: str = Field(
        default="",
        title="Partition",
        description="On Slurm: the partition; empty is the engine's own, else the site's default.",
        json_schema_extra=ON_ENGINE,
    )
    constraint: str = Field(
        default="",
        title="Constraint",
        description="On Slurm: a feature that nodes must have.",
        json_schema_extra=ON_ENGINE,
    )
    account: str = Field(
        default="",
        title="Account",
        description="On Slurm: the account that is charged; empty is the site's default.",
        json_schema_extra=ON_ENGINE,
    )
    qos: str = Field(
        default="",
        title="QOS",
        description="On Slurm: the quality of service; empty is the site's default.",
        json_schema_extra=ON_ENGINE,
    )
    vnet_resourcegroup_name: str = Field(
        default="",
        title="Resource group of the network",
        description="v1's name; it is only kept.",
        json_schema_extra=ADVANCED,
    )
    vnet_name: str = Field(
        default="",
        title="Virtual network",
        description="The virtual network of its runs; it needs a subnet too.",
        json_schema_extra=ADVANCED,
    )
    subnet_name: str = Field(
        default="",
        title="Subnet",
        description='A range ("10.20.0.0/24") or a name, and the range is then chosen.',
        json_schema_extra=ADVANCED,
    )
    vnet_outside: bool = Field(
        default=False,
        title="Reach outside",
        description="Whether its runs reach what is outside of their virtual network.",
        json_schema_extra=ADVANCED,
    )
    made_for: str = Field(
        default="",
        title="Made for",
        description="The run that this cluster was made for; it goes when that run is over.",
        json_schema_extra={"hidden": True},
    )

    @field_validator("vm_size")
    @classmethod
    def known_size(cls, value: str) -> str:
        try:
            size_of(value)
        except UserError as e:
            raise ValueError(e.message) from None
        return value

    @field_validator("partition", "constraint", "account", "qos")
    @classmethod
    def one_word(cls, value: str) -> str:
        if any(c.isspace() or c in "\0'\"" for c in value):
            raise ValueError(f"{value!r} is not one word")
        return value

    @model_validator(mode="after")
    def in_order(self) -> Self:
        if self.min_nodes > self.max_nodes:
            raise ValueError(
                f"min_nodes is {self.min_nodes}, more than max_nodes, {self.max_nodes}"
            )
        check_network(self)
        return self

    @property
    def network(self) -> dict[str, Any]:
        """`network` of tickets (docs/design/run-folder.md); {} without a virtual network."""
        if not self.vnet_name:
            return {}
        subnet = self.subnet_name.replace("/", "-")
        return {
            "name": f"turnout-{self.vnet_name}-{subnet}",
            "subnet": self.subnet_name if "/" in self.subnet_name else "",
            "outside": self.vnet_outside,
        }


def check_network(config: ClusterConfig) -> None:
    """Raise ValueError for a virtual network that cannot be."""
    vnet, subnet = config.vnet_name, config.subnet_name
    if bool(vnet) != bool(subnet):
        raise ValueError(
            "vnet_name and subnet_name belong together: give both or none. A subnet is a range "
            "such as 10.20.0.0/24, or a name"
        )
    if not vnet:
        if config.vnet_outside:
            raise ValueError("vnet_outside needs a virtual network (vnet_name)")
        return
    if config.engine:
        raise ValueError(
            f"virtual networks are there on this machine only: leave vnet_name out, nodes of "
            f"{config.engine!r} have the network of their site"
        )
    for what, name in (("vnet_name", vnet), ("subnet_name", subnet)):
        if "/" not in name or what == "vnet_name":
            if not NETWORK.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no {what}: use letters, digits, '-' and '_', at most 64"
                )
            continue
        try:
            room = ipaddress.IPv4Network(name).num_addresses - NO_NODES
        except ValueError as e:
            raise ValueError(
                f"subnet_name {name!r} is no range such as 10.20.0.0/24: {e}"
            ) from None
        if room < config.max_nodes:
            raise ValueError(
                f"subnet_name {name!r} has room for {max(room, 0)} nodes, less than max_nodes, "
                f"{config.max_nodes}"
            )


class ClusterTarget(ThisMachine[ClusterConfig]):
    """Runs in slices of this machine."""

    kind: ClassVar[str] = "cluster"
    v1_type: ClassVar[str] = "AmlCompute"
    config_model: ClassVar[type[BaseModel]] = ClusterConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        gpu=True, tuning=True, automl=True, pipelines=True, created=True
    )
    gives_nodes: ClassVar[bool] = True

    def check_run(self, spec: RunSpec) -> None:
        if self.config.vnet_name and not spec.prepare_only:
            check_in_network(self.name, self.config.vnet_name, spec)

    async def launch(self, ticket: Ticket, progress: Progress) -> Handle:
        return await super().launch(in_slices(ticket), progress)

    def describe(self, ticket: Ticket, recipe: Recipe, digests: dict[str, str]) -> dict[str, Any]:
        found = super().describe(ticket, recipe, digests)
        if network := self.config.network:
            host = ticket.nodes[0]["node"] if ticket.nodes else ""
            found["network"] = {**network, "host": host}
        return found


def check_in_network(target: str, vnet: str, spec: RunSpec) -> None:
    """Raise `UserError` for a run that cannot be held in a virtual network."""
    where = f"Runs on '{target}' are in its virtual network '{vnet}'"
    box = spec.environment.container
    if box is None:
        raise UserError(
            f"{where}, which holds containers only: run it in one (--docker IMAGE, or "
            "environment.docker.enabled = True), or on a cluster without a virtual network."
        )
    own = [f"--network {box.network}"] if box.network else []
    own += [a for a in box.arguments if a.partition("=")[0] in ("--network", "--net")]
    if own:
        raise UserError(f"{where}: leave '{own[0]}' out of the container's arguments.")


def in_slices(ticket: Ticket) -> Ticket:
    """A container is another cgroup: the engine has to be told what its nodes have, together."""
    box = ticket.spec.environment.container
    if box is None or not ticket.nodes:
        return ticket
    cores = ",".join(str(core) for node in ticket.nodes for core in node["cores"])
    memory_mb = sum(node["memory_mb"] for node in ticket.nodes)
    held = dataclasses.replace(
        box,
        memory=box.memory or f"{memory_mb}m",
        arguments=(*box.arguments, f"--cpuset-cpus={cores}"),
    )
    environment = dataclasses.replace(ticket.spec.environment, container=held)
    spec = dataclasses.replace(ticket.spec, environment=environment)
    return dataclasses.replace(ticket, spec=spec)
