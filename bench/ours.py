"""Turnout by SDK and by command line, on this machine and over SSH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.samples import Sample
from bench.timing import Row, Times, Unavailable, command, repeat, take, timed

TURNOUT = Path(sys.executable).parent / "turnout"
SSH_TARGET = "bench-ssh"


@contextmanager
def home(folder: Path) -> Iterator[Path]:
    """A service of our own; ended at the end."""
    old = os.environ.get("TURNOUT_HOME")
    os.environ["TURNOUT_HOME"] = str(folder)
    try:
        yield folder
    finally:
        command([TURNOUT, "service", "stop"])()
        if old is None:
            del os.environ["TURNOUT_HOME"]
        else:
            os.environ["TURNOUT_HOME"] = old


def configuration(sample: Sample, target: str, packages: tuple[str, ...] = ()) -> Any:
    from turnout import CondaDependencies, RunConfiguration, ScriptRunConfig

    rc = RunConfiguration()
    rc.target = target
    python = rc.environment.python
    if packages:
        python.conda_dependencies = CondaDependencies.create(pip_packages=list(packages))
    else:
        python.user_managed_dependencies = True
        python.interpreter_path = sys.executable
    return ScriptRunConfig(
        source_directory=str(sample.folder), script=sample.script.name, run_config=rc
    )


def experiment() -> Any:
    from turnout import Experiment, Workspace

    return Experiment(workspace=Workspace.from_config(), name="bench")


def sdk(sample: Sample, target: str, runs: int, packages: tuple[str, ...] = ()) -> Times:
    """Submit and wait, from a process that has done so before."""
    exp = experiment()

    def once() -> None:
        exp.submit(configuration(sample, target, packages)).wait_for_completion()

    return repeat(lambda: timed(once, sample.stamp), runs, warm_ups=2)


def cli(sample: Sample, target: str, runs: int, packages: tuple[str, ...] = ()) -> Times:
    """`turnout submit train.py`, a new process each time."""
    words: list[str | Path] = [TURNOUT, "submit", "train.py", "--target", target]
    for package in packages:
        words += ["--pip", package]
    call = command(words, cwd=sample.folder)
    return repeat(lambda: timed(call, sample.stamp), runs)


def known_after_exit(sample: Sample, runs: int) -> Times:
    """From the script's last line to the client that knows the result."""
    exp = experiment()
    last = sample.folder / "train.py"
    old = last.read_text()
    last.write_text(f"import time\nopen({str(sample.stamp)!r}, 'w').write(repr(time.time()))\n")
    try:

        def once() -> tuple[None, float]:
            exp.submit(configuration(sample, "local")).wait_for_completion()
            return None, (time.time() - float(sample.stamp.read_text())) * 1000

        return repeat(once, runs)
    finally:
        last.write_text(old)


def hundred(sample: Sample) -> float:
    """100 runs at once, until all results are known."""
    exp = experiment()
    config = configuration(sample, "local")

    def once() -> None:
        runs = [exp.submit(config) for _ in range(100)]
        for run in runs:
            run.wait_for_completion()

    return take(once)


def attach(server: Any, folder: Path) -> None:
    """Make the SSH server known as a target."""
    from turnout import ComputeTarget, RemoteCompute, Workspace

    config = RemoteCompute.attach_configuration(
        address=server.address,
        ssh_port=server.port,
        username=server.username,
        private_key_file=str(server.user_key),
        host_key=server.host_key,
        folder=str(folder),
    )
    target = ComputeTarget.attach(Workspace.from_config(), SSH_TARGET, config)
    target.wait_for_completion(show_output=False)
    if target.provisioning_state != "Succeeded":
        raise Unavailable(str(target.provisioning_errors))


def make_cluster() -> str:
    """A cluster of one-core nodes whose first node is there already; its name."""
    config = {"vm_size": "1c1g", "max_nodes": 2, "min_nodes": 1}
    from turnout.client.embedded import default_client

    name = "bench-cpu"
    default_client().post("/v1/targets", {"name": name, "kind": "cluster", "config": config})
    return name


