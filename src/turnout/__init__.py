"""Turnout: the same training script, unchanged, on any compute target.

Names are imported when first used. This file also travels to targets, where `Run` alone is there.
"""

# pathlib would cost every script more than the rest of this file.
# ruff: noqa: PTH109, PTH112, PTH118, PTH120

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from turnout.client.aml_compute import AmlCompute, AmlComputeProvisioningConfiguration
    from turnout.client.compute import ComputeTarget
    from turnout.client.conda_dependencies import CondaDependencies
    from turnout.client.dataset_factories import Dataset
    from turnout.client.dataset_inputs import DatasetConsumptionConfig, OutputFileDatasetConfig
    from turnout.client.datasets import FileDataset, TabularDataset
    from turnout.client.datastore import DataPath, DataReference, Datastore
    from turnout.client.environment import Environment
    from turnout.client.environment_sections import ContainerRegistry
    from turnout.client.estimator import Chainer, Estimator, PyTorch, SKLearn, TensorFlow
    from turnout.client.exceptions import (
        ActivityFailedException,
        ComputeTargetException,
        ExperimentExecutionException,
        ModelNotFoundException,
        RunConfigurationException,
        RunEnvironmentException,
        SnapshotException,
        UserErrorException,
        WorkspaceException,
    )
    from turnout.client.experiment import Experiment
    from turnout.client.keyvault import Keyvault
    from turnout.client.model import Model
    from turnout.client.remote_compute import RemoteCompute, RemoteComputeAttachConfiguration
    from turnout.client.run import Run, ScriptRun, get_run
    from turnout.client.run_config import (
        DockerConfiguration,
        MpiConfiguration,
        PyTorchConfiguration,
        RunConfiguration,
        TensorflowConfiguration,
    )
    from turnout.client.script_run_config import ScriptRunConfig
    from turnout.client.tensorboard import Tensorboard
    from turnout.client.tensorboard_export import export_to_tensorboard
    from turnout.client.widgets import RunDetails
    from turnout.client.workspace import Workspace

__version__ = "0.1.0"

__all__ = [
    "ActivityFailedException",
    "AmlCompute",
    "AmlComputeProvisioningConfiguration",
    "Chainer",
    "ComputeTarget",
    "ComputeTargetException",
    "CondaDependencies",
    "ContainerRegistry",
    "DataPath",
    "DataReference",
    "Dataset",
    "DatasetConsumptionConfig",
    "Datastore",
    "DockerConfiguration",
    "Environment",
    "Estimator",
    "Experiment",
    "ExperimentExecutionException",
    "FileDataset",
    "Keyvault",
    "Model",
    "ModelNotFoundException",
    "MpiConfiguration",
    "OutputFileDatasetConfig",
    "PyTorch",
    "PyTorchConfiguration",
    "RemoteCompute",
    "RemoteComputeAttachConfiguration",
    "Run",
    "RunConfiguration",
    "RunConfigurationException",
    "RunDetails",
    "RunEnvironmentException",
    "SKLearn",
    "ScriptRun",
    "ScriptRunConfig",
    "SnapshotException",
    "TabularDataset",
    "TensorFlow",
    "Tensorboard",
    "TensorflowConfiguration",
    "UserErrorException",
    "Workspace",
    "WorkspaceException",
    "export_to_tensorboard",
    "get_run",
]

_MODULES = {
    "ActivityFailedException": "exceptions",
    "AmlCompute": "aml_compute",
    "AmlComputeProvisioningConfiguration": "aml_compute",
    "Chainer": "estimator",
    "ComputeTarget": "compute",
    "ComputeTargetException": "exceptions",
    "CondaDependencies": "conda_dependencies",
    "ContainerRegistry": "environment_sections",
    "DataPath": "datastore",
    "DataReference": "datastore",
    "Dataset": "dataset_factories",
    "DatasetConsumptionConfig": "dataset_inputs",
    "Datastore": "datastore",
    "DockerConfiguration": "run_config",
    "Environment": "environment",
    "Estimator": "estimator",
    "Experiment": "experiment",
    "ExperimentExecutionException": "exceptions",
    "FileDataset": "datasets",
    "Keyvault": "keyvault",
    "Model": "model",
    "ModelNotFoundException": "exceptions",
    "MpiConfiguration": "run_config",
    "OutputFileDatasetConfig": "dataset_inputs",
    "PyTorch": "estimator",
    "PyTorchConfiguration": "run_config",
    "RemoteCompute": "remote_compute",
    "RemoteComputeAttachConfiguration": "remote_compute",
    "Run": "run",
    "RunConfiguration": "run_config",
    "RunConfigurationException": "exceptions",
    "RunDetails": "widgets",
    "RunEnvironmentException": "exceptions",
    "SKLearn": "estimator",
    "ScriptRun": "run",
    "ScriptRunConfig": "script_run_config",
    "SnapshotException": "exceptions",
    "TabularDataset": "datasets",
    "TensorFlow": "estimator",
    "Tensorboard": "tensorboard",
    "TensorflowConfiguration": "run_config",
    "UserErrorException": "exceptions",
    "Workspace": "workspace",
    "WorkspaceException": "exceptions",
    "export_to_tensorboard": "tensorboard_export",
    "get_run": "run",
}
#: What a script on a target may use with nothing installed there.
_TRAVELS = ("Run", "RunEnvironmentException")


def _find_installed() -> None:
    """Let an installed turnout serve what the payload lacks, else this machine's own."""
    folders = [os.path.join(entry or os.getcwd(), "turnout") for entry in sys.path]
    if sys.version_info >= (3, 10):  # noqa: UP036 (this file travels)
        folders.append(os.environ.get("TURNOUT_RUN_CLIENT") or "")
    for folder in folders:
        if folder not in __path__ and os.path.isdir(os.path.join(folder, "client")):
            __path__.append(folder)


if not os.path.isdir(os.path.join(os.path.dirname(__file__), "client")):
    # Imported from the payload, which stands first on the path of a script.
    _find_installed()


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'turnout' has no attribute '{name}'")
    if name in _TRAVELS and os.environ.get("TURNOUT_RUN_FOLDER"):
        from turnout.payload import tracking

        value = getattr(tracking, name)
    else:
        value = _from_client(name)
    globals()[name] = value
    return value


def _from_client(name: str) -> object:
    from importlib import import_module

    try:
        module = import_module(f"turnout.client.{_MODULES[name]}")
    except ModuleNotFoundError as e:
        if not (e.name or "").startswith("turnout."):
            raise
        if name in _TRAVELS:
            from turnout.payload import tracking

            return getattr(tracking, name)
        # Not an AttributeError: `from turnout import NAME` would replace its message.
        raise ImportError(
            f"'turnout.{name}' is not there: a script on a target has turnout.Run alone. Install "
            "turnout into the run's environment to use the rest."
        ) from None
    return getattr(module, name)


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})
