"""What MLflow asks for by its entry points. Imported with `import mlflow`, and light."""

from __future__ import annotations

import os

from turnout.payload import rundir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

    from turnout.payload.mlflow.runs import Runs

#: Beginning of the addresses that MLflow brings to us.
SCHEME = "turnout:"
#: Name of the run around, among the tags that MLflow gives to runs that it begins by itself.
AROUND_TAG = "turnout.run"


def tracking_store(store_uri: str, artifact_uri: Any = None, **kwargs: Any) -> Any:
    """The store of `turnout://…`."""
    from turnout.payload.mlflow.store import Store

    return Store(runs())


def model_registry_store(store_uri: str, *args: Any, **kwargs: Any) -> Any:
    """The registry of models of `turnout://…`."""
    from turnout.payload.mlflow.registry import Registry

    return Registry(runs())


def artifact_repository(artifact_uri: str, *args: Any, **kwargs: Any) -> Any:
    """The files of what `turnout://artifacts/<run>` or `turnout://models/<name>/<n>` names."""
    from turnout.payload.mlflow.artifacts import Artifacts

    return Artifacts(runs(), artifact_uri)


class RunContext:
    """Says that a run was begun by `mlflow.start_run()`, in words or not, in a script of ours.

    MLflow's `MLFLOW_RUN_ID` would say it too, but it would also be believed by other servers,
    where a script that brings its own is at home.
    """

    def in_context(self) -> bool:
        if not in_run():
            return False
        import mlflow

        return str(mlflow.get_tracking_uri()).startswith(SCHEME)

    def tags(self) -> Dict[str, str]:
        return {AROUND_TAG: os.environ[rundir.RUN_ID_VARIABLE]}


def in_run() -> bool:
    """Whether this is a script's process."""
    names = (rundir.RUN_FOLDER_VARIABLE, rundir.RUN_ID_VARIABLE)
    return all(os.environ.get(name) for name in names)


_runs: Dict[str, Runs] = {}


def runs() -> Runs:
    """The runs within reach: in a script the one around it and its children, else all of the
    workspace. Raises ImportError where neither is there."""
    folder = os.environ[rundir.RUN_FOLDER_VARIABLE] if in_run() else ""
    if folder not in _runs:
        if folder:
            from turnout.payload.mlflow.folder import FolderRuns

            _runs.setdefault(folder, FolderRuns(folder))
        else:
            _runs.setdefault(folder, runs_of_workspace())
    return _runs[folder]


def runs_of_workspace() -> Runs:
    """By the SDK, which does not travel."""
    from importlib import import_module

    try:
        return import_module("turnout.client.mlflow_runs").ServiceRuns()
    except ModuleNotFoundError as e:
        if not (e.name or "").startswith("turnout."):
            raise
        raise ImportError(
            "Addresses that begin with 'turnout:' are those of a run, in its script, and of the "
            "workspace, for which turnout must be installed: pip install turnout"
        ) from None