def first_node(sample: Sample, runs: int) -> Times:
    """On a cluster that has no node: to the script's first line and its result."""
    from turnout.client.embedded import default_client

    name = "bench-zero"
    config = {"vm_size": "1c1g", "max_nodes": 1, "idle_seconds_before_scaledown": 0}
    client = default_client()
    client.post("/v1/targets", {"name": name, "kind": "cluster", "config": config})
    exp = experiment()

    def once() -> tuple[float | None, float]:
        while client.get(f"/v1/targets/{name}/nodes")["nodes"]:
            time.sleep(0.05)
        return timed(
            lambda: exp.submit(configuration(sample, name)).wait_for_completion(), sample.stamp
        )

    return repeat(once, runs)


def cold_start(folder: Path, runs: int) -> Times:
    """The service's first answer to a process that finds none running."""
    code = "from turnout import Workspace; Workspace.from_config().experiments"

    def once() -> tuple[None, float]:
        with home(folder):
            return None, take(command([sys.executable, "-c", code]))

    return repeat(once, runs)


def memory_mb(pids: list[int]) -> tuple[float, float]:
    """RSS and PSS of processes, in MB."""
    sums = {"Rss": 0, "Pss": 0}
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            # It ended meanwhile.
            continue
        for line in lines:
            name, _, rest = line.partition(":")
            if name in sums:
                sums[name] += int(rest.split()[0])
    return sums["Rss"] / 1024, sums["Pss"] / 1024


def descendants(pid: int) -> list[int]:
    """`pid` and all that it started."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found


def idle_memory(folder: Path) -> list[Row]:
    """The service with its agents, after a trivial run."""
    time.sleep(1)
    pid = json.loads((folder / "service.json").read_text())["pid"]
    alone, _ = memory_mb([pid])
    rss, pss = memory_mb(descendants(pid))
    rows = [
        ("service", alone, "resident"),
        ("service and agents", rss, "resident"),
        ("service and agents, shared pages counted once", pss, "proportional"),
    ]
    return [
        Row("Idle memory", name, Times(done=[mb]), "MB", f"{note}, n=1") for name, mb, note in rows
    ]


def starts(runs: int) -> list[Row]:
    """`--help` and `import`."""
    words = {
        "plain `python -c pass`": [sys.executable, "-c", "pass"],
        "`import turnout`": [sys.executable, "-c", "import turnout"],
        "`from turnout import Workspace, Experiment`": [
            sys.executable,
            "-c",
            "from turnout import Workspace, Experiment",
        ],
        "`turnout --help`": [TURNOUT, "--help"],
    }
    group = "Starting a process"
    return [
        Row(group, name, repeat(lambda argv=argv: (None, take(command(argv))), runs * 2))
        for name, argv in words.items()
    ]


def snapshot(folder: Path, home_: Path, runs: int) -> list[Row]:
    """5,000 files, 50 MB: captured first, unchanged, and with one file changed."""
    from turnout.snapshots import captures

    group = "Snapshot of 5,000 files, 50 MB (client's part)"
    turn = iter(range(10_000))

    def first() -> tuple[None, float]:
        fresh = home_ / f"memory{next(turn)}"
        fresh.mkdir(parents=True)
        return None, take(lambda: captures.capture(folder, fresh))

    kept = home_ / "memory"
    kept.mkdir(parents=True)

    def unchanged() -> tuple[None, float]:
        return None, take(lambda: captures.capture(folder, kept))

    def changed() -> tuple[None, float]:
        (folder / "part0" / "file0.py").write_text(f"x = {next(turn)}\n")
        return unchanged()

    rows = [Row(group, "turnout, first", repeat(first, runs))]
    # Files that changed a moment ago are read again: their time may not tell of another change.
    time.sleep(2.5)
    unchanged()
    rows.append(Row(group, "turnout, unchanged", repeat(unchanged, runs)))
    rows.append(Row(group, "turnout, one file changed", repeat(changed, runs)))
    return rows


def open_master(argv: list[str], control: Path) -> list[str]:
    """Open a ControlMaster connection; the words that use it."""
    shared = [*argv[:1], "-o", f"ControlPath={control}", *argv[1:]]
    subprocess.run(
        [*shared[:-1], "-o", "ControlMaster=yes", "-o", "ControlPersist=600", "-fN", shared[-1]],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return shared
