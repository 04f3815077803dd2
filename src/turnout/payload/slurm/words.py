"""What Slurm's states and reasons mean, in words, and what became of a run that they tell of.

Pure. Names of states and reasons: squeue(1) and `slurm.h` of Slurm 20.11 to 24.11.
"""

from __future__ import annotations

import re
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: States in which a run is over for Slurm.
OVER = frozenset(
    (
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
        "SPECIAL_EXIT",
    )
)
#: Those of them in which Slurm, or somebody by it, ended the run's processes.
TAKEN = frozenset(("CANCELLED", "DEADLINE", "NODE_FAIL", "PREEMPTED", "REVOKED", "TIMEOUT"))
#: A batch that was started twice or could not be started is held by Slurm for an administrator.
STUCK = frozenset(("launch_failed_requeued_held", "job_requeued_in_held_state"))
#: What the batch's script says with its exit code when the node lacks what it needs.
NO_FOLDER, NO_PYTHON = 97, 96

#: What sbatch says where the user has as many in Slurm's queue as is allowed.
SUBMIT_LIMITS = ("job submit limit", "SubmitJobLimit", "SubmitJobs", "SubmitJobPerUser")
#: Reasons of Slurm; the longest beginning counts.
REASONS = {
    "Resources": "waits for free nodes",
    "Priority": "others in Slurm's queue go first",
    "Dependency": "waits for others in Slurm's queue",
    "BeginTime": "starts later",
    "JobHeldAdmin": "is held by an administrator of Slurm",
    "JobHeldUser": "is held: `scontrol release` lets it go on",
    "Licenses": "waits for licenses",
    "JobArrayTaskLimit": "waits for others of its batch",
    "NodeDown": "a node that it needs is down",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition takes nothing now",
    "PartitionNodeLimit": "asks for more nodes than the partition allows",
    "PartitionTimeLimit": "asks for more time than the partition allows",
    "PartitionConfig": "the partition does not allow what it asks for",
    "ReqNodeNotAvail": "the nodes that it needs cannot be had now",
    "Reservation": "waits for its reservation",
    "Cleaning": "is being put in order after an earlier start",
    "InvalidAccount": "its account is not valid",
    "InvalidQOS": "its QOS is not valid",
    "BadConstraints": "asks for what no node has",
    "FrontEndDown": "Slurm's front end is down",
    "Assoc": "a limit of the account or user is reached",
    "QOS": "a limit of the QOS is reached",
    "MaxMemPerLimit": "asks for more memory than is allowed",
}


def reason(name: str) -> str:
    """
    >>> reason("AssocMaxJobsLimit"), reason("Resources")
    ('a limit of the account or user is reached (AssocMaxJobsLimit)', 'waits for free nodes')
    """
    plain = name.split(",")[0].strip("() ")
    if plain in REASONS:
        return REASONS[plain]
    known = [begin for begin in REASONS if plain.startswith(begin)]
    if known:
        return "%s (%s)" % (REASONS[max(known, key=len)], plain)
    return plain


def waiting(name: str, position: tuple[int, int] | None) -> str:
    """Why a run waits, and how many stand before it: `position` is (place, how many wait)."""
    text = "In Slurm's queue"
    if position is not None and position[0] > 1:
        text = "%s: %d of %d" % (text, position[0], position[1])
    why = reason(name) if name else ""
    return "%s: %s" % (text, why) if why else text


#: Begins why a run waits that Slurm has not taken yet, for a limit on how many it takes.
FULL = "Slurm takes no more for now"


def is_full(problem: str) -> bool:
    """Whether that is why runs were not handed over; else Slurm could not be asked."""
    return problem.startswith(FULL)


def full(said: str) -> str:
    """
    >>> full("QOSGrpSubmitJobsLimit; … violates accounting/QOS policy (job submit limit, …)")
    'Slurm takes no more for now: a limit of the QOS is reached (QOSGrpSubmitJobsLimit)'
    """
    name = limit_of(said)
    return "%s: %s" % (FULL, reason(name) if name else said)


def limit_of(said: str) -> str:
    """The limit that sbatch names beside its general words; "" for none.

    >>> limit_of("QOSMaxCpuPerJobLimit; … violates accounting/QOS policy (…)")
    'QOSMaxCpuPerJobLimit'
    """
    found = re.search(r"\b(?:Assoc|QOS|Max|Grp)\w*", said.partition("violates")[0])
    return found.group() if found else ""


def is_about_numbers(said: str) -> bool:
    """Whether sbatch refused for how many the user has in Slurm's queue: there will be room.

    Its general words are the same for a run that asks for more than its QOS ever gives.

    >>> is_about_numbers("QOSMaxCpuPerJobLimit; … violates … policy (job submit limit, …)")
    False
    """
    name = limit_of(said)
    return "Submit" in name if name else any(word in said for word in SUBMIT_LIMITS)


def ended_without_exit(state: str, exit_code: int, nodes: str, began: bool) -> dict[str, Any]:
    """The end of a run that is over for Slurm, but whose supervisor wrote none."""
    where = " (node %s)" % nodes if nodes and "[" not in nodes else ""
    if state == "PREEMPTED":
        return {"reason": "preempted", "message": "Slurm took its nodes back%s." % where}
    if state in ("NODE_FAIL", "BOOT_FAIL"):
        how = "could not be started" if state == "BOOT_FAIL" else "was lost"
        return {"reason": "node", "message": "A node %s%s." % (how, where)}
    if state == "OUT_OF_MEMORY":
        text = "The run outgrew the memory of its node%s: Slurm ended it." % where
        return {"reason": "signaled", "signal": 9, "message": text}
    if state in ("TIMEOUT", "DEADLINE"):
        text = "Slurm ended the run at its time limit (state %s)." % state
        return {"reason": "timeout", "message": text}
    if state in ("CANCELLED", "REVOKED"):
        return {"reason": "stopped", "message": "Somebody canceled the run in Slurm."}
    if not began and exit_code == NO_FOLDER:
        text = (
            "The node%s does not see the engine's folder: it must lie on a file system that the "
            "login machine and all nodes share (`turnout engine attach slurm … --folder`)." % where
        )
        return {"reason": "supervisor", "message": text}
    if not began and exit_code == NO_PYTHON:
        text = "The node%s has no Python of version 3.8 or later." % where
        return {"reason": "supervisor", "message": text}
    if began:
        return {"reason": "node", "message": "The run's supervisor died without a word%s." % where}
    text = "Slurm could not start the run%s: state %s, exit code %d." % (where, state, exit_code)
    return {"reason": "supervisor", "message": text}


def may_be_taken(end: dict[str, Any]) -> bool:
    """Whether somebody else may have asked for this end. Slurm asks script and supervisor at once,
    so the script may be gone before its supervisor has heard of it.

    >>> [may_be_taken(end) for end in ({"reason": "stopped"}, {"reason": "exited", "code": 143})]
    [True, True]
    """
    told = (end.get("signal"), (end.get("code") or 0) - 128)
    return end.get("reason") == "stopped" or signal.SIGTERM in told


def taken(state: str) -> str:
    """Why a run was asked to end that we did not ask: "" when Slurm does not know yet."""
    if state not in OVER:
        return ""
    return {
        "PREEMPTED": "preempted",
        "TIMEOUT": "timeout",
        "DEADLINE": "timeout",
        "NODE_FAIL": "node",
    }.get(state, "stopped")
