"""`python -m bench`: everything measured in one go, one table."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import environments, ours, peers, portal, report, slurm
from bench.samples import TRAINING, TRIVIAL, Sample, make_sample, make_tree
from bench.timing import Row, Times, Unavailable, command, repeat, take, timed

RESULTS = Path(__file__).parent / "results"
HUNDRED = "100 trivial runs at once"


@dataclass
class Bench:
    """What the measurements share."""

    root: Path
    runs: int
    rows: list[Row]
    trivial: Sample
    training: Sample
    tree: Sample

    def add(self, group: str, name: str, measure: Callable[[], Times], note: str = "") -> None:
        """One row, with a word in place of numbers when it cannot be had."""
        print(f"  {name}", file=sys.stderr)
        try:
            self.rows.append(Row(group, name, measure(), note=note))
        except Unavailable as error:
            self.rows.append(Row(group, name, note=f"skipped: {error}"))

    @property
    def samples(self) -> Iterator[tuple[str, Sample, tuple[str, ...]]]:
        yield "Trivial script", self.trivial, ()
        yield "scikit-learn training", self.training, (peers.SKLEARN,)


@contextmanager
def ssh_machine() -> Iterator[tuple[object, list[str]]]:
    """A real sshd on loopback, and the words that reach it through one warm connection."""
    from turnout.testing.sshd import SSHServer

    with SSHServer() as server, tempfile.TemporaryDirectory(prefix="tb") as short:
        known = Path(short) / "known"
        known.write_text(server.known_hosts_line + "\n")
        argv = ["ssh", "-F", "none", "-i", str(server.user_key), "-p", str(server.port)]
        argv += ["-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes"]
        argv += [f"{server.username}@{server.address}"]
        control = Path(short) / "c"
        shared = ours.open_master(argv, control)
        try:
            yield server, shared
        finally:
            subprocess.run(
                [*shared[:-1], "-O", "exit", shared[-1]],
                check=False,
                timeout=20,
                stderr=subprocess.DEVNULL,
            )


def plain(bench: Bench, words: list[str]) -> None:
    python = peers.venv("plain", (peers.SKLEARN,)) / "python"
    for group, sample, _ in bench.samples:
        call = command([python, sample.script], cwd=sample.folder)
        bench.add(group, "plain python", lambda c=call, s=sample: repeated(bench, c, s))
        over = command([*words, str(python), str(sample.script)])
        bench.add(group, "ssh, warm ControlMaster", lambda c=over, s=sample: repeated(bench, c, s))


def repeated(bench: Bench, call: Callable[[], None], sample: Sample) -> Times:
    return repeat(lambda: timed(call, sample.stamp), bench.runs)


def turnout(bench: Bench) -> None:
    runs = bench.runs
    for group, sample, packages in bench.samples:
        for target, name in (("local", "local"), (ours.SSH_TARGET, "SSH, warm")):
            bench.add(
                group,
                f"turnout SDK, {name}",
                lambda s=sample, t=target, p=packages: ours.sdk(s, t, runs, p),
            )
            bench.add(
                group,
                f"turnout CLI, {name}",
                lambda s=sample, t=target, p=packages: ours.cli(s, t, runs, p),
            )
    group = "Trivial script"
    bench.add(
        group,
        "turnout SDK, local, known environment",
        lambda: ours.sdk(bench.trivial, "local", runs, (peers.SKLEARN,)),
        "system-managed, built before",
    )
    cluster = ours.make_cluster()
    bench.add(
        group,
        "turnout SDK, cluster, warm node",
        lambda: ours.sdk(bench.trivial, cluster, runs),
    )
    bench.add(
        group,
        "turnout SDK, cluster, from no node",
        lambda: ours.first_node(bench.trivial, runs),
    )
    bench.add(
        group,
        "turnout SDK, SSH, unchanged 5,000 files",
        lambda: ours.sdk(bench.tree, ours.SSH_TARGET, runs),
    )
    bench.add(
        group,
        "turnout SDK, local, script's end to result",
        lambda: ours.known_after_exit(bench.trivial, runs),
        "from the script's last line",
    )


def hundred(bench: Bench, *, quick: bool) -> None:
    python = peers.venv("plain", (peers.SKLEARN,)) / "python"
    words = f"seq 100 | xargs -P2 -I@ {python} {bench.trivial.script}"
    plain_call = command(["sh", "-c", words])
    bench.add(HUNDRED, "plain, xargs -P2", lambda: once(plain_call, 3), "n=3")
    bench.add(
        HUNDRED,
        "turnout SDK",
        lambda: Times(done=[ours.hundred(bench.trivial) for _ in range(3)]),
        "n=3",
    )
    for peer in peers.PEERS:
        if peer.hundred is not None and not quick:
            bench.add(
                HUNDRED,
                peer.name,
                lambda p=peer: once(
                    p.hundred(
                        peers.install(p), bench.trivial, bench.root / f"100{p.name.split()[0]}"
                    ),
                    1,
                ),
                "n=1",
            )


def once(call: Callable[[], None], runs: int) -> Times:
    return Times(done=[take(call) for _ in range(runs)])


def others(bench: Bench) -> None:
    for group, sample, _ in bench.samples:
        for peer in peers.PEERS:

            def measure(peer: peers.Peer = peer, sample: Sample = sample) -> Times:
                home = bench.root / peer.name.split()[0]
                return repeated(bench, peer.prepare(peers.install(peer), sample, home), sample)

            bench.add(group, peer.name, measure)


def measure(bench: Bench, *, quick: bool) -> None:
    home = bench.root / "home"
    with ssh_machine() as (server, words):
        plain(bench, words)
        with ours.home(home):
            ours.attach(server, bench.root / "machine")
            turnout(bench)
            hundred(bench, quick=quick)
            bench.rows += ours.idle_memory(home)
            bench.rows += environments.new(bench.root, bench.runs, quick=quick)
            bench.rows += environments.conda(bench.root, bench.runs)
    bench.rows += environments.container(bench.root, bench.runs)
    bench.rows += slurm.rows(bench.trivial, bench.root, bench.runs)
    if not quick:
        others(bench)
    bench.rows += ours.snapshot(bench.tree.folder, bench.root / "memories", bench.runs)
    bench.rows += ours.starts(bench.runs)
    bench.rows += portal.rows(bench.root, bench.runs)
    bench.add(
        "The service's first answer after a cold start",
        "turnout",
        lambda: ours.cold_start(bench.root / "cold", bench.runs),
        "client process included",
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="repetitions (5)")
    parser.add_argument("--quick", action="store_true", help="Turnout and plain Python only")
    given = parser.parse_args()
    # Everybody's modules are compiled once, before the runs that count.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # Ended from outside, clean up as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        root = Path(folder)
        samples = (make_sample(root, "trivial", TRIVIAL), make_sample(root, "training", TRAINING))
        tree = make_sample(root, "tree", TRIVIAL)
        make_tree(tree)
        bench = Bench(root, given.runs, [], *samples, tree)
        measure(bench, quick=given.quick)
    print(report.text(bench.rows))
    if not given.quick:
        report.write(bench.rows, given.runs, RESULTS)
        print(f"\nWritten: {RESULTS.relative_to(Path.cwd())}/latest.md and latest.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
