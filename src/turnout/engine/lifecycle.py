"""What to do next with one run. Pure: no I/O, no clock of its own, same answer for same input."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from enum import Enum

from turnout.spec.runs import RunState
from turnout.spec.targets import Exit, Observation, ObservedState


class Act(str, Enum):
    """What the loop does before it applies the decision."""

    #: Nothing on the target.
    NONE = "none"
    #: Nothing until the run is given its nodes.
    WAIT = "wait"
    #: Start the attempt on its target (again, harmlessly, after a crash).
    LAUNCH = "launch"
    #: Ask the attempt to stop.
    STOP = "stop"
    #: Bring back the rest of logs, records and files, then apply `state`.
    COLLECT = "collect"
    #: Bring back the rest of logs and records; then the run waits for another attempt.
    RESTART = "restart"


@dataclass(frozen=True)
class RunFacts:
    """What the row says."""

    state: RunState
    #: A launch was answered, so a run folder exists unless somebody removed it.
    launched: bool
    cancel_requested: bool
    #: A cluster has not given the run its nodes yet.
    waits_for_nodes: bool = False
    #: A stop was sent by this process already; sending again is harmless but noisy.
    stop_sent: bool = False
    #: The cluster takes the run's nodes back.
    taken_back: bool = False
    #: Another attempt may follow one whose nodes were taken back.
    may_restart: bool = False
    #: How often it may be started again after a node was lost.
    restarts_left: int = 0
    #: Which attempt this is, from 1.
    attempt: int = 1


@dataclass(frozen=True)
class RunError:
    """Why a run failed, for a person and for programs."""

    code: str
    message: str
    exit_code: int | None = None


@dataclass(frozen=True)
class Decision:
    """Do `act`, then bring the row to `state` (None: leave it)."""

    act: Act
    state: RunState | None = None
    error: RunError | None = None


def decide(run: RunFacts, seen: Observation | None) -> Decision:
    """The next step of `run`, given the last look at its target (None: not looked yet).

    >>> decide(RunFacts(RunState.QUEUED, False, False), None).act
    <Act.LAUNCH: 'launch'>
    """
    if run.state.is_final:
        return Decision(Act.NONE)
    if not run.launched:
        if run.cancel_requested:
            return Decision(Act.NONE, RunState.CANCELED)
        if run.waits_for_nodes:
            return Decision(Act.WAIT)
        return Decision(Act.LAUNCH, RunState.PREPARING)
    if seen is None:
        return stop_if_asked(run, None)
    if seen.state is ObservedState.ENDED and seen.exit is not None:
        lost = nodes_gone(run, seen.exit)
        if lost is not None:
            return after_loss(run, lost)
        state, error = outcome(seen.exit, cancel_requested=run.cancel_requested)
        return Decision(Act.COLLECT, state, error)
    if seen.state is ObservedState.LOST:
        return after_loss(run, RunError("lost", LOST))
    if seen.state is ObservedState.ABSENT:
        return after_loss(run, RunError("gone", GONE))
    state = SHOWN_AS[seen.state]
    return stop_if_asked(run, state if state.order > run.state.order else None)


#: What a run is in while its target is seen so.
SHOWN_AS = {
    ObservedState.QUEUED: RunState.QUEUED,
    ObservedState.PROVISIONING: RunState.PROVISIONING,
    ObservedState.PREPARING: RunState.PREPARING,
    ObservedState.RUNNING: RunState.RUNNING,
}
LOST = (
    "The run's supervisor on the target died without a word: the machine was restarted, ran out "
    "of memory, or somebody killed it. The log up to then is kept."
)
GONE = "The run's folder on the target was removed while it ran."


def stop_if_asked(run: RunFacts, state: RunState | None) -> Decision:
    if (run.cancel_requested or run.taken_back) and not run.stop_sent:
        return Decision(Act.STOP, state)
    return Decision(Act.NONE, state)


def nodes_gone(run: RunFacts, end: Exit) -> RunError | None:
    """Why the attempt ended, when that was for its nodes and not for what it did."""
    if end.reason == "preempted" or (end.reason == "stopped" and run.taken_back):
        said = end.message if end.reason == "preempted" else ""
        return RunError("preempted", said or "Its nodes were taken back for dedicated work.")
    if end.reason == "node":
        return RunError("node_lost", end.message or "A node of the run was lost.")
    return None


def after_loss(run: RunFacts, error: RunError) -> Decision:
    """Another attempt where the run may have one; a wish to cancel comes first."""
    if run.cancel_requested:
        return Decision(Act.COLLECT, RunState.CANCELED)
    if run.may_restart and (error.code == "preempted" or run.restarts_left > 0):
        return Decision(Act.RESTART, error=error)
    if run.attempt > 1:
        error = replace(error, message=f"{error.message} It was tried {run.attempt} times.")
    return Decision(Act.COLLECT, RunState.FAILED, error)


def outcome(end: Exit, *, cancel_requested: bool) -> tuple[RunState, RunError | None]:
    """The final state that an `exit.json` means."""
    if end.reason == "exited" and end.code == 0:
        return RunState.COMPLETED, None
    if cancel_requested or end.reason == "stopped":
        return RunState.CANCELED, None
    if end.reason == "exited":
        text = end.message or f"The script exited with code {end.code}."
        return RunState.FAILED, RunError("script_failed", text, end.code)
    if end.reason == "signaled":
        text = end.message or f"The script was killed by {signal_name(end.signal)}."
        return RunState.FAILED, RunError("script_killed", text, -(end.signal or 0))
    codes = {"timeout": "time_limit", "prepare": "prepare_failed"}
    code = codes.get(end.reason, "supervisor_failed")
    return RunState.FAILED, RunError(code, end.message or f"The run ended by {end.reason}.")


def signal_name(number: int | None) -> str:
    """
    >>> signal_name(9)
    'signal 9 (SIGKILL)'
    """
    try:
        return f"signal {number} ({signal.Signals(number or 0).name})"
    except ValueError:
        return f"signal {number}"
