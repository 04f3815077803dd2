"""v1's programs as they are: `azureml.core` where a run is submitted, and in the script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

from turnout.testing.sshd import SSHServer

SCRIPT = """
from azureml.core import Run, Workspace
import azureml.core

run = Run.get_context()
run.log("mse", 0.5)
run.tag("seen by", run.experiment.workspace.name)
try:
    print("runs:", [r.id for r in run.experiment.get_runs()])
except AttributeError as e:
    print("out of reach:", e)
"""

PROGRAM = """
import sys
from azureml.core import ComputeTarget, Experiment, RunConfiguration, ScriptRunConfig, Workspace
from azureml.core.authentication import InteractiveLoginAuthentication
from azureml.core.compute import AmlCompute, RemoteCompute
from azureml.core.compute_target import ComputeTargetException
from azureml.core.conda_dependencies import CondaDependencies

ws = Workspace.from_config(auth=InteractiveLoginAuthentication())
name = sys.argv[1]
try:
    ComputeTarget(workspace=ws, name=name)
except ComputeTargetException:
    if name == "cpu":
        config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=1)
        ComputeTarget.create(ws, name, config).wait_for_completion(show_output=True)
rc = RunConfiguration()
rc.target = name
rc.environment.python.conda_dependencies = CondaDependencies.create(
    pip_packages=["azureml-defaults"]
)
exp = Experiment(workspace=ws, name="v1")
run = exp.submit(ScriptRunConfig(source_directory=".", script="train.py", run_config=rc))
run.wait_for_completion(show_output=True)
assert run.get_metrics() == {"mse": 0.5}
assert run.get_tags() == {"seen by": "default"}
print("RUN", run.id)
"""


def submit(shell: Any, folder: Path, target: str) -> tuple[str, str]:
    """(what the program printed, the run's id)"""
    (folder / "train.py").write_text(dedent(SCRIPT))
    (folder / "go.py").write_text(dedent(PROGRAM))
    done = subprocess.run(
        [sys.executable, "go.py", target],
        cwd=folder, env=shell.env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stdout.rpartition("RUN ")[2].strip()


def test_on_this_machine_a_script_reaches_the_workspace(shell: Any, tmp_path: Path) -> None:
    for target in ("local", "cpu"):
        out, run = submit(shell, tmp_path, target)
        assert f"runs: ['{run}'" in out


def test_over_ssh_it_has_its_run_alone(shell: Any, server: SSHServer, tmp_path: Path) -> None:
    where = ["--address", server.address, "--port", str(server.port), "--yes"]
    who = ["--username", server.username, "--private-key-file", str(server.user_key)]
    shell.run("target", "attach", "ssh", "old-lab", *where, *who)
    try:
        out, _ = submit(shell, tmp_path, "old-lab")
    finally:
        shell.run("target", "detach", "old-lab")
    assert "out of reach: 'Experiment' object has no attribute 'get_runs'" in out
