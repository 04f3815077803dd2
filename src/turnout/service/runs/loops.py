"""Brings the world nearer to the rows of runs: launches, follows, stops, collects, forgets.

Nothing here is the truth. Everything in memory can be lost at any line and is found again from the
rows at the next start; every effect on a target may happen twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog

from turnout.engine import lifecycle
from turnout.engine.lifecycle import Act, Decision, RunError, RunFacts
from turnout.environments import failures
from turnout.environments.base import EnvironmentSettings
from turnout.service import ending
from turnout.service.data.launching import DataLauncher
from turnout.service.data.stores import DataStores
from turnout.service.db import Database
from turnout.service.environments import launching
from turnout.service.runs import logic
from turnout.service.runs.collect import Collector
from turnout.service.runs.folders import RunFolders
from turnout.service.runs.follower import Follower
from turnout.service.runs.hub import Hub
from turnout.service.runs.tables import RunRow, handle_of
from turnout.service.settings import Settings
from turnout.service.targets.pool import TargetPool
from turnout.spec.errors import TargetError, TurnoutError
from turnout.spec.records import from_dict
from turnout.spec.runs import RunSpec, RunState
from turnout.spec.targets import Observation
from turnout.targets.base import Target, Ticket

log = structlog.get_logger()
#: Longest wait between two tries of something that a target refused for now.
RETRY_LIMIT_S = 30.0
#: Progress is written to the row at most this often.
PROGRESS_EVERY_S = 0.25
#: Runs that were forgotten are noted together, this long after the first.
FORGET_S = 0.2
#: Seen so, a run goes on.
LIVES = frozenset(lifecycle.SHOWN_AS)
#: Variable of the steps that make an image: the password at its registry.
PASSWORD = "TURNOUT_REGISTRY_PASSWORD"  # noqa: S105 - its name


@dataclasses.dataclass
class Work:
    """What this process is doing for one run. Lost without harm."""

    task: asyncio.Task[None]
    #: A newer look that came while the task was busy.
    next: Observation | None = None
    stop_sent: bool = False


class RunLoops:
    """All background work for runs. `submitted`, `canceled` and `changed` are hints."""

    def __init__(
        self,
        db: Database,
        hub: Hub,
        pool: TargetPool,
        folders: RunFolders,
        settings: Settings,
        stores: DataStores,
    ) -> None:
        self.db = db
        self.hub = hub
        self.pool = pool
        self.settings = settings
        #: Called when a run waits for nodes, or needs the ones that it had no more.
        self.nodes_wanted: Callable[[], None] = lambda: None
        self.collector = Collector(db, hub, folders, stores, self.again)
        self.data = DataLauncher(stores, settings.home / "store")
        self.followers: dict[str, Follower] = {}
        self.launching: dict[str, asyncio.Task[None]] = {}
        self.asked_again: set[str] = set()
        self.slots: dict[str, asyncio.Semaphore] = {}
        self.work: dict[str, Work] = {}
        self.stopped: set[str] = set()
        self.forgotten: list[str] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take up every run where an earlier process left it."""
        for row in await logic.active(self.db):
            self.take_up(row)

    def take_up(self, row: RunRow) -> None:
        if row.handle is not None:
            self.follower(row.target).follow(row.handle, row.id)
        else:
            self.submitted(row.id, row.target)

    @property
    def busy(self) -> bool:
        """Whether a run is active, so that the service must stay."""
        return bool(self.launching or any(f.runs for f in self.followers.values()))

    def submitted(self, run: str, target: str) -> None:
        """Launch the run, or look again once the look that is under way has ended."""
        if run in self.launching:
            self.asked_again.add(run)
            return
        task = self.spawn(self.launch(run, target))
        self.launching[run] = task
        task.add_done_callback(lambda _: self.launched(run, target))

    def launched(self, run: str, target: str) -> None:
        self.launching.pop(run, None)
        if run in self.asked_again:
            self.asked_again.discard(run)
            self.submitted(run, target)

    async def canceled(self, row: RunRow) -> None:
        """The wish to cancel is in the row; carry it out."""
        self.hub.tell(row.id)
        if row.handle is not None:
            self.follower(row.target).hint([row.handle])
        elif row.id in self.launching:
            # Wakes a launch that waits for its slot or its target. One that is under way may get
            # through all the same: see there.
            self.launching[row.id].cancel()
            await self.cancel_unlaunched(row.id)
        else:
            await self.cancel_unlaunched(row.id)

    def changed(self, target: str, handles: Sequence[str]) -> None:
        self.follower(target).hint(handles)

    def follower(self, target: str) -> Follower:
        found = self.followers.get(target)
        if found is None:
            found = Follower(target, self.pool, self.settings.tick_s, self.deliver, self.blame)
            self.followers[target] = found
            self.spawn(found.loop())
        return found

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def aclose(self) -> None:
        await ending.end(self.tasks)

    # Launch

    async def launch(self, run: str, target: str) -> None:
        slots = self.slots.setdefault(target, asyncio.Semaphore(self.settings.launches_at_once))
        wait_s = 0.5
        while True:
            async with slots:
                try:
                    if await self.try_launch(run):
                        return
                except Exception:
                    # Such as a locked database. A launch that is repeated is one run.
                    log.exception("a launch could not be recorded; trying again", run=run)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, RETRY_LIMIT_S)

    async def try_launch(self, run: str) -> bool:
        """Whether nothing is left to try."""
        row = await logic.get(self.db, run)
        decision = lifecycle.decide(facts(row), None)
        if decision.act is Act.WAIT:
            self.nodes_wanted()
        if decision.state is RunState.CANCELED:
            # An earlier process wrote the wish down and did not get further.
            await self.cancel_unlaunched(run)
        if decision.act is not Act.LAUNCH:
            return True
        try:
            target = await self.pool.get(row.target)
            progress = self.progress(run)
            ticket = await self.ticket(row)
            data = await self.data.prepare(ticket.spec, is_here=target.is_here, progress=progress)
            handle = await target.launch(dataclasses.replace(ticket, data=data), progress)
        except TargetError as e:
            log.warning("launch failed", run=run, error=e.message)
            if e.retryable:
                await self.say(run, f"Waiting for {row.target}: {e.message} Trying again.")
                return False
            await self.finish(run, RunError("target", e.message))
            return True
        except TurnoutError as e:
            await self.finish(run, RunError(e.code, e.message))
            return True
        except Exception as e:
            log.exception("launch failed by a fault of the service", run=run)
            await self.finish(run, RunError("internal", f"A fault of the service: {e!r}"))
            return True
        state = RunState.QUEUED if target.queues else RunState.PREPARING
        await self.collector.change(run, state=state, handle=handle, message="")
        self.follower(row.target).follow(handle, run)
        return True

    async def ticket(self, row: RunRow) -> Ticket:
        """What the target gets: the run as asked for, by the settings of the workspace."""
        spec = spec_of(row)
        ready = await launching.prepare(self.db, self.pool.vault, spec.environment)
        news = [text for text in ready.notes if text not in row.warnings]
        if news:
            await self.collector.change(row.id, warnings=[*row.warnings, *news])
        return Ticket(
            run_id=row.id,
            attempt=row.attempt,
            experiment=row.experiment,
            spec=dataclasses.replace(spec, environment=ready.spec),
            variables=variables(row, self.settings.workspace),
            continues=handle_of(row, row.attempt - 1) if row.attempt > 1 else "",
            nodes=tuple(node for node in row.allocation or () if "node" in node),
            environments=EnvironmentSettings(**ready.settings.for_recipes()),
            secrets={PASSWORD: ready.password.reveal()} if ready.password else {},
        )

    def progress(self, run: str) -> Any:
        last = 0.0

        async def told(message: str) -> None:
            nonlocal last
            at = asyncio.get_running_loop().time()
            if at - last >= PROGRESS_EVERY_S:
                last = at
                await self.say(run, message)

        return told

    async def say(self, run: str, message: str) -> None:
        await self.collector.change(run, message=message)

    async def finish(self, run: str, error: RunError) -> None:
        row = await logic.get(self.db, run)
        handle = handle_of(row) if row.attempt > 1 and row.handle is None else None
        if handle is not None:
            # What the attempts before left is brought, and then forgotten like that of any run.
            with contextlib.suppress(TurnoutError, OSError):
                target = await self.pool.get(row.target)
                await self.collector.files(target, row, self.progress(run))
                await self.collector.models(row)
        decision = Decision(Act.NONE, RunState.FAILED, error)
        await self.collector.apply(run, decision, handle=handle)
        self.nodes_wanted()
        if handle is not None:
            self.follower(row.target).follow(handle, run)

    async def cancel_unlaunched(self, run: str) -> None:
        row = await logic.get(self.db, run)
        decision = lifecycle.decide(facts(row), None)
        if decision.state is not RunState.CANCELED:
            # It was launched in this very moment: the next look carries the wish out.
            self.again(row)
            return
        # A launch may have got through although its answer did not: the handle is left in the
        # row, so that the folder is looked for and removed when the target can be reached.
        handle = handle_of(row)
        if row.attempt > 1:
            # What the attempts before left is brought first, as from any run that had begun.
            await self.collector.change(run, handle=handle)
        else:
            await self.collector.apply(run, decision, handle=handle)
        self.nodes_wanted()
        self.follower(row.target).follow(handle, run)

    # Follow

    def deliver(self, run: str, seen: Observation) -> None:
        """A look at a run; the newest waits while an older one is worked on."""
        current = self.work.get(run)
        if current is not None:
            current.next = seen
            return
        self.work[run] = Work(self.spawn(self.advance(run, seen)))

    async def advance(self, run: str, seen: Observation) -> None:
        latest: Observation | None = seen
        try:
            while latest is not None:
                seen = latest
                await self.step(run, latest)
                work = self.work[run]
                latest, work.next = work.next, None
        except TargetError as e:
            # A run that lives is not ended because looking at it failed.
            if seen.state in LIVES:
                await self.say(run, e.message)
            elif not e.retryable:
                await self.finish(run, RunError("target", e.message))
            self.again(await logic.get(self.db, run))
        except OSError as e:
            await self.say(run, f"The service cannot keep what the run wrote: {e.strerror or e}.")
            self.again(await logic.get(self.db, run))
        except Exception:
            log.exception("a run could not be advanced", run=run)
            self.again(await logic.get(self.db, run))
        finally:
            self.work.pop(run, None)

    def again(self, row: RunRow) -> None:
        """Look at the run again soon."""
        if row.handle is not None:
            self.follower(row.target).hint_later([row.handle])

    async def step(self, run: str, seen: Observation) -> None:
        """load → decide → act → apply, once."""
        row = await logic.get(self.db, run)
        if row.handle is None:
            self.follower(row.target).leave(handle_of(row))
            return
        if RunState(row.state).is_final:
            await self.forget(row, seen)
            return
        decision = lifecycle.decide(facts(row, stop_sent=run in self.stopped), seen)
        decision = explained(decision, row.spec)
        target = await self.pool.get(row.target)
        if decision.act is Act.STOP:
            spec = spec_of(row)
            await target.stop(row.handle, spec.grace_s)
            self.stopped.add(run)
        if decision.act is Act.RESTART:
            await self.restart(target, row, seen, decision)
        elif decision.act is Act.COLLECT:
            await self.collector.finish(target, row, seen, decision, self.progress(run))
            self.stopped.discard(run)
            self.nodes_wanted()
            await self.forget(row, seen)
        else:
            await self.collector.follow(target, row, seen, decision)

    async def restart(
        self, target: Target[Any], row: RunRow, seen: Observation, decision: Decision
    ) -> None:
        """The attempt is over, the run is not: it waits for nodes again."""
        handle = row.handle
        assert handle is not None
        await self.collector.restart(target, row, seen, decision)
        self.stopped.discard(row.id)
        if (await logic.get(self.db, row.id)).attempt == row.attempt:
            return
        self.follower(row.target).leave(handle)
        # A look at this attempt says nothing about the next one.
        self.work[row.id].next = None
        self.nodes_wanted()

    def taken_back(self, run: str, target: str, handle: str) -> None:
        """The cluster wants the run's nodes: the wish is in the row."""
        self.hub.tell(run)
        self.follower(target).hint([handle])

    async def forget(self, row: RunRow, seen: Observation) -> None:
        """Everything is here: let the target forget the run."""
        if row.handle is None:
            return
        target = await self.pool.get(row.target)
        if seen.state in LIVES:
            await target.stop(row.handle, 0)
            self.follower(row.target).hint_later([row.handle])
            return
        for attempt in range(1, row.attempt):
            # Gone already where the next one took its outputs over.
            await target.forget(handle_of(row, attempt))
        await target.forget(row.handle)
        self.follower(row.target).leave(row.handle)
        self.forgotten.append(row.id)
        if len(self.forgotten) == 1:
            self.spawn(self.write_forgotten())

    async def write_forgotten(self) -> None:
        """Many at once: nobody waits for it, and a crash before it only repeats the forgetting."""
        await asyncio.sleep(FORGET_S)
        runs, self.forgotten = self.forgotten, []
        await self.collector.forgotten(runs)

    async def blame(self, runs: Sequence[str], message: str) -> None:
        """The target cannot be reached: say so on its runs."""
        for run in runs:
            await self.say(run, message)


