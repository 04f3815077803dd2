"""What a target can do and what became of an attach."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True)
class Capabilities:
    """What a kind of target offers; the support table of docs and portal is made from it."""

    gpu: bool = False
    tuning: bool = False
    automl: bool = False
    pipelines: bool = False
    #: Created by us (v1: `create`, `delete`) or made elsewhere (v1: `attach`, `detach`).
    created: bool = False


@dataclass(frozen=True)
class Problem:
    """Something that keeps a target from working. `fix` tells the person what to do."""

    code: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()


class ProvisioningState(str, Enum):
    """v1's names, as its notebooks compare them."""

    CREATING = "Creating"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class ObservedState(str, Enum):
    """What a look at a run folder may find."""

    #: No such run folder on the target.
    ABSENT = "absent"
    #: An engine has the run in its own queue; nothing works for it yet.
    QUEUED = "queued"
    #: Its nodes are being made: powered on, booted.
    PROVISIONING = "provisioning"
    #: The supervisor makes the work folder or the environment ready.
    PREPARING = "preparing"
    #: The script runs.
    RUNNING = "running"
    #: `exit.json` is there.
    ENDED = "ended"
    #: There is a folder, but no supervisor and no `exit.json`: it died without a word.
    LOST = "lost"


@dataclass(frozen=True)
class Exit:
    """How an attempt ended, as the supervisor wrote it."""

    #: "exited", "signaled", "stopped" (on request), "timeout", "prepare" (environment or
    #: snapshot could not be made ready), "supervisor" (a fault of ours), "node" (a node was lost),
    #: "preempted" (its nodes were taken back); the last two may mean another attempt.
    reason: str
    code: int | None = None
    signal: int | None = None
    #: For a person; empty for a script that ended by itself.
    message: str = ""
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True)
class Observation:
    """One look at one run."""

    state: ObservedState
    #: What is being done, for a person: "Installing 3 packages".
    message: str = ""
    exit: Exit | None = None
    #: Bytes written so far, by public log name, and "records" for the record file.
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    started_at: float | None = None
    #: Seconds since the supervisor last gave a sign of life; None before its first.
    heartbeat_age_s: float | None = None
    #: Number of files in outputs and uploads; 0 lets the service skip fetching.
    files: int = 0
