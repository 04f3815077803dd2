"""`make demo`: the diabetes training on this machine, on a cluster, and on one that SSH reaches.

One word changes from one to the next. Needs nothing: it starts an OpenSSH server of its own on
loopback and a service of its own in `.demo/`, and ends both.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from turnout import (
    AmlCompute,
    ComputeTarget,
    CondaDependencies,
    Experiment,
    RemoteCompute,
    RunConfiguration,
    ScriptRunConfig,
    Workspace,
)
from turnout.testing.sshd import SSHServer

HERE = Path(__file__).resolve().parent
HOME = HERE.parent / ".demo"
TURNOUT = Path(sys.executable).parent / "turnout"
FINAL = ("Completed", "Failed", "Canceled")


def submit(workspace: Any, target: str) -> Any:
    """Submit the script to `target`; nothing else depends on where it runs."""
    rc = RunConfiguration()
    rc.target = target
    rc.environment.python.conda_dependencies = CondaDependencies.create(
        pip_packages=["scikit-learn"]
    )
    config = ScriptRunConfig(
        source_directory=str(HERE / "diabetes"), script="train.py", run_config=rc
    )
    return Experiment(workspace=workspace, name="diabetes").submit(config)


def train(workspace: Any, target: str) -> Any:
    """Submit, and show what it prints until it ends."""
    run = submit(workspace, target)
    run.wait_for_completion(show_output=True)
    return run


def cluster(workspace: Any) -> Any:
    """Two runs at once on a cluster that is made now: it has no nodes, gets two, and loses them
    when they are idle."""
    cores = len(os.sched_getaffinity(0))
    config = AmlCompute.provisioning_configuration(
        vm_size="1c1g", max_nodes=min(2, cores), idle_seconds_before_scaledown=1
    )
    cpu = ComputeTarget.create(workspace, "cpu", config)
    print(f"  nodes: {len(cpu.list_nodes())}", flush=True)
    runs = [submit(workspace, "cpu") for _ in range(2)]
    seen = 0
    while any(run.get_status() not in FINAL for run in runs):
        count = len(cpu.list_nodes())
        if count != seen:
            print(f"  nodes: {count}, for {', '.join(run.id for run in runs)}", flush=True)
            seen = count
        time.sleep(0.1)
    while cpu.list_nodes():
        time.sleep(0.1)
    print("  nodes: 0", flush=True)
    return runs[-1]


def attach(workspace: Any, server: Any) -> None:
    """Make the SSH machine known under the name `lab`."""
    config = RemoteCompute.attach_configuration(
        address=server.address,
        ssh_port=server.port,
        username=server.username,
        private_key_file=str(server.user_key),
        host_key=server.host_key,
        # Only because that machine is this one: what belongs to the demo stays in its folder.
        folder=str(HOME / "lab"),
    )
    target = ComputeTarget.attach(workspace, "lab", config)
    target.wait_for_completion(show_output=True)


def tell(run: Any, target: str) -> None:
    """The best alpha and what came back."""
    metrics = run.get_metrics()
    mse, alpha = min(zip(metrics["mse"], metrics["alpha"], strict=True))
    models = [name for name in run.get_file_names() if name.startswith("outputs/")]
    print(f"\n{target}: best alpha {alpha:.2f}, mse {mse:.2f}")
    print(f"  metrics: {', '.join(f'{k} ({len(v)} values)' for k, v in metrics.items())}")
    print(f"  outputs: {len(models)} files, {models[0]} to {models[-1]}")


def end_service() -> None:
    """End the demo's service, if it runs; runs and results stay in `.demo/`."""
    subprocess.run([TURNOUT, "service", "stop"], check=False, stdout=subprocess.DEVNULL)


def main() -> int:
    os.environ["TURNOUT_HOME"] = str(HOME)
    # Ended from outside, clean up as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.pop("TURNOUT_URL", None)
    end_service()
    shutil.rmtree(HOME, ignore_errors=True)

    try:
        workspace = Workspace.from_config()
        with SSHServer() as server:
            print("== The training on this machine: target 'local'\n", flush=True)
            here = train(workspace, "local")
            print("\n== A cluster, made for this: target 'cpu', two runs at once\n", flush=True)
            shared = cluster(workspace)
            print("\n== An SSH machine (sshd on loopback): attach it as 'lab'\n", flush=True)
            attach(workspace, server)
            print("\n== The same script there: target 'lab'\n", flush=True)
            there = train(workspace, "lab")
            tell(here, "local")
            tell(shared, "cpu")
            tell(there, "lab")
    finally:
        end_service()
    print("\nTo look further:")
    print(f"  export TURNOUT_HOME={HOME} PATH={TURNOUT.parent}:$PATH")
    print("  turnout run list")
    print(f"  turnout run show {there.id}")
    print(f"  turnout run logs {there.id}")
    print(f"  turnout run download {there.id}")
    print("  turnout portal               # all of it in the browser")
    return 0


if __name__ == "__main__":
    sys.exit(main())
