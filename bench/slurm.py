"""A cluster on a real Slurm, against `sbatch` on the same one; by turns, under the same load."""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench import ours
from bench.samples import Sample
from bench.timing import Row, Times, Unavailable, command, take, timed
from turnout.testing import dockerd
from turnout.testing.slurm import Slurm
from turnout.testing.waiting import wait_until

FIRST = "Slurm: a trivial script, from submission to its first line"
KNOWN = "Slurm: a trivial script, until its result is known"
THOUSAND = "Slurm: 1,000 scripts, until all of them wait in its queue"
CLUSTER, WIDE = "bench-slurm", "bench-wide"
MANY = 1000
#: Slurm's controller starts runs about once a second: one value says little.
TIMES = 8


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set for us and for what we start."""
    old = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in old.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def make_cluster() -> str:
    """One-core nodes on the Slurm whose commands this machine has; its name."""
    from turnout.client.embedded import default_client

    client = default_client()
    found = client.post("/v1/engines", {"name": "bench-engine", "config": {}})
    if found["provisioning_state"] != "Succeeded":
        raise Unavailable(str(found["provisioning_errors"]))
    for name, most in ((CLUSTER, 4), (WIDE, MANY)):
        config = {"vm_size": "1c1g", "max_nodes": most, "engine": "bench-engine"}
        client.post("/v1/targets", {"name": name, "kind": "cluster", "config": config})
    return CLUSTER


def by_turns(sample: Sample, root: Path, count: int) -> tuple[Times, Times]:
    """`sbatch --wait` and ours, `count` times each after two that do not count."""
    batch = root / "train.sh"
    batch.write_text(f"#!/bin/sh\nexec {sys.executable} {sample.script}\n")
    words = ["sbatch", "--wait", "--parsable", "-o", "/dev/null", "-n1", "--mem=1024", batch]
    bare = command(words, cwd=root)
    target, exp = make_cluster(), ours.experiment()

    def submit() -> None:
        exp.submit(ours.configuration(sample, target)).wait_for_completion()

    ways = [(Times(), bare), (Times(), submit)]
    found = (ways[0][0], ways[1][0])
    for turn in range(count + 2):
        # Neither always finds what the other left, and each any moment of the controller's second.
        random.shuffle(ways)
        for times, call in ways:
            time.sleep(random.uniform(0.5, 1.5))
            first, done = timed(call, sample.stamp)
            if turn >= 2 and first is not None:
                times.first.append(first)
                times.done.append(done)
    return found


def thousand(slurm: Slurm, sample: Sample, root: Path) -> tuple[Times, Times]:
    """Once each, with no node that takes anything: `sbatch` a thousand times, and ours."""
    slurm.run("scontrol", "update", "nodename=ALL", "state=drain", "reason=bench")
    exp, config = ours.experiment(), ours.configuration(sample, WIDE)
    argv = ["sbatch", "--parsable", "-o", "/dev/null", "-n1", "--mem=1024", root / "train.sh"]
    one = command(argv, cwd=root)

    def bare() -> None:
        for _ in range(MANY):
            one()
        wait_until(lambda: len(slurm.numbers()) == MANY, "Slurm to have them")

    def submit() -> None:
        for _ in range(MANY):
            exp.submit(config)
        wait_until(lambda: len(slurm.numbers()) == MANY, "Slurm to have them")

    found: list[Times] = []
    for call in (bare, submit):
        found.append(Times(done=[take(call)]))
        slurm.run("scancel", "-u", "root")
        wait_until(lambda: not slurm.numbers(), "Slurm's queue to be empty")
    return found[0], found[1]


def rows(sample: Sample, root: Path, runs: int) -> list[Row]:
    """Needs root and Slurm's daemons: skipped, with the reason, where they are missing."""
    place = root / "slurm"
    place.mkdir()
    try:
        with Slurm() as slurm:
            commands = {name: slurm.environ[name] for name in ("SLURM_CONF", "PATH")}
            with variables(commands), ours.home(place / "home"):
                bare, mine = by_turns(sample, place, runs * TIMES)
                many = thousand(slurm, sample, place)
    except (dockerd.Unavailable, Unavailable) as error:
        return [Row(FIRST, "turnout SDK, Slurm", note=f"skipped: {error}")]
    return [
        row(FIRST, "plain sbatch", bare.first),
        row(FIRST, "turnout SDK, Slurm", mine.first),
        row(KNOWN, "plain sbatch --wait", bare.done),
        row(KNOWN, "turnout SDK, Slurm", mine.done),
        Row(THOUSAND, "plain sbatch, a thousand times", many[0], note="once"),
        Row(THOUSAND, "turnout SDK, a thousand submissions", many[1], note="once"),
    ]


def row(group: str, name: str, values: list[float]) -> Row:
    """With the mean as well: what the moment of submission adds is anything up to a second."""
    note = f"n={len(values)}, at random moments of a second; mean {statistics.mean(values):.0f}"
    return Row(group, name, Times(done=values), note=note)
