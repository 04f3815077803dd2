"""What a Slurm is: its version, partitions, nodes and limits, and what keeps us from using it."""

from __future__ import annotations

import os
import re
import shutil
import time

from turnout.payload import hostfacts, rundir
from turnout.payload.slurm.batches import quoted
from turnout.payload.slurm.commands import Done, call, duration_s, fields, gpus_of, said, whole
from turnout.payload.slurm.places import FOLDER
from turnout.payload.slurm.words import NO_FOLDER, OVER, is_about_numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The oldest version whose options are the ones that we use.
OLDEST = (20, 11)
#: Seconds that a node has for the proof that it sees the folder. A full or sleeping cluster is
#: not waited for: the first run proves it then.
PROBE_S = 15.0
#: Programs that run containers without a daemon.
CONTAINER_PROGRAMS = ("apptainer", "singularity", "enroot")


class NoAnswer(Exception):
    """Slurm's controller tells nothing now: that says nothing of what the site is like."""

    def __init__(self, done: Done) -> None:
        super().__init__("Slurm does not answer: %s." % said(done))


def facts() -> dict[str, Any]:
    """What a person wants to know before making a cluster on it; raises `NoAnswer`."""
    known_partitions = partitions()
    config = configuration()
    known = nodes("")
    return {
        "version": version() or "",
        "cluster": config.get("ClusterName", ""),
        "user": hostfacts.user(),
        "accounting": not config.get("AccountingStorageType", "/none").endswith("/none"),
        "power_saving": config.get("ResumeProgram", "(null)") != "(null)",
        "preemption": config.get("PreemptMode", "OFF"),
        "limits": limits(config),
        "partitions": [summary(row, known) for row in known_partitions],
        "containers": [name for name in CONTAINER_PROGRAMS if shutil.which(name)],
    }


def version() -> str | None:
    """ "22.05.8", or None where there is no Slurm."""
    done = call(["sinfo", "--version"], timeout_s=10.0)
    found = re.search(r"\d+\.\d+(\.\d+)?", done.out)
    return found.group() if found and not done.code else None


def configuration() -> dict[str, str]:
    """Settings of the controller; empty when it does not answer."""
    found: dict[str, str] = {}
    for line in call(["scontrol", "show", "config"], timeout_s=15.0).out.splitlines():
        name, sign, value = line.partition("=")
        if sign:
            found[name.strip()] = value.strip()
    return found


def answer(argv: list[str]) -> Done:
    """What a command says that only a controller which is not there makes fail."""
    done = call(argv, timeout_s=15.0)
    if done.code:
        raise NoAnswer(done)
    return done


def partitions() -> list[dict[str, str]]:
    done = answer(["scontrol", "-o", "show", "partition"])
    rows = [fields(line) for line in done.out.splitlines()]
    return [row for row in rows if "PartitionName" in row]


def summary(row: dict[str, str], known: list[dict[str, Any]]) -> dict[str, Any]:
    """A partition, with what its largest node has."""
    name = row["PartitionName"]
    own = [node for node in known if name in node["partitions"]]

    def most(what: str) -> int:
        return max((node[what] for node in own), default=0)

    return {
        "name": name,
        "default": row.get("Default") == "YES",
        "state": row.get("State", "").lower(),
        "max_time_s": duration_s(row.get("MaxTime", "")),
        "default_time_s": duration_s(row.get("DefaultTime", "")),
        "nodes": len(own),
        "cores": most("cores"),
        "memory_mb": most("memory_mb"),
        "gpus": most("gpus"),
    }


def nodes(partition: str) -> list[dict[str, Any]]:
    """Nodes of a partition, or all of them ("")."""
    found: list[dict[str, Any]] = []
    for line in answer(["scontrol", "-o", "show", "node"]).out.splitlines():
        row = fields(line)
        of = row.get("Partitions", "").split(",")
        if "NodeName" not in row or (partition and partition not in of):
            continue
        state = row.get("State", "").lower()
        why = row.get("Reason", "").partition(" [")[0]
        found.append(
            {
                "name": row["NodeName"],
                "host": row.get("NodeHostName", row["NodeName"]),
                "state": state.rstrip("*#~%$@!-"),
                "reason": "" if why == "(null)" else why,
                "partitions": of,
                "cores": whole(row.get("CPUTot", "")),
                "cores_used": whole(row.get("CPUAlloc", "")),
                "memory_mb": whole(row.get("RealMemory", "")),
                "memory_used_mb": whole(row.get("AllocMem", "")),
                "gpus": gpus_of(row.get("Gres", "")),
            }
        )
    return found