def explained(decision: Decision, spec: Mapping[str, Any]) -> Decision:
    """Which package failed, why and where it was written goes before what the build printed."""
    if decision.error is None or decision.error.code != "prepare_failed":
        return decision
    text = failures.told(decision.error.message, spec.get("environment", {}).get("origins") or {})
    error = dataclasses.replace(decision.error, message=text)
    return dataclasses.replace(decision, error=error)


def facts(row: RunRow, *, stop_sent: bool = False) -> RunFacts:
    restarts = int(row.spec.get("restarts", RunSpec.restarts))
    on_nodes = row.allocation is not None
    return RunFacts(
        state=RunState(row.state),
        launched=row.handle is not None,
        cancel_requested=row.cancel_requested_at is not None,
        waits_for_nodes=row.allocation == [],
        stop_sent=stop_sent,
        taken_back=row.taken_back_at is not None,
        may_restart=on_nodes and restarts > 0,
        restarts_left=restarts - row.losses if on_nodes else 0,
        attempt=row.attempt,
    )


def spec_of(row: RunRow) -> RunSpec:
    return from_dict(RunSpec, row.spec, f"Run {row.id}")


def variables(row: RunRow, workspace: str) -> dict[str, str]:
    """v1's variables that scripts read (facts: `Run.get_context()` of v1 looks at them)."""
    about = {
        "tags": row.tags,
        "properties": row.properties,
        "display_name": row.display_name,
        "number": row.number,
    }
    return {
        "AZUREML_RUN_ID": row.id,
        "AZUREML_ARM_PROJECT_NAME": row.experiment,
        "AZUREML_ARM_WORKSPACE_NAME": workspace,
        # Of Azure alone; scripts that read them only pass them on.
        "AZUREML_ARM_SUBSCRIPTION": "",
        "AZUREML_ARM_RESOURCEGROUP": "",
        "TURNOUT_RUN_INFO": json.dumps(about),
    }
