"""The agent beside Slurm's commands: as any agent, but what it starts is started by Slurm."""

from __future__ import annotations

import os
import socket
import sys

from turnout.payload import contents, processes, recipes, rundir, supervisor
from turnout.payload.agent import Agent, RequestError, in_background
from turnout.payload.slurm import site
from turnout.payload.slurm.batches import Handover
from turnout.payload.slurm.children import Children
from turnout.payload.slurm.places import POINTER, tidy
from turnout.payload.slurm.preparing import Preparer
from turnout.payload.slurm.queue import Queue
from turnout.payload.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from turnout.payload.agent import Answer


class SlurmAgent(Agent):
    """Hands runs over to Slurm and asks it about them, while it answers requests."""

    operations = Agent.operations | {"site", "nodes"}

    def __init__(self, root: str, store: Store, payload: str) -> None:
        super().__init__(root, store, payload)
        self.children = Children(self.poll)
        handover = Handover(root, payload, str(store.root), sys.executable)
        self.queue = Queue(root, handover, self.children, self.changed)
        in_background(lambda: tidy(root))

    def wait(self) -> list[int]:
        due = self.queue.due()
        ready = [fd for fd, _ in self.poll.poll(None if due is None else due * 1000 + 1)]
        ended, _ = processes.reap()
        self.children.collect(ended)
        self.children.read(ready)
        self.queue.tick()
        return ready

    def pass_on(self, pokes: socket.socket) -> None:
        super().pass_on(pokes)
        self.queue.tick()

    def changed(self, handles: list[str]) -> None:
        if handles:
            super().changed(handles)

    def begin(
        self, handle: str, ticket: dict[str, Any], lock: int, secrets: dict[str, str]
    ) -> None:
        recipe = recipes.part(ticket, "recipe")
        in_container = bool(recipes.part(recipe, "activation").get("launcher"))
        self.queue.followed[handle] = ()
        ready = in_container or recipes.is_ready(self.root, recipe)
        if ready and not ticket.get("prepare_only"):
            self.queue.take(handle)
            return
        made = Preparer(self.root, self.store, self.payload, handle, secrets)
        supervisor.fork(made, lock)

    def begun(self, folder: str) -> bool:
        """Whether Slurm has the run, or somebody makes its environment, or it is over."""
        names = (POINTER, rundir.EXIT)
        if any(os.path.exists(os.path.join(folder, name)) for name in names):
            return True
        return os.path.exists(os.path.join(folder, rundir.STATUS)) and contents.is_alive(folder)

    def look(self, handle: str) -> dict[str, Any]:
        return self.queue.observe(handle)

    def stop(self, request: dict[str, Any], body: bytes) -> Answer:
        answer = super().stop(request, body)
        self.queue.stop(request["handle"])
        return answer

    def forget(self, request: dict[str, Any], body: bytes) -> Answer:
        answer = super().forget(request, body)
        self.queue.forget(request["handle"])
        return answer

    def check(self, request: dict[str, Any], body: bytes) -> Answer:
        answer, out = super().check(request, body)
        partition = str(request.get("partition") or "")
        answer["problems"] += site.problems(self.root, partition)
        return answer, out

    def site(self, request: dict[str, Any], body: bytes) -> Answer:
        try:
            return site.facts(), b""
        except site.NoAnswer as e:
            raise RequestError("later", str(e)) from None

    def nodes(self, request: dict[str, Any], body: bytes) -> Answer:
        try:
            found = site.nodes(str(request.get("partition") or ""))
        except site.NoAnswer as e:
            raise RequestError("later", str(e)) from None
        ours = self.queue.by_node()
        return {"nodes": [{**node, "runs": ours.get(node["name"], [])} for node in found]}, b""