def limits(config: dict[str, str]) -> list[str]:
    """The limits of this user's accounts, as Slurm tells them; none without accounting."""
    if config.get("AccountingStorageType", "/none").endswith("/none"):
        return []
    names = ("Account", "QOS", "MaxJobs", "MaxSubmit", "GrpTRES", "MaxWall")
    # One accounting may be that of several clusters.
    whose = ["user=" + hostfacts.user(), "cluster=" + config.get("ClusterName", "")]
    argv = ["sacctmgr", "-nP", "show", "assoc", *whose]
    found: list[str] = []
    for line in call([*argv, "format=" + ",".join(names)], timeout_s=15.0).out.splitlines():
        given = [(n, v) for n, v in zip(names, line.split("|")) if v]
        found.append(", ".join("%s %s" % pair for pair in given))
    return found


# -- problems ----------------------------------------------------------------------------------


def problems(root: str, partition: str) -> list[dict[str, str]]:
    """What keeps runs from being handed over here: `code`, `message` and `fix` of each."""
    try:
        return of_commands() or of_partition(partition) or of_folder(root, partition)
    except NoAnswer as e:
        return [problem("slurm_down", str(e), "`scontrol ping` tells more.")]


def of_commands() -> list[dict[str, str]]:
    for name in ("sbatch", "squeue", "scancel", "scontrol", "sinfo"):
        if not shutil.which(name):
            text = "There is no %s on this machine's PATH." % name
            fix = "Attach the machine on which you use Slurm, its login node (--address)."
            return [problem("no_slurm", text, fix)]
    there = version()
    if there and tuple(int(part) for part in there.split(".")[:2]) < OLDEST:
        text = "Slurm %s is too old." % there
        return [problem("slurm_version", text, "Slurm 20.11 or later is needed.")]
    done = call(["scontrol", "ping"], timeout_s=10.0)
    if not there or done.code or "UP" not in done.out:
        text = "Slurm's controller does not answer: %s." % said(done)
        return [problem("slurm_down", text, "`scontrol ping` tells more.")]
    return []


def of_partition(partition: str) -> list[dict[str, str]]:
    rows = {row["PartitionName"]: row for row in partitions()}
    known = ", ".join(sorted(rows)) or "none"
    if partition and partition not in rows:
        text = "Slurm has no partition '%s'." % partition
        return [problem("no_partition", text, "Partitions: %s." % known)]
    if not partition and not any(row.get("Default") == "YES" for row in rows.values()):
        text = "Slurm has no default partition."
        return [problem("no_partition", text, "Name one (--partition): %s." % known)]
    options = ["--partition=%s" % partition] if partition else []
    done = call(["sbatch", "--test-only", "-o", "/dev/null", *options], "#!/bin/sh\n")
    if done.code and not is_about_numbers(done.err):
        text = "Slurm would refuse a run: %s." % said(done)
        fix = "Try `sbatch --test-only` there; an account may be needed (--account)."
        return [problem("slurm_refuses", text, fix)]
    return []


def of_folder(root: str, partition: str) -> list[dict[str, str]]:
    """Whether a node sees the host root: a run of a moment looks, where one can start at once."""
    own = nodes(partition)
    if all(node["host"] == os.uname().nodename for node in own):
        return []
    if not any(node["state"] in ("idle", "mixed", "allocated") for node in own):
        return []
    probe = os.path.join(rundir.make_folder(os.path.join(root, FOLDER)), "probe.%d" % os.getpid())
    rundir.write_file(probe, b"")
    there, seen = quoted(probe), quoted(probe + ".seen")
    script = "#!/bin/sh\nmv %s %s || exit %d\n" % (there, seen, NO_FOLDER)
    options = ["--partition=%s" % partition] if partition else []
    argv = ["sbatch", "--parsable", "--job-name=turnout-check", "--time=1", "--output=/dev/null"]
    number = call([*argv, "--chdir=/", *options], script).out.strip().partition(";")[0]
    try:
        return looked_for(probe, number, root) if number.isdigit() else []
    finally:
        call(["scancel", number])
        rundir.remove_quietly(probe)
        rundir.remove_quietly(probe + ".seen")


def looked_for(probe: str, number: str, root: str) -> list[dict[str, str]]:
    end = time.monotonic() + PROBE_S
    while time.monotonic() < end:
        if os.path.exists(probe + ".seen"):
            return []
        state = call(["squeue", "-h", "-t", "all", "-j", number, "-o", "%T"]).out.strip()
        if state in OVER:
            # A shared file system may show it a moment later.
            time.sleep(2.0)
            if os.path.exists(probe + ".seen"):
                return []
            text = "A node does not see the folder %s of this machine." % root
            fix = "Attach with a folder on a file system that nodes share (--folder)."
            return [problem("not_shared", text, fix)]
        time.sleep(0.3)
    return []


def problem(code: str, message: str, fix: str) -> dict[str, str]:
    return {"code": code, "message": message, "fix": fix}
