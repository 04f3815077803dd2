"""A target that is a host with an agent and supervisors: all that `local` and `ssh` share."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from turnout.environments import registry as environments
from turnout.environments import tools
from turnout.environments.base import EnvironmentSettings, Recipe
from turnout.hosts import bootstrap
from turnout.hosts.agent import Agent
from turnout.hosts.base import Host
from turnout.payload.store import Store
from turnout.spec.errors import TargetError
from turnout.spec.targets import Exit, Observation, ObservedState, Problem
from turnout.targets.base import (
    BuiltEnvironment,
    Config,
    Handle,
    Progress,
    RunFile,
    Target,
    TargetResources,
    Ticket,
)

#: How often a launch may be answered with "need": snapshot and tools arrive in one round.
LAUNCH_ROUNDS = 3
PART = 1 << 20
#: Bytes asked for in one `fetch`; small files share an answer, large ones take several.
FETCH_BYTES = 4 << 20
MB = 1_000_000


class SupervisedTarget(Target[Config]):
    """Run folders on a host. A kind says how to make the host and where its root is."""

    def __init__(self, name: str, config: Config, resources: TargetResources) -> None:
        super().__init__(name, config, resources)
        self.host: Host | None = None
        self.agent: Agent | None = None
        self.connecting = asyncio.Lock()
        self.sending: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @abstractmethod
    def make_host(self) -> Host:
        """A host, not connected yet."""

    @property
    @abstractmethod
    def root(self) -> str:
        """The host root; `~` is expanded there."""

    @property
    def store(self) -> str | None:
        """A store on the host that holds the snapshots already; None: the root's own."""
        return None

    @property
    def pythons(self) -> Sequence[str]:
        return bootstrap.PYTHONS

    @property
    def agent_options(self) -> list[str]:
        """More words for the agent's command line."""
        return []

    def heard(self, handles: Sequence[Handle]) -> None:
        """The agent says that these changed."""
        self.resources.changed(self.name, handles)

    def settings_there(self, asked: EnvironmentSettings) -> EnvironmentSettings:
        """The workspace's settings, with what holds for this machine alone."""
        return asked

    async def connected(self) -> Agent:
        """The shared agent, made again when the connection was lost."""
        if self.agent is not None and self.agent.alive:
            return self.agent
        async with self.connecting:
            if self.agent is not None and self.agent.alive:
                return self.agent
            if self.agent is not None:
                await self.agent.aclose()
                self.agent = None
            if self.host is None:
                self.host = self.make_host()
            self.agent = await Agent.connect(
                self.host,
                self.root,
                where=self.name,
                changed=self.heard,
                pythons=self.pythons,
                store=self.store,
                options=self.agent_options,
            )
            return self.agent

    async def check(self) -> Sequence[Problem]:
        try:
            agent = await self.connected()
            answer, _ = await agent.call("check")
        except TargetError as e:
            return [Problem("unreachable" if e.retryable else "refused", e.message)]
        return [Problem(p["code"], p["message"], p.get("fix", "")) for p in answer["problems"]]

    async def launch(self, ticket: Ticket, progress: Progress) -> Handle:
        agent = await self.connected()
        settings = self.settings_there(ticket.environments)
        recipe = environments.recipe(ticket.spec.environment, settings)
        tools_there = await self.tools(agent, recipe)
        asked = self.describe(ticket, recipe, {n: t.digest for n, t in tools_there.items()})
        for _ in range(LAUNCH_ROUNDS):
            answer, _ = await agent.call(
                "launch", handle=ticket.handle, ticket=asked, secrets=ticket.secrets
            )
            if answer["state"] != "need":
                return ticket.handle
            if answer.get("snapshot") and ticket.spec.snapshot:
                await self.send_snapshot(agent, ticket.spec.snapshot, progress)
            for digest in answer.get("data", []):
                await self.send_snapshot(agent, digest, progress)
            for name, tool in tools_there.items():
                if tool.digest in answer.get("tools", []):
                    await self.send_tool(agent, name, tool, progress)
        raise TargetError(f"{self.name} keeps asking for what was sent. Is its disk full?")

    async def tools(self, agent: Agent, recipe: Recipe) -> dict[str, tools.Tool]:
        return {
            name: await tools.tool(
                name, agent.hello["machine"], agent.hello["libc"], self.resources.home
            )
            for name in recipe.tools
        }

    def describe(self, ticket: Ticket, recipe: Recipe, digests: dict[str, str]) -> dict[str, Any]:
        """`ticket.json` (docs/design/run-folder.md)."""
        spec = ticket.spec
        # A script whose name looks like an option is named by its path.
        script = f"./{spec.script}" if spec.script.startswith("-") else spec.script
        argv = list(spec.command) if spec.command else [script, *spec.arguments]
        return {
            "run": ticket.run_id,
            "attempt": ticket.attempt,
            "continues": ticket.continues,
            "experiment": ticket.experiment,
            "argv": argv,
            "command": bool(spec.command),
            "prepare_only": spec.prepare_only,
            "eras": spec.environment.eras,
            "snapshot": spec.snapshot,
            "node_count": spec.node_count,
            "nodes": list(ticket.nodes),
            "distribution": dataclasses.asdict(spec.distribution),
            "recipe": recipe.to_dict(digests),
            "variables": {**ticket.variables, **spec.environment.variables},
            "max_duration_s": spec.max_run_duration_s,
            "grace_s": spec.grace_s,
            "watch": list(spec.directories_to_watch),
            "heartbeat_s": 5.0,
            **({"data": dict(ticket.data)} if ticket.data else {}),
        }

    async def send_snapshot(self, agent: Agent, digest: str, progress: Progress) -> None:
        """Send the blobs that the host lacks. One sender per snapshot; the others wait for it."""
        async with self.sending[digest]:
            store = Store(str(self.resources.store))
            hashes = sorted({f[3] for f in store.manifest(digest)["files"]})
            _, body = await agent.call("missing", json.dumps(hashes).encode())
            missing = set(json.loads(body))
            total = sum(store.size_of(h) for h in missing)

            async def told(sent: int) -> None:
                if total > MB:
                    await progress(f"Sending {sent / MB:.0f} of {total / MB:.0f} MB")

            await agent.put("bundle", store.bundle(digest, missing), told, digest=digest)

    async def send_tool(
        self, agent: Agent, name: str, tool: tools.Tool, progress: Progress
    ) -> None:
        async with self.sending[tool.digest]:
            total = tool.path.stat().st_size

            async def told(sent: int) -> None:
                await progress(f"Sending {name}: {sent / MB:.0f} of {total / MB:.0f} MB")

            await agent.put("tool", parts(tool.path), told, digest=tool.digest, name=name)

    async def observe(self, handles: Sequence[Handle]) -> dict[Handle, Observation]:
        agent = await self.connected()
        answer, _ = await agent.call("observe", handles=list(handles))
        return {h: observation(data) for h, data in answer["runs"].items()}

    async def read(self, handle: Handle, name: str, offset: int, limit: int) -> bytes:
        agent = await self.connected()
        limit = min(limit, PART)
        _, data = await agent.call("read", handle=handle, name=name, offset=offset, limit=limit)
        return data

    async def files(self, handle: Handle) -> list[RunFile]:
        agent = await self.connected()
        answer, _ = await agent.call("files", handle=handle)
        return [RunFile(name, size) for name, size in answer["files"]]

    async def fetch(
        self, handle: Handle, names: Sequence[str], into: Path, progress: Progress
    ) -> None:
        agent = await self.connected()
        sizes = {f.name: f.size for f in await self.files(handle)}
        total, done = sum(sizes.get(n, 0) for n in names), 0
        for batch in batches([(n, sizes[n]) for n in names if n in sizes]):
            answer, body = await agent.call("fetch", handle=handle, names=batch)
            await asyncio.to_thread(write_parts, into, batch, answer["sizes"], body, sizes)
            done += len(body)
            if total > MB:
                await progress(f"Fetching {done / MB:.0f} of {total / MB:.0f} MB")

    async def stop(self, handle: Handle, grace_s: float) -> None:
        agent = await self.connected()
        await agent.call("stop", handle=handle, grace_s=grace_s)

    async def forget(self, handle: Handle) -> None:
        agent = await self.connected()
        await agent.call("forget", handle=handle)

    async def environments(self) -> list[BuiltEnvironment]:
        agent = await self.connected()
        answer, _ = await agent.call("environments")
        return [BuiltEnvironment(**row) for row in answer["environments"]]

    async def prune(
        self, keys: Sequence[str] | None, older_than_s: float, *, dry_run: bool
    ) -> list[BuiltEnvironment]:
        agent = await self.connected()
        answer, _ = await agent.call(
            "prune",
            keys=None if keys is None else list(keys),
            older_than_s=older_than_s,
            dry_run=dry_run,
        )
        return [BuiltEnvironment(**row) for row in answer["removed"]]

    async def aclose(self) -> None:
        if self.agent is not None:
            await self.agent.aclose()
        if self.host is not None:
            await self.host.aclose()
        self.agent = self.host = None


