"""What is outside of the run, as its script sees it: the experiment, the workspace."""

from __future__ import annotations

import os

from turnout.payload import rundir
from turnout.payload.values import TrackingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ScriptExperiment:
    """The experiment of the run around a script: its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return "Experiment(Name: %s)" % self.name

    @property
    def workspace(self) -> Any:
        """The workspace, where the script can reach it: on the machine of the service. Elsewhere
        it has a name and nothing else."""
        kind = from_sdk("workspace", "Workspace")
        return ScriptWorkspace() if kind is None else kind()

    def __getattr__(self, name: str) -> Any:
        kind = None if name.startswith("_") else from_sdk("experiment", "Experiment")
        if kind is None:
            raise AttributeError("'Experiment' object has no attribute '%s'" % name)
        return getattr(kind(self.workspace, self.name), name)


class ScriptWorkspace:
    """The workspace as a script on another machine sees it."""

    def __init__(self) -> None:
        self.name = os.environ.get("AZUREML_ARM_WORKSPACE_NAME", "")
        self.subscription_id = ""
        self.resource_group = ""
        self.location = "local"

    def __repr__(self) -> str:
        return "Workspace(name=%r)" % self.name

    def get_mlflow_tracking_uri(self, **ignored: Any) -> str:
        """In a script MLflow logs to the run around it."""
        return rundir.MLFLOW_URI

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise TrackingError(
            "workspace.%s: the workspace is not reachable from a script on another machine than "
            "the service's; pass what it needs as arguments or environment variables." % name
        )


def from_sdk(module: str, name: str) -> Any:
    """The SDK's class, None where this Python has no SDK, or no way to the service."""
    if not (os.environ.get(rundir.CLIENT_VARIABLE) or os.environ.get("TURNOUT_URL")):
        return None
    from importlib import import_module

    try:
        return getattr(import_module("turnout.client." + module), name)
    except ImportError:
        return None
