"""What of v1 has no place in Turnout's SDK: functions and constants that old scripts name."""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any

from turnout.client import submission
from turnout.client.experiment import Experiment
from turnout.client.run import from_view

if TYPE_CHECKING:
    from turnout import Run, RunConfiguration, ScriptRun, ScriptRunConfig, Workspace

LOCAL_RUNCONFIG_NAME = "local"
RUNNING_STATES = [
    "NotStarted",
    "Queued",
    "Preparing",
    "Provisioning",
    "Starting",
    "Running",
    "Unapproved",
    "NotResponding",
    "Pausing",
    "Paused",
]
POST_PROCESSING_STATES = ["CancelRequested", "Finalizing"]


class ViewType:
    """Which experiments `Experiment.list` gives."""

    ActiveOnly = "ActiveOnly"
    ArchivedOnly = "ArchivedOnly"
    All = "All"


class LocalTarget:
    """This machine, as v1's first versions had it: `run_config.target = LocalTarget()`."""

    name = "local"
    type = "local"


def prepare_compute_target(
    experiment: Experiment, source_directory: str | os.PathLike[str], run_config: RunConfiguration
) -> Run:
    """Make the environment ready on the target before the first run; the run that does so."""
    workspace = experiment.workspace
    view = submission.prepare(workspace.client, run_config.environment, run_config.target)
    return from_view(workspace, view)


def is_compute_target_prepared(
    experiment: Experiment, source_directory: str | os.PathLike[str], run_config: RunConfiguration
) -> bool:
    """Always False: preparing again costs nothing where the environment is ready."""
    return False


def attach_legacy_compute_target(
    experiment: Experiment, source_directory: str | os.PathLike[str], compute_target: Any
) -> None:
    """Nothing: a run configuration names its target, a file beside the script adds nothing."""


def remove_legacy_compute_target(
    experiment: Experiment, source_directory: str | os.PathLike[str], compute_target_name: str
) -> None:
    """Nothing, as for `attach_legacy_compute_target`."""


def submit(
    script_run_config: ScriptRunConfig,
    workspace: Workspace,
    experiment_name: str,
    run_id: str | None = None,
    _parent_run_id: str | None = None,
    credential_passthrough: bool = False,
) -> ScriptRun:
    """`Experiment.submit`, as a function; a `run_id` of one's own is not taken over."""
    return Experiment(workspace, experiment_name).submit(script_run_config, parent=_parent_run_id)


def get_run_config_from_script_run(script_run_config: ScriptRunConfig) -> RunConfiguration:
    """The run configuration, with the script and the arguments in it."""
    found = copy.deepcopy(script_run_config.run_config)
    found.script = script_run_config.script or found.script
    if script_run_config.arguments is not None:
        found.arguments = script_run_config.arguments
    return found
