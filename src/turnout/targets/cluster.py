"""`cluster`: a managed cluster whose nodes are slices of this machine, made and let go on demand.

Which run gets which nodes is decided by the service (service/clusters); here a run that has its
node is started in that slice, by the same agent and in the same folders as on `local`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

from turnout.environments.base import Recipe
from turnout.spec.errors import UserError
from turnout.spec.sizes import size_of
from turnout.spec.targets import Capabilities
from turnout.targets.base import Handle, Progress, Ticket
from turnout.targets.local_machine import ThisMachine


class ClusterConfig(BaseModel):
    """What a cluster is made of. `vm_size` and `max_nodes` are enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: A size of v1 ("STANDARD_D2_V2") or cores, memory and GPUs ("2c4g", "4c16g1gpu").
    vm_size: str = "STANDARD_D2_V2"
    max_nodes: int = Field(default=4, ge=1, le=1000)
    min_nodes: int = Field(default=0, ge=0)
    idle_seconds_before_scaledown: int = Field(default=120, ge=0)
    vm_priority: Literal["dedicated", "lowpriority"] = "dedicated"
    #: The engine whose nodes these are; "" is this machine.
    engine: str = ""
    #: On Slurm: partition, feature of nodes, account and QOS; "" is the site's default.
    partition: str = ""
    constraint: str = ""
    account: str = ""
    qos: str = ""
    #: The run that this cluster was made for; it goes when that run is over.
    made_for: str = ""

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
        return self


class ClusterTarget(ThisMachine[ClusterConfig]):
    """Runs in slices of this machine."""

    kind: ClassVar[str] = "cluster"
    v1_type: ClassVar[str] = "AmlCompute"
    config_model: ClassVar[type[BaseModel]] = ClusterConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        gpu=True, tuning=True, automl=True, pipelines=True, created=True
    )
    gives_nodes: ClassVar[bool] = True

    async def launch(self, ticket: Ticket, progress: Progress) -> Handle:
        return await super().launch(in_slice(ticket), progress)

    def describe(self, ticket: Ticket, recipe: Recipe, digests: dict[str, str]) -> dict[str, Any]:
        return {**super().describe(ticket, recipe, digests), "slice": ticket.slice}


def in_slice(ticket: Ticket) -> Ticket:
    """A container is another cgroup: the engine has to be told what its node has."""
    box = ticket.spec.environment.container
    if box is None or not ticket.slice:
        return ticket
    cores = ",".join(map(str, ticket.slice["cores"]))
    held = dataclasses.replace(
        box,
        memory=box.memory or f"{ticket.slice['memory_mb']}m",
        arguments=(*box.arguments, f"--cpuset-cpus={cores}"),
    )
    environment = dataclasses.replace(ticket.spec.environment, container=held)
    spec = dataclasses.replace(ticket.spec, environment=environment)
    return dataclasses.replace(ticket, spec=spec)
