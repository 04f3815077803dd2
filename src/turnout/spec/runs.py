"""What a run is: what was asked for, the states it goes through, how it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from turnout.spec import data
from turnout.spec.data import DataInput, DataOutput
from turnout.spec.distribution import Distribution
from turnout.spec.environments import EnvironmentSpec
from turnout.spec.errors import UserError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
#: v1's default for the longest time that a script may run: 30 days.
MAX_RUN_DURATION_S = 2_592_000


class RunState(str, Enum):
    """Forward only. A retry is a new attempt; the wish to cancel is not a state."""

    CREATED = "created"
    QUEUED = "queued"
    PROVISIONING = "provisioning"
    PREPARING = "preparing"
    RUNNING = "running"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        return self in FINAL

    @property
    def order(self) -> int:
        """Position on the way; the three final states share the last."""
        return min(ORDER[self], ORDER[RunState.COMPLETED])


ORDER = {state: i for i, state in enumerate(RunState)}
FINAL = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELED})

#: v1's names for our states (facts: the constants of v1's service client).
V1_STATUS = {
    RunState.CREATED: "NotStarted",
    RunState.QUEUED: "Starting",
    RunState.PROVISIONING: "Provisioning",
    RunState.PREPARING: "Preparing",
    RunState.RUNNING: "Running",
    RunState.FINALIZING: "Finalizing",
    RunState.COMPLETED: "Completed",
    RunState.FAILED: "Failed",
    RunState.CANCELED: "Canceled",
}


def v1_status(state: RunState, *, cancel_requested: bool) -> str:
    """The status that v1 would show for a run in `state`."""
    if cancel_requested and not state.is_final:
        return "CancelRequested"
    return V1_STATUS[state]


@dataclass(frozen=True)
class RunSpec:
    """All that decides what a run does. Kept with the run, sent to its target."""

    #: Path of the script inside the snapshot, with forward slashes; "" when `command` is given.
    script: str = ""
    arguments: tuple[str, ...] = ()
    #: A whole command line instead of a script (v1's later `command`); run without a shell.
    command: tuple[str, ...] = ()
    target: str = "local"
    framework: str = "Python"
    communicator: str = "None"
    node_count: int = 1
    distribution: Distribution = field(default_factory=Distribution)
    #: Among runs that wait for the same nodes: higher goes first.
    priority: int = 0
    environment: EnvironmentSpec = field(default_factory=EnvironmentSpec)
    #: Digest of the snapshot's manifest, or None to run in an empty folder.
    snapshot: str | None = None
    max_run_duration_s: int = MAX_RUN_DURATION_S
    #: Whether `./outputs` and the watched folders come back.
    output_collection: bool = True
    #: Folders whose files are followed while they grow (v1: directoriesToWatch).
    directories_to_watch: tuple[str, ...] = ("logs",)
    #: On clusters: how often the run is started again after a node was lost. 0 is never, also when
    #: nodes are taken back.
    restarts: int = 3
    #: Seconds between the polite stop and the kill.
    grace_s: float = 10.0
    #: Make the environment ready and nothing more.
    prepare_only: bool = False
    inputs: tuple[DataInput, ...] = ()
    outputs: tuple[DataOutput, ...] = ()
    #: Settings of a target kind that this version does not interpret, by section name.
    sections: Mapping[str, object] = field(default_factory=dict[str, object])

    def check(self) -> None:
        """Raise `UserError` on what no target could run."""
        if self.prepare_only:
            if self.script or self.command:
                raise UserError("A run that only prepares has neither a script nor a command.")
        elif bool(self.script) == bool(self.command):
            raise UserError("A run needs a script or a command, one of the two.")
        if self.script.startswith("/") or ".." in self.script.split("/"):
            raise UserError(f"The script '{self.script}' must lie inside the source folder.")
        for text in (self.script, *self.arguments, *self.command):
            if "\0" in text:
                raise UserError("Arguments cannot contain a NUL character.")
        self.distribution.check(self.node_count)
        if self.restarts < 0:
            raise UserError(f"restarts must be 0 or more, not {self.restarts}.")
        if self.max_run_duration_s <= 0 or self.grace_s < 0:
            raise UserError("Durations must be positive.")
        for folder in self.directories_to_watch:
            if folder.startswith("/") or ".." in folder.split("/"):
                raise UserError(f"Watched folder '{folder}' must lie inside the source folder.")
        data.check(self.inputs, self.outputs)
        self.environment.check()


def check_name(kind: str, name: str) -> str:
    """Return `name` if it may name an experiment or a target; raise `UserError` otherwise."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot name {kind}: use letters, digits, '-', '_' and '.', "
            "start with a letter or digit, at most 128 characters."
        )
    return name
