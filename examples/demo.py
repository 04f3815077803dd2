"""`make demo`: the diabetes training on this machine, then on one that SSH reaches.

Needs nothing: it starts an OpenSSH server of its own on loopback and a service of its own in
`.demo/`, and ends both.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from turnout import (
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


def train(workspace: Any, target: str) -> Any:
    """Submit the script to `target`; nothing else depends on where it runs."""
    rc = RunConfiguration()
    rc.target = target
    rc.environment.python.conda_dependencies = CondaDependencies.create(
        pip_packages=["scikit-learn"]
    )
    config = ScriptRunConfig(
        source_directory=str(HERE / "diabetes"), script="train.py", run_config=rc
    )
    run = Experiment(workspace=workspace, name="diabetes").submit(config)
    run.wait_for_completion(show_output=True)
    return run


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
            print("\n== An SSH machine (sshd on loopback): attach it as 'lab'\n", flush=True)
            attach(workspace, server)
            print("\n== The same script there: target 'lab'\n", flush=True)
            there = train(workspace, "lab")
            tell(here, "local")
            tell(there, "lab")
    finally:
        end_service()
    print("\nTo look further:")
    print(f"  export TURNOUT_HOME={HOME} PATH={TURNOUT.parent}:$PATH")
    print("  turnout run list")
    print(f"  turnout run show {there.id}")
    print(f"  turnout run logs {there.id}")
    print(f"  turnout run download {there.id}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
