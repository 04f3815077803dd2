"""Managed clusters as people meet them: the command line and v1's sample, on a real service."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from turnout.testing.missing import missing
from turnout.testing.waiting import PATIENCE_S

if TYPE_CHECKING:
    from tests.acceptance.conftest import Shell


@pytest.fixture(autouse=True)
def two_cores() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        missing("needs two cores to cut into nodes")


WAIT = """\
import os, sys, time
print(sys.executable, sorted(os.sched_getaffinity(0)))
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""
SAMPLE = """\
import sys
from turnout import (
    AmlCompute, ComputeTarget, ComputeTargetException, Experiment, RunConfiguration,
    ScriptRunConfig, Workspace,
)

ws = Workspace(name="w")
try:
    cpu = ComputeTarget(workspace=ws, name="sample")
except ComputeTargetException:
    config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D1_V2", max_nodes=2)
    cpu = ComputeTarget.create(ws, "sample", config)
cpu.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=1)
for target in (cpu, "amlcompute"):
    rc = RunConfiguration()
    rc.target = target
    rc.amlcompute.vm_size = "STANDARD_D1_V2"
    rc.environment.python.user_managed_dependencies = True
    source = ScriptRunConfig(source_directory=".", script="train.py", run_config=rc)
    run = Experiment(ws, "sample").submit(source)
    details = run.wait_for_completion()
    print(details["status"], details["target"], run.get_metrics())
print(cpu.get_status().serialize()["vmSize"], cpu.type, list(ws.compute_targets))
cpu.delete(force=True)
"""


def until(seen: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not seen():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.05)


def nodes(shell: Shell, name: str = "cpu") -> list[dict[str, Any]]:
    return json.loads(shell.run("target", "nodes", name, "--json")[0])["nodes"]


def states(shell: Shell) -> dict[str, str]:
    return {run["id"]: run["state"] for run in json.loads(shell.run("run", "list", "--json")[0])}


def create(shell: Shell, *more: str, name: str = "cpu") -> str:
    size = ("--size", "1c1g", "--max-nodes", "2", "--idle-seconds", "0")
    return shell.run("target", "create", "cluster", name, *size, *more)[0]


def test_two_runs_at_once_a_third_that_waits_and_nothing_after(shell: Shell) -> None:
    go = shell.cwd.parent / "go"
    shell.write("wait.py", WAIT)
    out = create(shell)
    assert "'cpu' is ready: turnout submit train.py --target cpu" in out
    assert "1c1g: 1 core, 1.0 GB of memory\n" in out
    assert nodes(shell) == []
    submit = ("submit", "--detach", "--target", "cpu", "wait.py", str(go))
    runs = [shell.run(*submit)[0].strip() for _ in range(3)]
    until(lambda: [states(shell)[run] for run in runs[:2]] == ["running"] * 2, "two at once")
    assert {node["run"] for node in nodes(shell)} == set(runs[:2])
    listed = next(x for x in shell.run("target", "list")[0].splitlines() if x.startswith("cpu"))
    assert "2 busy, 0 idle of 2  1 " in listed
    assert "nodes     2 busy, 0 idle of 2" in shell.run("target", "show", "cpu")[0]
    waiting = json.loads(shell.run("run", "show", runs[2], "--json")[0])
    assert waiting["message"].startswith("2 of 2 nodes are busy")
    go.touch()
    until(lambda: set(map(states(shell).get, runs)) == {"completed"}, "all are through")
    until(lambda: nodes(shell) == [], "nothing is left")
    # Each on a core of its own, by the Python that this shell would use.
    printed = [shell.run("run", "logs", run)[0].split(maxsplit=1) for run in runs]
    assert {python for python, _ in printed} == {sys.executable}
    assert printed[0][1] != printed[1][1]
    shell.run("target", "delete", "cpu")
    assert "no target 'cpu'" in shell.fails("target", "nodes", "cpu")


def test_update_and_delete_with_a_run_on_it(shell: Shell) -> None:
    shell.write("wait.py", WAIT)
    create(shell, name="busy")
    submit = ("submit", "--detach", "--target", "busy", "wait.py", "/nowhere")
    run = shell.run(*submit)[0].strip()
    until(lambda: states(shell)[run] == "running", "it runs")
    out, _ = shell.run("target", "update", "busy", "--max-nodes", "1", "--idle-seconds", "1m")
    assert out == "'busy': 0 to 1 node; one without a run leaves after 1 m 0 s.\n"
    assert "turnout target delete busy" in shell.fails("target", "detach", "busy")
    assert "--force" in shell.fails("target", "delete", "busy")
    assert states(shell)[run] == "running"
    # On a terminal it asks.
    ours, theirs = pty.openpty()
    with shell.start("target", "delete", "busy", stdin=theirs) as process:
        os.write(ours, b"y\n")
        assert process.wait(PATIENCE_S) == 0
    os.close(ours)
    os.close(theirs)
    assert states(shell)[run] == "canceled"
    assert "no target 'busy'" in shell.fails("target", "show", "busy")


def test_mistakes_name_what_is_wrong(shell: Shell) -> None:
    text = shell.fails("target", "create", "cluster", "big", "--size", "999c1g")
    assert "999 cores" in text
    assert f"this machine has {len(os.sched_getaffinity(0))} cores" in text
    assert "'huge' is not a size" in shell.fails(
        "target", "create", "cluster", "b", "--size", "huge"
    )
    # A name of v1 that is larger than the machine is cut to it, and that is said.
    out, _ = shell.run("target", "create", "cluster", "cut", "--size", "STANDARD_M128")
    assert "this machine has" in out
    assert "more than" in shell.fails("target", "update", "cut", "--min-nodes", "9")
    shell.run("target", "delete", "cut")


def test_a_cluster_for_one_run(shell: Shell) -> None:
    shell.write("train.py", "print('here')")
    out, err = shell.run("submit", "--vm-size", "1c1g", "train.py")
    assert out == "here\n"
    name = err.split()[3]
    assert name.startswith("run-")
    until(lambda: name not in shell.run("target", "list")[0], "it is gone")


def test_v1s_sample(shell: Shell) -> None:
    shell.write("train.py", "from turnout import Run\nRun.get_context().log('mse', 2)\n")
    shell.write("sample.py", SAMPLE)
    done = subprocess.run(
        [sys.executable, "sample.py"], cwd=shell.cwd, env=shell.env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first == "Succeeded"
    assert rest[:2] == [
        "AmlCompute wait for completion finished",
        "Minimum number of nodes requested have been provisioned",
    ]
    assert rest[2] == "Completed sample {'mse': 2}"
    assert rest[3].startswith("Completed run-")
    assert rest[4].startswith("STANDARD_D1_V2 AmlCompute ['")
