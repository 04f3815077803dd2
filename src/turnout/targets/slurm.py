"""`slurm`: an engine for clusters of more than one machine. Its commands are here or over SSH.

Nothing is installed there and nobody needs to be root: the agent of every host answers beside
`sbatch` and `squeue`, hands runs over, and their supervisors run on the nodes that Slurm gives
(payload/slurm). Run folders lie on a file system that login machine and nodes share.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, Field, model_validator
from typing_extensions import Self

from turnout.environments.base import Recipe
from turnout.hosts import bootstrap
from turnout.hosts.agent import Agent
from turnout.hosts.base import Host
from turnout.hosts.local import LocalHost
from turnout.hosts.ssh import SSHHost
from turnout.spec.errors import ConfigurationError, TargetError, UserError
from turnout.spec.runs import MAX_RUN_DURATION_S, RunSpec
from turnout.spec.sizes import Machine, fitted, size_of
from turnout.spec.targets import Capabilities, Observation, Problem
from turnout.targets.base import (
    BuiltEnvironment,
    Handle,
    Identity,
    Progress,
    RunFile,
    Target,
    TargetResources,
    Ticket,
)
from turnout.targets.cluster import ClusterConfig, ClusterTarget
from turnout.targets.ssh import ADVANCED, SSHConfig, identity_of, settings
from turnout.targets.supervised import SupervisedTarget

#: How long what a site is like is taken to be as it was.
SITE_S = 60.0
#: How long nobody asks again after Slurm gave no answer: its agent waits for each.
NO_ANSWER_S = 5.0
#: More than any size asks for, where Slurm does not know what its nodes have.
ANY_MEMORY_MB = 1 << 40
#: Added to a run's own time limit for Slurm: laying out the folder, the polite end.
SLACK_S = 300


class SlurmConfig(SSHConfig):
    """Where Slurm's commands are: on the machine of the service, or where SSH leads."""

    partition: str = Field(
        default="",
        title="Partition",
        description="The partition of clusters that name none; empty is Slurm's own default.",
    )
    folder: str = Field(
        default="",
        title="Folder",
        description="Where Turnout keeps its files: a folder that login machine and nodes share. "
        "Empty: the service's own home on this machine, `~/.turnout/host` over SSH.",
        json_schema_extra=ADVANCED,
    )

    @property
    def here(self) -> bool:
        return not (self.address or self.ssh_config_host)

    @model_validator(mode="after")
    def complete(self) -> Self:
        if self.here and (self.username or self.password or self.private_key or self.jump):
            raise ValueError("give an address too, or nothing for Slurm on this machine")
        if not self.here and not self.ssh_config_host and not self.username:
            raise ValueError("give a username with the address")
        if self.passphrase and not self.private_key:
            raise ValueError("a passphrase needs a private key")
        return self


