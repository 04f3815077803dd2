"""`turnout submit --config`: what a run configuration file says, changed by the other options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from turnout.cli import packages, submit

if TYPE_CHECKING:
    from turnout.client.run_config import RunConfiguration
    from turnout.client.script_run_config import ScriptRunConfig


def make_config(given: argparse.Namespace, words: Sequence[str]) -> ScriptRunConfig:
    """What is submitted: `words` are the script and its arguments, if they are given."""
    from turnout.cli import v1_run
    from turnout.client.script_run_config import ScriptRunConfig

    folder, script = given.source_directory or ".", None
    if words:
        folder, script = submit.locate(words[0], given.source_directory)
    # Where the script is; a person in another folder may mean theirs.
    places = [Path(folder), Path()]
    config = v1_run.load(given.config, places, packages=not says_packages(given))
    change(config, given)
    return ScriptRunConfig(
        folder,
        script,
        words[1:] if words else None,
        config,
        max_run_duration_seconds=given.max_duration,
    )


def says_packages(given: argparse.Namespace) -> bool:
    """Whether the options say what the script needs, and so all of it."""
    other = given.environment or given.python or given.docker or given.dockerfile
    return bool(other) or packages.asks_for_packages(given)


def change(config: RunConfiguration, given: argparse.Namespace) -> None:
    if given.target or given.vm_size:
        config.target = submit.target_of(given)
    if given.vm_size:
        config.amlcompute.vm_size = given.vm_size
    config.environment_variables = {
        **config.environment_variables,
        **submit.variables(given.env),
    }
    change_environment(config, given)
    config.restarts = config.restarts if given.restarts is None else given.restarts
    if given.tensorflow or given.mpi or given.pytorch or given.processes or given.nodes != 1:
        submit.distribute(config, given)


def change_environment(config: RunConfiguration, given: argparse.Namespace) -> None:
    from turnout.client import submission
    from turnout.client.embedded import default_client

    if given.environment:
        config.environment = packages.named_environment(given, given.environment)
    elif says_packages(given):
        interpreter = submit.default_interpreter(config.target)
        config.environment = packages.make_environment(given, given.python or interpreter)
    else:
        config.environment = submission.named_environment(default_client(), config.environment)
    packages.add_limits(config.environment, given)
    if given.no_eras:
        config.environment.eras = False
