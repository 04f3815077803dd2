"""What an agent knows of its runs in Slurm: one `squeue` for all of them, at most one a second.

Everything here is found again from the run folders, so an agent may be killed at any line.
"""

from __future__ import annotations

import os
import time

from turnout.payload import contents, recipes, rundir
from turnout.payload.slurm import accounting, commands, places, words
from turnout.payload.slurm.batches import LARGEST, Handover
from turnout.payload.slurm.children import Child, Children
from turnout.payload.slurm.places import BEGUN, POINTER, batch_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Seconds between two looks at Slurm's queue; more where a look takes long.
LOOK_S = 1.0
#: Seconds after a handing over in which others are gathered: many at once are few arrays.
GATHER_S = 0.1
#: Seconds until Slurm is asked again where a limit holds: as an array, and its halves.
FULL_S = 2.0
#: Seconds between two looks at everybody's queue, for the place of those that wait.
PLACES_S = 10.0
#: Seconds between two looks at the run folders of runs that work on other machines.
FILES_S = 0.5
#: Seconds after which a run that Slurm took and does not know any more is handed over again, or
#: given up when it had begun. Longer than a node needs to write its first file.
UNKNOWN_S = 10.0
#: Seconds between two requests to end the same run.
CANCEL_S = 5.0
#: How runs are ended that have not begun, and those that have.
SCANCEL, SIGNAL = ("scancel",), ("scancel", "--batch", "--signal=TERM")
#: Seconds beyond a run's own grace after which Slurm ends it.
LATE_S = 30.0


