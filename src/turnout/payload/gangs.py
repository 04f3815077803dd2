"""A supervisor's side of a run with several processes: the plan, what starts it, how it ended."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

from turnout.payload import plans, rundir
from turnout.payload.slices import Slice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from turnout.payload.ranks import main; sys.exit(main(sys.argv[2:]))"
)


class Gang:
    """The processes of one attempt. With one process on one node there is none."""

    def __init__(
        self, folder: str, payload: str, ticket: dict[str, Any], slices: list[Slice]
    ) -> None:
        self.folder = folder
        self.payload = payload
        self.ticket = ticket
        self.slices = slices
        self.plan: dict[str, Any] = {}

    def command(self, argv: list[str], python: list[str], *, isolated: bool) -> list[str]:
        """Write the plan for the script's command line; what starts it. `python` runs our side in
        a container, where ours is not."""
        rundir.make_folder(os.path.join(self.folder, plans.RANKS))
        nodes = slurm_nodes() if self.ticket.get("slurm") else self.nodes(isolated)
        asked: dict[str, Any] = self.ticket.get("distribution") or {}
        most = int(asked.get("workers") or 1) + int(asked.get("parameter_servers") or 0)
        count = max(most, int(asked.get("processes") or 1) * len(nodes))
        self.plan = plans.made(self.ticket, argv, nodes, plans.free_ports(count))
        rundir.write_json(os.path.join(self.folder, plans.PLAN), self.plan)
        ours = python if isolated else [sys.executable]
        return [*ours, "-S", "-E", "-c", CODE, self.payload, "start", self.folder]

    def nodes(self, isolated: bool) -> list[dict[str, Any]]:
        """Nodes that are parts of this machine. A container holds the memory of all together."""
        given: list[dict[str, Any]] = self.ticket.get("nodes") or []
        found = [{"node": node["node"], "address": "127.0.0.1"} for node in given]
        for node, its, part in zip(found, given, self.slices):
            node.update(cores=its["cores"], gpus=its["gpus"])
            if len(given) > 1 and not isolated:
                node["group"] = part.folder
        return found or [{"node": os.uname().nodename, "address": "127.0.0.1"}]

    def end(self, code: int, name_of_signal: Any) -> tuple[dict[str, Any], str]:
        """(what `exit.json` says of code and signal, words for a person) of those that ended."""
        ends = {
            rank: rundir.read_mapping(os.path.join(self.folder, plans.RANKS, "%d.exit" % rank))
            for rank in range(len(self.plan["tasks"]))
        }
        why = rundir.read_mapping(os.path.join(self.folder, plans.RANKS, plans.SAID))
        if why.get("message"):
            # Nothing was started.
            return {"reason": "prepare", "code": None}, str(why["message"])
        said = ""
        with contextlib.suppress(OSError):
            said = os.readlink(os.path.join(self.folder, plans.RANKS, plans.FIRST))
        first = plans.first_failure({r: e for r, e in ends.items() if e}, said)
        if first is None:
            return {"reason": "exited", "code": code}, ""
        end = ends[first]
        words = plans.words(self.plan, first, end, name_of_signal(end.get("signal")))
        if end.get("signal"):
            return {"reason": "signaled", "signal": end["signal"]}, words
        return {"reason": "exited", "code": end["code"]}, words


def slurm_nodes() -> list[dict[str, Any]]:
    """The nodes of the allocation that this process is in, the own one first."""
    names = asked_slurm(["scontrol", "show", "hostnames", os.environ.get("SLURM_NODELIST", "")])
    return [{"node": name, "address": address_of(name)} for name in names.split()]


def address_of(name: str) -> str:
    """How other nodes reach that one: its name where it means something, else Slurm's address."""
    try:
        socket.gethostbyname(name)
        return name
    except OSError:
        text = asked_slurm(["scontrol", "-o", "show", "node", name])
        found = [word[9:] for word in text.split() if word.startswith("NodeAddr=")]
        return found[0] if found else name


def asked_slurm(argv: list[str]) -> str:
    return subprocess.run(argv, stdout=subprocess.PIPE, check=False).stdout.decode()
