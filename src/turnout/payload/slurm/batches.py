"""Batches: what was handed over to Slurm together, as files that outlive every process.

`slurm/<batch>.json` below the host root: `{"handles": [str], "at": float, "number": str | null}`.
It is written before sbatch is asked and again with Slurm's number; each run folder's `slurm.json`,
`{"batch": str, "index": int}`, leads to it. A batch without a number is looked for in Slurm's
queue by its name, which is its comment there, before anybody hands it over again.
"""

from __future__ import annotations

import fcntl
import os
import time

from turnout.payload import rundir
from turnout.payload.slurm import commands, words
from turnout.payload.slurm.places import FOLDER, POINTER, batch_path, end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Runs in one array: below MaxArraySize of every site (its default is 1001).
LARGEST = 500
SCRIPT = """#!/bin/sh
# A run of Turnout.
[ -d {payload} ] || exit 97
if [ -x {python} ]; then
    exec {python} -I -S -c {code} {words}
fi
for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8; do
    if "$p" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
        exec "$p" -I -S -c {code} {words}
    fi
done
exit 96
"""
CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from turnout.payload.slurm.node import main; sys.exit(main(sys.argv[2:]))"
)
#: What Slurm says when it may take the same later.
LATER = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Slurm temporarily unable",
    "Resource temporarily unavailable",
    "Zero Bytes were transmitted",
    "Transport endpoint",
    "Connection refused",
    "did not answer",
    "Communication connection failure",
    "Unexpected message received",
)


class Handover:
    """Hands runs over to Slurm; one process of a host root at a time."""

    def __init__(self, root: str, payload: str, store: str, python: str) -> None:
        self.root = root
        self.payload = payload
        self.store = store
        self.python = python
        self.folder = rundir.make_folder(os.path.join(root, FOLDER))
        #: What was looked for in this handing over: once for each batch, not for each run.
        self.numbers: dict[str, str | None] = {}

    def carry_out(self, handles: list[str]) -> str:
        """Hand all of them over; returns why some wait on ("" when none do)."""
        lock = os.open(os.path.join(self.folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.numbers = {}
            problem = ""
            for name, arguments, group in self.groups(handles):
                problem = self.give(name, arguments, group) or problem
            return problem
        finally:
            os.close(lock)

    def groups(self, handles: list[str]) -> list[tuple[str, list[str], list[str]]]:
        """(name, arguments, handles) of what can go together; what is done already is left out."""
        found: dict[tuple[str, ...], list[str]] = {}
        for handle in handles:
            folder = rundir.run_folder(self.root, handle)
            if os.path.exists(os.path.join(folder, rundir.EXIT)):
                continue
            if os.path.exists(os.path.join(folder, rundir.STOP)):
                end(folder, "stopped", "Stopped before Slurm had it.")
                continue
            if self.is_known(folder):
                continue
            asked: dict[str, Any] = rundir.read_mapping(os.path.join(folder, rundir.TICKET))
            slurm: dict[str, Any] = asked.get("slurm") or {}
            key = (str(slurm.get("name") or "turnout"), *(slurm.get("arguments") or []))
            found.setdefault(key, []).append(handle)
        return [
            (key[0], list(key[1:]), group[at : at + LARGEST])
            for key, group in found.items()
            for at in range(0, len(group), LARGEST)
        ]

    def is_known(self, folder: str) -> bool:
        """Whether Slurm has the run, or had it, from an earlier handing over."""
        pointer = rundir.read_mapping(os.path.join(folder, POINTER))
        batch = str(pointer.get("batch") or "")
        if not batch:
            return False
        found = rundir.read_mapping(batch_path(self.root, batch))
        if found.get("number"):
            return True
        # Somebody was killed between asking and writing down the answer.
        if batch not in self.numbers:
            self.numbers[batch] = self.look_for(batch)
        number = self.numbers[batch]
        if number is None:
            return True
        if number:
            rundir.write_json(batch_path(self.root, batch), {**found, "number": number})
        return bool(number)

    def look_for(self, batch: str) -> str | None:
        """Slurm's number of a batch, "" when Slurm has none, None when it does not say."""
        done = commands.call(commands.queue_command(str(os.getuid())))
        if done.code:
            return None
        for row in commands.queue_rows(done.out):
            if row.batch == batch:
                return row.number.partition("_")[0]
        return ""

    def give(self, name: str, arguments: list[str], handles: list[str]) -> str:
        """One sbatch; returns why Slurm takes it later, "" when it is settled."""
        batch = "%x-%d" % (time.time_ns(), os.getpid())
        record: dict[str, Any] = {"handles": handles, "at": time.time(), "number": None}
        rundir.write_json(batch_path(self.root, batch), record)
        for index, handle in enumerate(handles):
            pointer = os.path.join(rundir.run_folder(self.root, handle), POINTER)
            rundir.write_json(pointer, {"batch": batch, "index": index})
        done = commands.call(
            self.command(name, arguments, batch, len(handles)), self.script(batch), env={}
        )
        number = done.out.strip().partition(";")[0]
        if not done.code and number.isdigit():
            record["number"] = number
            rundir.write_json(batch_path(self.root, batch), record)
            return ""
        why = commands.said(done)
        if any(word in done.err for word in LATER):
            # A time-out leaves open whether Slurm has it: the pointer stays, to look for it.
            return why
        self.forget(batch, handles)
        if words.is_about_numbers(done.err):
            if len(handles) == 1:
                return words.full(why)
            half = len(handles) // 2
            problem = self.give(name, arguments, handles[:half])
            return problem or self.give(name, arguments, handles[half:])
        for handle in handles:
            end(rundir.run_folder(self.root, handle), "supervisor", "Slurm refused it: %s." % why)
        return ""

    def forget(self, batch: str, handles: list[str]) -> None:
        """Slurm said that it has not taken the batch."""
        for handle in handles:
            rundir.remove_quietly(os.path.join(rundir.run_folder(self.root, handle), POINTER))
        rundir.remove_quietly(batch_path(self.root, batch))

    def command(self, name: str, arguments: list[str], batch: str, count: int) -> list[str]:
        array = ["--array=0-%d" % (count - 1)] if count > 1 else []
        return [
            "sbatch",
            "--parsable",
            # Another start is another attempt, in a folder of its own: ours to decide.
            "--no-requeue",
            "--job-name=%s" % name,
            "--comment=%s%s" % (commands.MARK, batch),
            "--output=/dev/null",
            "--chdir=%s" % self.root,
            *array,
            *arguments,
        ]

    def script(self, batch: str) -> str:
        given = [self.payload, self.root, self.store, batch]
        return SCRIPT.format(
            payload=quoted(self.payload),
            python=quoted(self.python),
            code=quoted(CODE),
            words=" ".join(map(quoted, given)),
        )


def quoted(text: str) -> str:
    """For a POSIX shell."""
    return "'" + text.replace("'", "'\"'\"'") + "'"