class Queue:
    """The runs of one host root that Slurm has or is to get."""

    def __init__(
        self,
        root: str,
        handover: Handover,
        children: Children,
        changed: Callable[[list[str]], None],
    ) -> None:
        self.root = root
        self.handover = handover
        self.children = children
        self.changed = changed
        #: Handles to be handed over, in order, and those that are being handed over.
        self.to_give: dict[str, None] = {}
        self.giving: dict[str, None] = {}
        self.given_at = 0.0
        #: Handles that are not over, with what was last seen of their files.
        self.followed: dict[str, tuple[object, ...]] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.rows: dict[tuple[str, int], commands.Row] = {}
        self.answered_at = 0.0
        self.problem = ""
        self.looked_at = self.files_at = self.places_at = 0.0
        self.look_s = LOOK_S
        self.looking = False
        #: Slurm's number → (place, how many wait in its partition).
        self.positions: dict[str, tuple[int, int]] = {}
        self.powering: dict[str, float] = {}
        self.canceled: dict[str, float] = {}
        #: Slurm's numbers to be ended, and whether a command is ending some.
        self.ending: dict[tuple[str, ...], list[str]] = {SCANCEL: [], SIGNAL: []}
        self.is_ending = False
        #: Handle → (batch, index), once Slurm is to have it; of those in `settled` it is the one
        #: that began, of which there is only one.
        self.pointers: dict[str, tuple[str, int]] = {}
        self.settled: set[str] = set()
        #: Since when runs are seen that are over for Slurm or by their own word, but not both.
        self.doubted: dict[str, float] = {}
        self.user = str(os.getuid())

    # -- time --------------------------------------------------------------------------------

    def due(self) -> float | None:
        """Seconds until there is something to do; None when nothing is followed."""
        if not self.followed and not self.to_give:
            return None
        now = time.monotonic()
        waits = [self.files_at + FILES_S - now]
        if any(self.ending.values()) and not self.is_ending:
            waits.append(0.0)
        if self.to_give and not self.giving:
            waits.append(self.given_at - now)
        if not self.looking:
            waits.append(self.looked_at + self.look_s - now)
        return max(0.0, min(waits))

    def tick(self) -> None:
        """What is due now."""
        now = time.monotonic()
        self.give()
        self.end_some()
        if not self.followed:
            return
        if not self.looking and now >= self.looked_at + self.look_s:
            self.look(now)
        if now >= self.files_at + FILES_S:
            self.files_at = now
            self.look_at_files()

    # -- handing over --------------------------------------------------------------------------

    def take(self, handle: str) -> None:
        """Hand the run over, as soon as its environment is ready on this machine."""
        self.followed.setdefault(handle, ())
        if handle not in self.giving:
            self.to_give[handle] = None

    def give(self) -> None:
        """One process at a time hands over all that came meanwhile: many at once are one array."""
        if not self.to_give or self.giving or time.monotonic() < self.given_at:
            return
        handles = list(self.to_give)
        self.giving, self.to_give = dict.fromkeys(handles), {}
        self.children.fork(lambda: self.hand_over(handles), self.given)

    def hand_over(self, handles: list[str]) -> str:
        """In a child. Agents hear of it also where this one is gone by then."""
        problem = self.handover.carry_out(handles)
        for handle in handles:
            rundir.tell(self.root, handle)
        return problem

    def given(self, child: Child) -> None:
        handles, self.giving = list(self.giving), {}
        self.problem = child.text
        # Slurm does not answer, or we were killed: again, but not at once.
        wait_s = LOOK_S if child.text or child.code else GATHER_S
        if words.is_full(child.text):
            wait_s = FULL_S
        self.given_at = time.monotonic() + wait_s
        for handle in handles:
            # A batch that Slurm took in parts only is another one now.
            self.pointers.pop(handle, None)
            ended = os.path.join(rundir.run_folder(self.root, handle), rundir.EXIT)
            if not self.pointer(handle)[0] and not os.path.exists(ended):
                self.to_give[handle] = None
        self.changed(handles)

    # -- asking Slurm --------------------------------------------------------------------------

    def look(self, now: float) -> None:
        self.looking, self.looked_at = True, now
        self.look_s = LOOK_S
        asked_at = time.time()
        self.children.start(
            commands.queue_command(self.user), lambda child: self.looked(child, asked_at)
        )
        waits = any(row.state == "PENDING" for row in self.rows.values())
        if waits and now >= self.places_at + PLACES_S:
            self.places_at = now
            argv = ["squeue", "-h", "-r", "-t", "PENDING", "-S", "-p,i", "-o", "%P|%i"]
            self.children.start(argv, self.placed)

    def looked(self, child: Child, asked_at: float) -> None:
        self.looking = False
        if self.look_s:
            self.look_s = max(LOOK_S, 5 * (time.monotonic() - self.looked_at))
        if child.code:
            done = commands.Done(child.code, child.text, "")
            self.problem = "Slurm does not answer: %s." % commands.said(done)
            self.changed([h for h in self.followed if not self.row_of(h)])
            return
        if self.problem.startswith("Slurm does not answer"):
            self.problem = ""
        found = {(row.batch, row.task): row for row in commands.queue_rows(child.text)}
        before, self.rows, self.answered_at = self.rows, found, asked_at
        self.powering = {
            row.number: self.powering.get(row.number, asked_at)
            for row in found.values()
            if row.state == "CONFIGURING"
        }
        news: list[str] = []
        for handle in list(self.followed):
            key = self.pointer(handle)
            row = found.get(key)
            is_same = row is not None and row == before.get(key)
            if row is None or not is_same or row.state in words.OVER | {"CONFIGURING"}:
                news.append(handle)
            self.end_if_asked(handle, row)
        self.changed(news)

    def placed(self, child: Child) -> None:
        if child.code:
            return
        by_partition: dict[str, list[str]] = {}
        for line in child.text.splitlines():
            partition, _, number = line.partition("|")
            by_partition.setdefault(partition, []).append(number)
        self.positions = {
            number: (place, len(numbers))
            for numbers in by_partition.values()
            for place, number in enumerate(numbers, 1)
        }

    # -- files ---------------------------------------------------------------------------------

    def look_at_files(self) -> None:
        """Runs on other machines cannot tell this agent that they wrote something."""
        news: list[str] = []
        for handle, before in list(self.followed.items()):
            row = self.row_of(handle)
            if row is None or row.state in ("PENDING", "CONFIGURING"):
                continue
            folder = rundir.run_folder(self.root, handle)
            places.look_afresh(folder)
            seen = places.signature(folder)
            if seen != before:
                self.followed[handle] = seen
                news.append(handle)
        if news:
            self.changed(news)

    def pointer(self, handle: str) -> tuple[str, int]:
        """(batch, index) of a run; ("", 0) while it is in none."""
        known = self.pointers.get(handle)
        if known is None:
            folder = rundir.run_folder(self.root, handle)
            found = rundir.read_mapping(os.path.join(folder, POINTER))
            known = str(found.get("batch") or ""), int(found.get("index") or 0)
            if known[0]:
                self.pointers[handle] = known
        return known

    def settle(self, handle: str, folder: str) -> None:
        """Look where the run began: one that was handed over twice, since Slurm's answer did not
        come, may have begun with the first."""
        if handle not in self.settled:
            self.settled.add(handle)
            found = rundir.read_mapping(os.path.join(folder, BEGUN))
            if found.get("batch"):
                self.pointers[handle] = str(found["batch"]), int(found.get("index") or 0)

    def row_of(self, handle: str) -> commands.Row | None:
        return self.rows.get(self.pointer(handle))

    def batch(self, name: str) -> dict[str, Any]:
        """The batch's record; kept once it has Slurm's number."""
        found = self.batches.get(name)
        if found is None:
            try:
                found = rundir.read_mapping(batch_path(self.root, name))
            except ValueError:
                found = {}
            if found.get("number"):
                self.batches[name] = found
        return found

    # -- looking at one run --------------------------------------------------------------------

    def observe(self, handle: str) -> dict[str, Any]:
        """As `contents.observe`, with what Slurm says."""
        folder = rundir.run_folder(self.root, handle)
        places.look_afresh(folder)
        status = rundir.read_mapping(os.path.join(folder, rundir.STATUS))
        end = rundir.read_json(os.path.join(folder, rundir.EXIT))
        if not os.path.exists(os.path.join(folder, rundir.TICKET)):
            return {"state": "absent"}
        state, message = "ended", ""
        began = os.path.exists(os.path.join(folder, BEGUN))
        if began:
            self.settle(handle, folder)
        if end is None:
            self.followed.setdefault(handle, ())
            state, message, end = self.judge(handle, folder, status, began)
        elif words.may_be_taken(end) and began and not places.stop_asked(folder):
            state, end = self.taken(handle, end)
        if end is not None:
            self.followed.pop(handle, None)
            self.to_give.pop(handle, None)
            state = "ended"
        return contents.told(folder, state, {**status, "message": message}, end)

    def judge(
        self, handle: str, folder: str, status: dict[str, Any], began: bool
    ) -> tuple[str, str, dict[str, Any] | None]:
        """(state, message, end) of a run whose supervisor has written no end."""
        batch, index = self.pointer(handle)
        if not batch:
            return self.before_slurm(handle, folder, status)
        row = self.rows.get((batch, index))
        record = self.batch(batch)
        if not record.get("number"):
            # It may be in another one by now, handed over by another agent.
            self.pointers.pop(handle, None)
        if not record.get("number") and row is None and not began:
            self.take(handle)
            return "queued", self.problem or "Handing over to Slurm", None
        if row is None:
            return self.unknown(handle, folder, status, record, began)
        if row.state in words.OVER:
            return self.over(handle, folder, row, began)
        if began:
            return status.get("state") or "preparing", status.get("message") or "", None
        if row.state == "PENDING":
            if row.reason in words.STUCK:
                self.cancel(handle, row.number)
                return "ended", "", {"reason": "node", "message": "Slurm could not start it."}
            return "queued", words.waiting(row.reason, self.positions.get(row.number)), None
        if row.state == "CONFIGURING":
            for_s = time.time() - self.powering.get(row.number, time.time())
            nodes = "Node %s is" if "[" not in row.nodes else "Nodes %s are"
            return "provisioning", (nodes + " being powered on, %d s") % (row.nodes, for_s), None
        return "preparing", "Starting on %s" % row.nodes, None

    def before_slurm(
        self, handle: str, folder: str, status: dict[str, Any]
    ) -> tuple[str, str, dict[str, Any] | None]:
        """The environment is made here first: nodes are not kept waiting for it."""
        ticket = rundir.read_mapping(os.path.join(folder, rundir.TICKET))
        ready = recipes.is_ready(self.root, recipes.part(ticket, "recipe"))
        if not ready and contents.is_alive(folder):
            return "queued", status.get("message") or "", None
        self.take(handle)
        return "queued", self.problem or "Handing over to Slurm", None

    def unknown(
        self,
        handle: str,
        folder: str,
        status: dict[str, Any],
        record: dict[str, Any],
        began: bool,
    ) -> tuple[str, str, dict[str, Any] | None]:
        """Slurm has not said anything of the run: not asked yet, forgotten, or lost."""
        state = (status.get("state") or "preparing") if began else "queued"
        settled = float(record.get("at") or 0.0) + UNKNOWN_S
        silent = "" if words.is_full(self.problem) else self.problem
        if self.answered_at < settled or silent:
            return state, silent or status.get("message") or "", None
        beat = places.heartbeat_age(folder)
        if began and beat is not None and beat < LATE_S:
            return state, status.get("message") or "", None
        known = self.remembered(handle, record)
        if known is not None:
            places.end(folder, **words.ended_without_exit(*known, began))
            return "ended", "", rundir.read_json(os.path.join(folder, rundir.EXIT))
        if not began:
            # Slurm took it and knows nothing of it: a controller that died without writing it
            # down. A second start of the same attempt is stopped by `BEGUN`.
            rundir.remove_quietly(os.path.join(folder, POINTER))
            self.pointers.pop(handle, None)
            self.take(handle)
            return state, "Slurm lost the run; handing it over again", None
        text = "Slurm does not know the run any more, and it gives no sign of life."
        return "ended", "", {"reason": "node", "message": text}

    def remembered(self, handle: str, record: dict[str, Any]) -> accounting.Ended | None:
        """How the run ended, where Slurm's accounting knows what its controller forgot."""
        number, many = str(record.get("number") or ""), len(record.get("handles") or []) > 1
        if not number:
            return None
        number = "%s_%d" % (number, self.pointer(handle)[1]) if many else number
        return accounting.ended(number, self.root, float(record.get("at") or 0.0))

    def over(
        self, handle: str, folder: str, row: commands.Row, began: bool
    ) -> tuple[str, str, dict[str, Any] | None]:
        """Slurm says that it is over. Its end may not have come through a shared file system."""
        end = rundir.read_json(os.path.join(folder, rundir.EXIT))
        if end is None and row.state == "COMPLETED" and self.in_doubt(handle):
            # Its supervisor left in order, so it wrote how the run ended.
            return "running" if began else "preparing", "", None
        if end is None:
            code = commands.exit_code(row.number) if row.state == "FAILED" else 0
            found = words.ended_without_exit(row.state, code, row.nodes, began)
            places.end(folder, **found)
            end = rundir.read_json(os.path.join(folder, rundir.EXIT))
        return "ended", "", end

    def taken(self, handle: str, end: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
        """Somebody else asked the run to end: Slurm knows who, a moment later."""
        row = self.row_of(handle)
        seen_at = self.doubted.setdefault(handle, time.time())
        if row is None and self.answered_at > seen_at:
            return "ended", end
        reason = words.taken(row.state) if row is not None else ""
        if row is None or not reason:
            self.followed.setdefault(handle, ())
            return "running", None
        if end.get("reason") != "stopped" and row.state not in words.TAKEN:
            # It was the script's own end.
            return "ended", end
        found = words.ended_without_exit(row.state, 0, row.nodes, True)
        return "ended", {**end, "reason": reason, "message": found["message"]}

    def in_doubt(self, handle: str) -> bool:
        since = self.doubted.setdefault(handle, time.time())
        return time.time() < since + UNKNOWN_S

    def by_node(self) -> dict[str, list[str]]:
        """Runs of ours by the node that they are on, by their ids."""
        found: dict[str, list[str]] = {}
        for handle in self.followed:
            row = self.row_of(handle)
            if row is not None and row.state not in words.OVER:
                for node in commands.hosts(row.nodes):
                    found.setdefault(node, []).append(handle.rpartition(".")[0])
        return found

    # -- ending --------------------------------------------------------------------------------

    def stop(self, handle: str) -> None:
        """The wish is in the run folder: carry it out as far as it can be now."""
        self.to_give.pop(handle, None)
        self.end_if_asked(handle, self.row_of(handle))
        self.take_unless_known(handle)

    def take_unless_known(self, handle: str) -> None:
        """What was never handed over is ended by the handing over."""
        folder = rundir.run_folder(self.root, handle)
        if not self.pointer(handle)[0] and not contents.is_alive(folder):
            self.take(handle)

    def end_if_asked(self, handle: str, row: commands.Row | None) -> None:
        folder = rundir.run_folder(self.root, handle)
        asked = os.path.join(folder, rundir.STOP)
        if row is None or row.state in words.OVER or not os.path.exists(asked):
            return
        if time.monotonic() < self.canceled.get(handle, 0.0):
            return
        began = os.path.exists(os.path.join(folder, BEGUN))
        if not began and row.state != "PENDING" and row.state != "CONFIGURING":
            # It is about to begin, and will find the wish.
            began = True
        late = False
        if began:
            grace = rundir.read_mapping(asked).get("grace_s") or 0.0
            late = time.time() - os.stat(asked).st_mtime > float(grace) + LATE_S
        if began and not late:
            self.canceled[handle] = time.monotonic() + CANCEL_S
            self.ending[SIGNAL].append(row.number)
        else:
            self.cancel(handle, row.number)

    def cancel(self, handle: str, number: str) -> None:
        self.canceled[handle] = time.monotonic() + CANCEL_S
        self.ending[SCANCEL].append(number)

    def end_some(self) -> None:
        """One command at a time ends all that came meanwhile."""
        for argv, numbers in self.ending.items():
            if numbers and not self.is_ending:
                self.is_ending = True
                some, self.ending[argv] = numbers[:LARGEST], numbers[LARGEST:]
                self.children.start([*argv, *some], self.ended_some)

    def ended_some(self, child: Child) -> None:
        """Look at Slurm's queue now."""
        self.is_ending = False
        self.look_s = 0.0

    def forget(self, handle: str) -> None:
        for known in (
            self.followed,
            self.to_give,
            self.canceled,
            self.pointers,
            self.doubted,
        ):
            known.pop(handle, None)
        self.settled.discard(handle)