class SlurmEngine(SupervisedTarget[SlurmConfig]):
    """A Slurm installation, for clusters beyond this machine. All that are made on it share it."""

    kind: ClassVar[str] = "slurm"
    v1_type: ClassVar[str] = "Slurm"
    config_model: ClassVar[type[BaseModel]] = SlurmConfig
    capabilities: ClassVar[Capabilities] = Capabilities()
    is_engine: ClassVar[bool] = True

    def __init__(self, name: str, config: SlurmConfig, resources: TargetResources) -> None:
        super().__init__(name, config, resources)
        #: Names of live clusters, which hear of what changed here.
        self.clusters: set[str] = set()
        self.known_site: tuple[float, dict[str, Any]] | None = None
        self.no_answer: tuple[float, TargetError] | None = None
        self.asking = asyncio.Lock()

    def make_host(self) -> Host:
        return LocalHost() if self.config.here else SSHHost(settings(self.config))

    async def identity(self) -> Identity | None:
        return None if self.config.here else await identity_of(self.config)

    @property
    def root(self) -> str:
        if self.config.folder:
            return self.config.folder
        return str(self.resources.home / "host") if self.config.here else "~/.turnout/host"

    @property
    def store(self) -> str | None:
        own = self.config.here and not self.config.folder
        return str(self.resources.store) if own else None

    @property
    def pythons(self) -> Sequence[str]:
        return (self.config.python,) if self.config.python else bootstrap.PYTHONS

    @property
    def agent_options(self) -> list[str]:
        return ["--engine", "slurm"]

    def heard(self, handles: Sequence[Handle]) -> None:
        for cluster in self.clusters:
            self.resources.changed(cluster, handles)

    async def check(self) -> Sequence[Problem]:
        """On a connection of its own: it takes seconds, and runs are followed meanwhile."""
        host = self.make_host()
        try:
            agent = await Agent.connect(
                host,
                self.root,
                where=self.name,
                changed=lambda _: None,
                pythons=self.pythons,
                store=self.store,
                options=self.agent_options,
            )
            try:
                answer, _ = await agent.call("check", partition=self.config.partition)
            finally:
                await agent.aclose()
        except TargetError as e:
            return [Problem("unreachable" if e.retryable else "refused", e.message)]
        finally:
            await host.aclose()
        return [Problem(p["code"], p["message"], p.get("fix", "")) for p in answer["problems"]]

    async def site(self) -> dict[str, Any]:
        """Version, partitions, limits: see `payload.slurm.site.facts`."""
        async with self.asking:
            now = time.monotonic()
            if self.known_site is not None and now <= self.known_site[0] + SITE_S:
                return self.known_site[1]
            if self.no_answer is not None and now <= self.no_answer[0] + NO_ANSWER_S:
                raise self.no_answer[1]
            try:
                answer, _ = await (await self.connected()).call("site")
            except TargetError as e:
                self.no_answer = (time.monotonic(), e)
                raise
            self.known_site, self.no_answer = (now, answer), None
            return answer

    async def nodes(self, partition: str = "") -> list[dict[str, Any]]:
        agent = await self.connected()
        answer, _ = await agent.call("nodes", partition=partition or self.config.partition)
        return answer["nodes"]

    def cluster(self, name: str, config: ClusterConfig) -> SlurmCluster:
        self.clusters.add(name)
        return SlurmCluster(name, config, self.resources, self)

    async def partition(self, name: str) -> dict[str, Any]:
        """The partition of that name, or the default one (""); raises `UserError`."""
        known = (await self.site())["partitions"]
        wanted = name or self.config.partition
        for row in known:
            if row["name"] == wanted or (not wanted and row["default"]):
                return row
        names = ", ".join(row["name"] for row in known)
        text = f"Slurm has no default partition: name one of {names}."
        if wanted:
            text = f"Slurm has no partition '{wanted}'. Partitions: {names}."
        raise ConfigurationError(text, {"partition": text})

    async def machine(self, partition: str) -> Machine:
        """What the largest node of a partition has, for sizes that are only names."""
        row = await self.partition(partition)
        memory_mb = row["memory_mb"] if knows_memory(row) else ANY_MEMORY_MB
        where = f"the largest node of partition {row['name']}"
        return Machine(max(row["cores"], 1), memory_mb, row["gpus"], where)

    async def sbatch_options(self, config: ClusterConfig, spec: RunSpec) -> list[str]:
        """What Slurm is asked for, for one run of a cluster."""
        row = await self.partition(config.partition)
        size, _ = fitted(size_of(config.vm_size), await self.machine(config.partition))
        tasks = tasks_on_node(spec)
        options = [
            f"--partition={row['name']}",
            f"--nodes={spec.node_count}",
            f"--ntasks-per-node={tasks}",
            f"--cpus-per-task={max(1, size.cores // tasks)}",
        ]
        if knows_memory(row):
            options.append(f"--mem={size.memory_mb}M")
        if size.gpus:
            options.append(f"--gres=gpu:{size.gpus}")
        for option in ("constraint", "account", "qos"):
            if value := getattr(config, option):
                options.append(f"--{option}={value}")
        if spec.max_run_duration_s != MAX_RUN_DURATION_S:
            seconds = spec.max_run_duration_s + SLACK_S
            most = row["max_time_s"] or seconds
            options.append(f"--time={-(-min(seconds, most) // 60)}")
        if spec.priority < 0:
            options.append(f"--nice={-spec.priority}")
        return options

    def describe(self, ticket: Ticket, recipe: Recipe, digests: dict[str, str]) -> dict[str, Any]:
        slurm = {"name": ticket.experiment, "arguments": list(ticket.engine_options)}
        return {**super().describe(ticket, recipe, digests), "slurm": slurm}


