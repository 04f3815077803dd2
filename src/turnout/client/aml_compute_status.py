"""What v1's programs read of a cluster: its status and its scale, serialised as v1 does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

#: As the service says it → as v1 does.
PRIORITIES = {"dedicated": "Dedicated", "lowpriority": "LowPriority"}
#: v1's in 2019 and the service's own; v1 has 1800 since. A node holds its part of the machine.
IDLE_S = 120
NODE_STATES = ("preparing", "running", "idle", "unusable", "leaving", "preempted")


@dataclass
class ScaleSettings:
    """How far a cluster shrinks and grows, and after how long without a run a node leaves."""

    minimum_node_count: int
    maximum_node_count: int
    idle_seconds_before_scaledown: int

    def serialize(self) -> dict[str, Any]:
        return {
            "minNodeCount": self.minimum_node_count,
            "maxNodeCount": self.maximum_node_count,
            "nodeIdleTimeBeforeScaleDown": f"PT{self.idle_seconds_before_scaledown}S",
        }


@dataclass
class AmlComputeNodeStateCounts:
    """How many nodes are in each state."""

    idle_node_count: int
    leaving_node_count: int
    preempted_node_count: int
    preparing_node_count: int
    running_node_count: int
    unusable_node_count: int

    def serialize(self) -> dict[str, int]:
        return {f"{name}NodeCount": getattr(self, f"{name}_node_count") for name in NODE_STATES}


@dataclass
class AmlComputeStatus:
    """A cluster at one moment. `allocation_state` is "Steady" or "Resizing"."""

    allocation_state: str
    #: Not known here: always None.
    allocation_state_transition_time: datetime | None
    creation_time: datetime | None
    current_node_count: int
    #: As v1: `[{"error": {"code", "message"}}]`, None without any.
    errors: list[dict[str, Any]] | None
    modified_time: datetime | None
    node_state_counts: AmlComputeNodeStateCounts
    provisioning_state: str
    #: Always None, as v1's is once a cluster is there.
    provisioning_state_transition_time: datetime | None
    scale_settings: ScaleSettings
    target_node_count: int
    vm_priority: str
    vm_size: str

    def serialize(self) -> dict[str, Any]:
        """As v1 serialises it: names in camel case, times in ISO 8601."""
        return {
            "currentNodeCount": self.current_node_count,
            "targetNodeCount": self.target_node_count,
            "nodeStateCounts": self.node_state_counts.serialize(),
            "allocationState": self.allocation_state,
            "allocationStateTransitionTime": iso(self.allocation_state_transition_time),
            "errors": self.errors,
            "creationTime": iso(self.creation_time),
            "modifiedTime": iso(self.modified_time),
            "provisioningState": self.provisioning_state,
            "provisioningStateTransitionTime": iso(self.provisioning_state_transition_time),
            "scaleSettings": self.scale_settings.serialize(),
            "vmPriority": self.vm_priority,
            "vmSize": self.vm_size,
        }


def scale_of(config: dict[str, Any]) -> ScaleSettings:
    """One that was made for a run keeps only what the run asked for."""
    return ScaleSettings(
        config.get("min_nodes", 0),
        config["max_nodes"],
        config.get("idle_seconds_before_scaledown", IDLE_S),
    )


def priority_of(config: dict[str, Any]) -> str:
    given = config.get("vm_priority") or "dedicated"
    return PRIORITIES.get(given, given)


def status_of(view: dict[str, Any]) -> AmlComputeStatus:
    """The status in a target's view, which has a `cluster`."""
    cluster: dict[str, Any] = view["cluster"]
    counts: dict[str, int] = cluster["node_state_counts"]
    problems: list[dict[str, str]] = view["provisioning_errors"] or []
    return AmlComputeStatus(
        allocation_state=cluster["allocation_state"].capitalize(),
        allocation_state_transition_time=None,
        creation_time=at(view["created_at"]),
        current_node_count=cluster["current_node_count"],
        errors=[{"error": {"code": p["code"], "message": p["message"]}} for p in problems] or None,
        modified_time=at(view["modified_at"]),
        node_state_counts=AmlComputeNodeStateCounts(
            **{f"{name}_node_count": counts.get(name, 0) for name in NODE_STATES}
        ),
        provisioning_state=view["provisioning_state"],
        provisioning_state_transition_time=None,
        scale_settings=scale_of(view["config"]),
        target_node_count=cluster["target_node_count"],
        vm_priority=priority_of(view["config"]),
        vm_size=cluster["vm_size"],
    )


def at(text: str | None) -> datetime | None:
    # `fromisoformat` of Python 3.10 does not know the Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None
