"""`ScriptRunConfig`: a source folder, a script in it, and how to run it."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from turnout.client.environment import Environment
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.client.run_config import (
    DockerConfiguration,
    MpiConfiguration,
    PyTorchConfiguration,
    RunConfiguration,
    TensorflowConfiguration,
    words,
)
from turnout.spec.runs import MAX_RUN_DURATION_S, RunSpec


class ScriptRunConfig:
    """What `Experiment.submit` takes.

    `run_config` says everything about where and how; or `compute_target` and `environment` do,
    as in later versions of v1. With neither, the script runs on this machine with this
    interpreter.

    Example::

        src = ScriptRunConfig(source_directory=".", script="train.py", arguments=["--alpha", 0.1])
        run = experiment.submit(src)

    Raises `UserError` for a folder or script that is not there, when submitted.
    """

    run_config: RunConfiguration
    MAX_DURATION_SECONDS_DEFAULT = MAX_RUN_DURATION_S

    def __init__(
        self,
        source_directory: str | os.PathLike[str] = ".",
        script: str | None = None,
        arguments: Iterable[Any] | None = None,
        run_config: RunConfiguration | None = None,
        _telemetry_values: object = None,
        compute_target: Any = None,
        environment: Environment | None = None,
        distributed_job_config: Any = None,
        resume_from: object = None,
        max_run_duration_seconds: int | None = None,
        command: Any = None,
        docker_runtime_config: DockerConfiguration | None = None,
    ) -> None:
        together = {
            "compute_target": compute_target,
            "environment": environment,
            "distributed_job_config": distributed_job_config,
            "docker_runtime_config": docker_runtime_config,
        }
        extra = [name for name, value in together.items() if value is not None]
        if run_config is not None and extra:
            raise RunConfigurationException(
                f"Give run_config or {extra[0]}, not both: run_config says it already."
            )
        if resume_from is not None:
            raise RunConfigurationException("resume_from is not there in this version.")
        self.source_directory = os.fspath(source_directory)
        self.script = script
        self.command = command
        self.arguments: list[Any] | None = None if arguments is None else words(arguments)
        self.max_run_duration_seconds = max_run_duration_seconds
        self.run_config = run_config or new_run_config(
            compute_target, environment, distributed_job_config, docker_runtime_config
        )

    def __repr__(self) -> str:
        return (
            f"ScriptRunConfig(source_directory={self.source_directory!r}, script={self.script!r}, "
            f"arguments={self.arguments!r}, target={self.run_config.target!r})"
        )

    def with_overrides(self, given: Mapping[str, Any]) -> ScriptRunConfig:
        """What `Experiment.submit` was told besides; nothing can be said of this one."""
        if given:
            raise UserErrorException(f"submit() has no argument '{next(iter(given))}'.")
        return self

    def to_spec(self) -> RunSpec:
        """The run asked for, checked against the source folder; the snapshot is still open."""
        rc = self.run_config
        if self.max_run_duration_seconds is not None:
            rc = copy.copy(rc)
            rc.max_run_duration_seconds = self.max_run_duration_seconds
        folder = find_folder(self.source_directory)
        spec = rc.to_spec(self.script_name(folder), self.arguments, self.command)
        if spec.script:
            check_script(folder, spec.script)
        return spec

    def script_name(self, folder: Path) -> str | None:
        """The script relative to the source folder; an absolute path inside it will do."""
        script = self.script or (None if self.command else self.run_config.script)
        if script is None:
            if self.command or self.run_config.command:
                return None
            script = "train.py"
        path = Path(script)
        if path.is_absolute() and path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
        return script


def new_run_config(
    target: Any, environment: Environment | None, distributed: Any, docker: Any
) -> RunConfiguration:
    found = RunConfiguration()
    if target is not None:
        found.target = target
    if environment is not None:
        found.environment = environment
    elif found.target == "local" and docker is None:
        found.environment.python.user_managed_dependencies = True
    if docker is not None:
        found.docker = docker
    if isinstance(distributed, MpiConfiguration):
        found.mpi, found.communicator = distributed, "OpenMpi"
        found.node_count = distributed.node_count
    elif isinstance(distributed, PyTorchConfiguration):
        found.pytorch, found.communicator = distributed, distributed.communication_backend
        found.node_count = distributed.node_count
    elif isinstance(distributed, TensorflowConfiguration):
        found.tensorflow, found.communicator = distributed, "ParameterServer"
        # v1 gives each task a node of its own.
        found.node_count = distributed.worker_count + distributed.parameter_server_count
    elif distributed is not None:
        raise RunConfigurationException(
            "distributed_job_config must be an MpiConfiguration, a PyTorchConfiguration or a "
            f"TensorflowConfiguration, not {type(distributed).__name__}."
        )
    return found


def find_folder(given: str) -> Path:
    """The source folder, absolute; `UserError` when there is none."""
    path = Path(given).expanduser().absolute()
    if path.is_dir():
        return path
    if path.exists():
        raise UserErrorException(f"The source directory '{given}' is a file, not a folder.")
    from turnout.spec.records import nearest

    try:
        names = [p.name for p in path.parent.iterdir() if p.is_dir()]
    except OSError:
        names = []
    raise UserErrorException(f"There is no source directory '{given}'{nearest(path.name, names)}.")


def check_script(folder: Path, script: str) -> None:
    """Raise `UserError`, naming files with a similar name, when the script is not there."""
    path = folder / script
    if path.is_file():
        return
    if path.is_dir():
        raise UserErrorException(f"The script '{script}' is a folder.")
    raise UserErrorException(f"There is no script '{script}' in '{folder}'{hint(folder, script)}.")


def hint(folder: Path, script: str) -> str:
    from turnout.spec.records import nearest

    names = ["/".join(p.relative_to(folder).parts) for p in folder.glob("*.py")]
    names += ["/".join(p.relative_to(folder).parts) for p in folder.glob("*/*.py")]
    found = nearest(script, names)
    if found or not names:
        return found
    same = [n for n in names if n.rpartition("/")[2] == script.rpartition("/")[2]]
    shown = same or sorted(names)[:5]
    return f"; there is {', '.join(shown)}"
