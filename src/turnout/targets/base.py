"""The interface of a compute target. Adding a kind: docs/design/adding-a-target.md."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel

from turnout.environments.base import EnvironmentSettings
from turnout.spec.runs import RunSpec
from turnout.spec.targets import Capabilities, Observation, Problem

Config = TypeVar("Config", bound=BaseModel)
#: Names a run on its target. A short string, kept in the database; "<run id>.<attempt>".
Handle = str
#: Tells the person what is being done: "Sending 12 of 50 MB". Called often; keep it cheap.
Progress = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Ticket:
    """All that a target needs to start one attempt of a run."""

    run_id: str
    attempt: int
    experiment: str
    spec: RunSpec
    #: Variables that the service adds (v1's AZUREML_* among them).
    variables: dict[str, str] = field(default_factory=dict[str, str])
    #: What the workspace says of environments; variables and sources are the target's own.
    environments: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    #: The nodes that the run was given: {"node", "cores", "memory_mb", "gpus"} of each; none where
    #: the target has no nodes to give, or an engine gives them.
    nodes: tuple[dict[str, Any], ...] = ()
    #: The attempt before, whose outputs this one begins with; "" for the first.
    continues: Handle = ""
    #: What an engine is asked for, in its own options.
    engine_options: tuple[str, ...] = ()
    #: Inputs and outputs, ready for this target: "data" of `ticket.json`.
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    #: Variables for what makes the environment; never written down.
    secrets: dict[str, str] = field(default_factory=dict[str, str], repr=False)

    @property
    def handle(self) -> Handle:
        return f"{self.run_id}.{self.attempt}"


@dataclass(frozen=True)
class RunFile:
    """A file that a run left behind. `name` is run-relative: "outputs/model.pkl"."""

    name: str
    size: int


@dataclass(frozen=True)
class BuiltEnvironment:
    """An environment that lies ready on a target."""

    #: Digest of its lock.
    key: str
    label: str
    kind: str
    #: Complete; an environment that is being made is not.
    ready: bool
    #: Bytes.
    size: int
    #: Seconds since the epoch.
    built_at: float | None
    used_at: float | None
    #: A run uses it or makes it at this moment.
    in_use: bool


@dataclass(frozen=True)
class Identity:
    """Who a machine says it is, for a person to confirm before secrets are sent there."""

    host_key: str
    #: "SHA256:…", as `ssh-keygen -l` shows it.
    fingerprint: str
    #: The user has met this very key before (known_hosts), or it is pinned already.
    known: bool
    #: Fields of the configuration that pin it.
    pinned: dict[str, str] = field(default_factory=dict[str, str])
    #: Fingerprint of another key that the user met there before; "" if none.
    conflict: str = ""


class Target(ABC, Generic[Config]):
    """A place that runs scripts. All methods may be called again after a crash, at any time.

    Every method raises `TargetError`; `retryable=True` means that the target cannot be reached
    now and that nothing is known about its runs, which go on.
    """

    kind: ClassVar[str]
    #: v1's `ComputeTarget.type`: "VirtualMachine" and so on.
    v1_type: ClassVar[str]
    config_model: ClassVar[type[BaseModel]]
    capabilities: ClassVar[Capabilities]
    #: Runs wait until they are given nodes (service/clusters).
    gives_nodes: ClassVar[bool] = False
    #: Runs see the service's own files.
    is_here: ClassVar[bool] = False
    #: A run that was launched waits in a queue of the target's own.
    queues: ClassVar[bool] = False
    #: Nothing that runs are submitted to, but what clusters are made on.
    is_engine: ClassVar[bool] = False

    def __init__(self, name: str, config: Config, resources: TargetResources) -> None:
        self.name = name
        self.config = config
        self.resources = resources

    async def identity(self) -> Identity | None:
        """Who is there, found without sending a secret; None where nothing needs confirming."""
        return None

    @abstractmethod
    async def check(self) -> Sequence[Problem]:
        """Try everything that a run will need; empty when all is well. Never raises for a
        target that is merely broken: that is a problem, with its fix."""

    def check_run(self, spec: RunSpec) -> None:
        """Raise `UserError` for a run that can never be started here, before it is taken."""

    @abstractmethod
    async def launch(self, ticket: Ticket, progress: Progress) -> Handle:
        """Start the attempt, detached, and return its handle.

        May be repeated: there is at most one process per (run, attempt). What the target lacks
        (payload, snapshot, tools) is sent first; `progress` tells of it."""

    @abstractmethod
    async def observe(self, handles: Sequence[Handle]) -> dict[Handle, Observation]:
        """Look at many runs at once. Each handle gets an answer; gone is an answer."""

    @abstractmethod
    async def read(self, handle: Handle, name: str, offset: int, limit: int) -> bytes:
        """At most `limit` bytes of a log (public name) or "records"; b"" at the end."""

    @abstractmethod
    async def files(self, handle: Handle) -> list[RunFile]:
        """The files under `outputs/` and those uploaded, as they are now."""

    @abstractmethod
    async def fetch(
        self, handle: Handle, names: Sequence[str], into: Path, progress: Progress
    ) -> None:
        """Copy the named files below `into`, each by rename, its content whole or not at all."""

    @abstractmethod
    async def stop(self, handle: Handle, grace_s: float) -> None:
        """Ask politely, then kill the whole tree after `grace_s`. Nothing there is no error."""

    @abstractmethod
    async def forget(self, handle: Handle) -> None:
        """Remove what the run left on the target. Only called when all was collected."""

    async def environments(self) -> list[BuiltEnvironment]:
        """What lies built there, the last used first; none where a target builds none."""
        return []

    async def prune(
        self, keys: Sequence[str] | None, older_than_s: float, *, dry_run: bool
    ) -> list[BuiltEnvironment]:
        """Remove the environments whose keys begin so, or with None those that no run used for
        `older_than_s`; never one in use. Returns what was (or would be) removed."""
        return []

    @abstractmethod
    async def aclose(self) -> None:
        """Let connections go; runs go on."""


@dataclass(frozen=True)
class TargetResources:
    """What the service lends to a target."""

    #: The service's home folder, owner-only.
    home: Path
    #: The content store that holds every snapshot: `turnout.payload.store.Store` root.
    store: Path
    #: Called with handles whose run folder changed, from the event loop. A hint, never the truth.
    changed: Callable[[str, Sequence[Handle]], None]