def knows_memory(partition: Mapping[str, Any]) -> bool:
    """Whether the site told Slurm how much memory its nodes have. Where it did not, Slurm takes
    it to be 1 MB and refuses every run that asks for more."""
    return partition["memory_mb"] > 1


def tasks_on_node(spec: RunSpec) -> int:
    """Processes of a run on each of its nodes, at most."""
    asked = spec.distribution
    if asked.kind != "tensorflow":
        return asked.processes
    return -(-(asked.workers + asked.parameter_servers) // spec.node_count)


class SlurmCluster(Target[ClusterConfig]):
    """A cluster on an engine: the engine does the work, with what the cluster asks for."""

    kind: ClassVar[str] = "cluster"
    v1_type: ClassVar[str] = "AmlCompute"
    config_model: ClassVar[type[BaseModel]] = ClusterConfig
    capabilities: ClassVar[Capabilities] = ClusterTarget.capabilities
    gives_nodes: ClassVar[bool] = True
    #: The engine has a queue of its own: a run that was launched waits on.
    queues: ClassVar[bool] = True

    def __init__(
        self, name: str, config: ClusterConfig, resources: TargetResources, engine: SlurmEngine
    ) -> None:
        super().__init__(name, config, resources)
        self.engine = engine

    async def check(self) -> Sequence[Problem]:
        try:
            fitted(size_of(self.config.vm_size), await self.engine.machine(self.config.partition))
        except UserError as e:
            return [Problem("engine", e.message)]
        except TargetError as e:
            return [Problem("unreachable" if e.retryable else "refused", e.message)]
        return []

    async def launch(self, ticket: Ticket, progress: Progress) -> Handle:
        options = await self.engine.sbatch_options(self.config, ticket.spec)
        ticket = dataclasses.replace(ticket, engine_options=tuple(options))
        return await self.engine.launch(ticket, progress)

    async def observe(self, handles: Sequence[Handle]) -> dict[Handle, Observation]:
        return await self.engine.observe(handles)

    async def read(self, handle: Handle, name: str, offset: int, limit: int) -> bytes:
        return await self.engine.read(handle, name, offset, limit)

    async def files(self, handle: Handle) -> list[RunFile]:
        return await self.engine.files(handle)

    async def fetch(
        self, handle: Handle, names: Sequence[str], into: Path, progress: Progress
    ) -> None:
        await self.engine.fetch(handle, names, into, progress)

    async def stop(self, handle: Handle, grace_s: float) -> None:
        await self.engine.stop(handle, grace_s)

    async def forget(self, handle: Handle) -> None:
        await self.engine.forget(handle)

    async def environments(self) -> list[BuiltEnvironment]:
        return await self.engine.environments()

    async def prune(
        self, keys: Sequence[str] | None, older_than_s: float, *, dry_run: bool
    ) -> list[BuiltEnvironment]:
        return await self.engine.prune(keys, older_than_s, dry_run=dry_run)

    async def aclose(self) -> None:
        """The engine's connection is shared: it goes with the engine."""
        self.engine.clusters.discard(self.name)