def observation(data: dict[str, Any]) -> Observation:
    end = data.get("exit")
    return Observation(
        state=ObservedState(data["state"]),
        message=data.get("message", ""),
        exit=Exit(**end) if end else None,
        sizes=data.get("sizes", {}),
        started_at=data.get("started_at"),
        heartbeat_age_s=data.get("heartbeat_age_s"),
        files=data.get("files", 0),
    )


def parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(PART):
            yield part


def batches(files: list[tuple[str, int]]) -> Iterator[list[tuple[str, int, int]]]:
    """(name, offset, length) in groups of about `FETCH_BYTES`; a large file spans several."""
    group: list[tuple[str, int, int]] = []
    room = FETCH_BYTES
    for name, size in files:
        offset = 0
        while offset < size or size == 0:
            length = min(size - offset, room)
            group.append((name, offset, length))
            offset += length
            room -= length
            if room <= 0 or len(group) >= 1000:
                yield group
                group, room = [], FETCH_BYTES
            if size == 0:
                break
    if group:
        yield group


def write_parts(
    into: Path,
    batch: list[tuple[str, int, int]],
    lengths: list[int | None],
    body: bytes,
    sizes: dict[str, int],
) -> None:
    """Put the parts in their files; a file takes its name when its last part is there."""
    # Beside the folder: any name in it, also one with a dot, may be the script's own.
    partial = into.with_name(f"{into.name}.part")
    at = 0
    for (name, offset, asked), length in zip(batch, lengths, strict=True):
        if length is None:
            continue
        target = inside(into, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(body[at : at + length])
        at += length
        if length < asked or offset + length >= sizes[name]:
            partial.replace(target)


def inside(folder: Path, name: str) -> Path:
    """`folder/name`, refused when the name leaves the folder: the host is not trusted either."""
    pieces = name.split("/")
    if not name or "\0" in name or any(p in ("", ".", "..") for p in pieces):
        raise TargetError(f"The target named a file '{name}' outside of the run.")
    try:
        # Bytes that are not UTF-8 become `\\xff`: here names travel in addresses and as JSON.
        text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        raise TargetError(f"The target named a file {name!a}, which is no name.") from None
    return folder.joinpath(*text.split("/"))
