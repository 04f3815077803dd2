"""What a run with several processes is made of, and what each of them is told. Pure but `ports`.

Contract: docs/design/run-folder.md, "Several processes". Names of variables: Azure ML v1 and the
Batch AI service before it, PyTorch's `env://`, TensorFlow's TF_CONFIG.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket

from turnout.payload import rundir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: In a run folder: the plan, and the folder of what the processes left.
PLAN = "plan.json"
RANKS = "ranks"
#: In that folder: {"message"}, why nothing could be started.
SAID = "said.json"
#: A link there: its text is the rank that failed first.
FIRST = "first"
#: What a process has of its node, unless the run says otherwise.
SHARES = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
#: Ports to choose from: below those that systems give out by themselves, so that nobody gets one
#: by chance before the run has it.
PORTS = range(20000, 32000)
PORT_TRIES = 1000
#: For a person.
ROLES = {"": "Process", "worker": "Worker", "ps": "Parameter server"}
#: Names that v1's notebooks put into arguments, to be filled in on the node.
IN_ARGUMENTS = re.compile(r"\$\{?(AZ_BATCHAI_[A-Z_]+)\}?")


def is_one(ticket: dict[str, Any]) -> bool:
    """Whether the script is simply started once."""
    asked: dict[str, Any] = ticket.get("distribution") or {}
    several = asked.get("kind") or int(asked.get("processes") or 1) > 1
    return not several and int(ticket.get("node_count") or 1) == 1


def made(
    ticket: dict[str, Any], argv: list[str], nodes: list[dict[str, Any]], ports: list[int]
) -> dict[str, Any]:
    """The plan: `nodes` with "node", "address" and their part of the machine, where they have one;
    `ports` that are free on the first, one for each process at least."""
    asked: dict[str, Any] = ticket.get("distribution") or {}
    given: dict[str, str] = ticket.get("variables") or {}
    kind = str(asked.get("kind") or "")
    if kind == "tensorflow":
        workers, servers = int(asked["workers"]), int(asked["parameter_servers"])
        tasks = [["worker", n] for n in range(workers)] + [["ps", n] for n in range(servers)]
    else:
        tasks = [["", n] for n in range(int(asked.get("processes") or 1) * len(nodes))]
    return {
        "kind": kind,
        "argv": argv,
        "nodes": nodes,
        "each": -(-len(tasks) // len(nodes)),
        "tasks": tasks,
        "places": places(len(tasks), len(nodes)),
        "given": {name: given[name] for name in SHARES if name in given},
        "ports": ports[: max(1, len(tasks))],
        "grace_s": float(ticket.get("grace_s", 10.0)),
        "slurm": bool(ticket.get("slurm")),
    }


def places(tasks: int, nodes: int) -> list[int]:
    """On which node each task is: one node after another, as even as can be, the first ones having
    one more. srun shares them out in the same way.

    >>> places(4, 3)
    [0, 0, 1, 2]
    """
    each, more = divmod(tasks, nodes)
    return [node for node in range(nodes) for _ in range(each + (node < more))]


def node_of(plan: dict[str, Any], rank: int) -> dict[str, Any]:
    return plan["nodes"][plan["places"][rank]]


def variables(plan: dict[str, Any], rank: int) -> dict[str, str]:
    """What the process of that rank finds.

    >>> nodes = [{"address": "10.0.0.1"}, {"address": "10.0.0.2"}]
    >>> plan = made({"distribution": {"kind": "pytorch", "processes": 2}}, [], nodes, [1, 2, 3, 4])
    >>> [variables(plan, 3)[name] for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "MASTER_ADDR")]
    ['3', '1', '1', '10.0.0.1']
    """
    first, port = plan["nodes"][0]["address"], plan["ports"][0]
    master = "%s:%d" % (first, port)
    found = {rundir.RANK_VARIABLE: str(rank), "AZ_BATCHAI_TASK_INDEX": str(rank)}
    if plan["kind"] == "mpi":
        found["AZ_BATCH_MASTER_NODE"] = master
        found["AZ_BATCHAI_MPI_MASTER_NODE"] = first
    elif plan["kind"] == "tensorflow":
        found.update(of_tensorflow(plan, rank))
    else:
        found.update(
            {
                "MASTER_ADDR": first,
                "MASTER_PORT": str(port),
                "WORLD_SIZE": str(len(plan["tasks"])),
                "RANK": str(rank),
                "LOCAL_RANK": str(rank % plan["each"]),
                "LOCAL_WORLD_SIZE": str(plan["each"]),
                "NODE_RANK": str(rank // plan["each"]),
                "AZ_BATCHAI_PYTORCH_INIT_METHOD": "tcp://" + master,
            }
        )
    return {**found, **of_node(plan, rank), **plan["given"]}


def of_node(plan: dict[str, Any], rank: int) -> dict[str, str]:
    """The part of its node that a process may use, where we hold it."""
    node = node_of(plan, rank)
    found: dict[str, str] = {}
    if node.get("cores"):
        found["OMP_NUM_THREADS"] = str(max(1, len(node["cores"]) // plan["each"]))
        found["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, node.get("gpus") or []))
    return found


def of_tensorflow(plan: dict[str, Any], rank: int) -> dict[str, str]:
    cluster: dict[str, list[str]] = {}
    for number, (role, _) in enumerate(plan["tasks"]):
        address = node_of(plan, number)["address"]
        cluster.setdefault(role, []).append("%s:%d" % (address, plan["ports"][number]))
    role, index = plan["tasks"][rank]
    return {
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": role, "index": index}}),
        "AZ_BATCHAI_TASK_INDEX": str(index),
        "AZ_BATCHAI_JOB_NAME": role,
        "AZ_BATCHAI_WORKER_HOSTS": ",".join(cluster["worker"]),
        "AZ_BATCHAI_PS_HOSTS": ",".join(cluster.get("ps", [])),
    }


def filled(argv: list[str], env: dict[str, str]) -> list[str]:
    """
    >>> filled(["--url", "$AZ_BATCHAI_X", "$HOME"], {"AZ_BATCHAI_X": "tcp://a:1", "HOME": "h"})
    ['--url', 'tcp://a:1', '$HOME']
    """
    return [IN_ARGUMENTS.sub(lambda m: env.get(m.group(1), m.group()), word) for word in argv]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on here at this moment."""
    sockets: list[socket.socket] = []
    found: list[int] = []
    chosen = random.SystemRandom()
    try:
        for tries in range(PORT_TRIES + count):
            if len(found) == count:
                break
            sockets.append(socket.socket())
            # Where so many are taken, one that the system gives will do.
            port = chosen.choice(PORTS) if tries < PORT_TRIES else 0
            with contextlib.suppress(OSError):
                sockets[-1].bind(("", port))
                found.append(int(sockets[-1].getsockname()[1]))
        return found
    finally:
        for one in sockets:
            one.close()


def first_failure(ends: dict[int, dict[str, Any]], said: str) -> int | None:
    """The rank that failed first; None when none did. What ends a server when the workers are
    done is no failure. `said` is what the link says, "" where nobody came to make it."""
    failed = [
        (float(end.get("at") or 0.0), rank)
        for rank, end in ends.items()
        if (end.get("code") or end.get("signal")) and not end.get("ended_by_us")
    ]
    if said in [str(rank) for _, rank in failed]:
        return int(said)
    return min(failed)[1] if failed else None


def words(plan: dict[str, Any], rank: int, end: dict[str, Any], name_of_signal: str) -> str:
    """How a rank failed, for a person."""
    role, index = plan["tasks"][rank]
    what = "%s %d" % (ROLES[role], index if role else rank)
    how = "exited with code %s" % end.get("code")
    if end.get("signal"):
        how = "was killed by %s" % name_of_signal
    text = "%s (node %s) %s; the others were ended." % (what, node_of(plan, rank)["node"], how)
    return text + (" Its output: azureml-logs/70_driver_log_%d.txt." % rank if rank else "")
