"""`RunConfiguration`: where and how a script runs, in v1's sections."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from turnout.client.conda_dependencies import CondaDependencies
from turnout.client.databricks_sections import (
    DatabricksCluster,
    DatabricksSection,
    EggLibrary,
    JarLibrary,
    MavenLibrary,
    PyPiLibrary,
    RCranLibrary,
)
from turnout.client.environment import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    ContainerRegistry,
    DockerSection,
    Environment,
    PythonSection,
    SparkPackage,
    SparkSection,
)
from turnout.client.exceptions import RunConfigurationException
from turnout.client.run_config_sections import (
    ApplicationEndpointConfiguration,
    KubernetesComputeConfiguration,
    ParallelTaskConfiguration,
)
from turnout.client.run_data import run_data
from turnout.client.sections import Section
from turnout.spec.distribution import Distribution, total_on_nodes
from turnout.spec.records import nearest
from turnout.spec.runs import MAX_RUN_DURATION_S, RunSpec

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "AmlComputeConfiguration",
    "ApplicationEndpointConfiguration",
    "CondaDependencies",
    "ContainerRegistry",
    "DataReferenceConfiguration",
    "DatabricksCluster",
    "DatabricksSection",
    "DockerConfiguration",
    "DockerSection",
    "EggLibrary",
    "EnvironmentDefinition",
    "HdiConfiguration",
    "HistoryConfiguration",
    "JarLibrary",
    "KubernetesComputeConfiguration",
    "MavenLibrary",
    "MpiConfiguration",
    "ParallelTaskConfiguration",
    "PyPiLibrary",
    "PyTorchConfiguration",
    "PythonSection",
    "RCranLibrary",
    "RunConfiguration",
    "SparkConfiguration",
    "SparkPackage",
    "SparkSection",
    "TensorflowConfiguration",
]

EnvironmentDefinition = Environment
FRAMEWORKS = ("Python", "PySpark", "CNTK", "TensorFlow", "PyTorch")
COMMUNICATORS = ("None", "ParameterServer", "OpenMpi", "IntelMpi", "Mpi", "Nccl", "Gloo")


@dataclass(repr=False)
class HistoryConfiguration(Section):
    output_collection: bool = True
    snapshot_project: bool = True
    directories_to_watch: list[str] = field(default_factory=lambda: ["logs"])


@dataclass(repr=False)
class SparkConfiguration(Section):
    configuration: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(repr=False)
class HdiConfiguration(Section):
    yarn_deploy_mode: str = "cluster"


@dataclass(repr=False)
class TensorflowConfiguration(Section):
    worker_count: int = 1
    parameter_server_count: int = 1


@dataclass(repr=False)
class MpiConfiguration(Section):
    process_count_per_node: int = 1
    node_count: int = 1


@dataclass(repr=False)
class PyTorchConfiguration(Section):
    communication_backend: str = "Nccl"
    process_count: int | None = None
    node_count: int = 1


@dataclass(repr=False)
class AmlComputeConfiguration(Section):
    vm_size: str | None = None
    vm_priority: str | None = None
    _retain_cluster: bool = False
    _name: str | None = None
    _cluster_max_node_count: int = 1


@dataclass(repr=False)
class DockerConfiguration(Section):
    """Containers, said with the run: as `environment.docker.enabled` with more arguments."""

    use_docker: bool = False
    shared_volumes: bool = True
    arguments: list[str] = field(default_factory=list[str])
    shm_size: str | None = None

    def apply(self, docker: DockerSection) -> None:
        """Add this to what the environment says."""
        docker.enabled = docker.enabled or self.use_docker
        docker.arguments = [*docker.arguments, *self.arguments]
        docker.shm_size = self.shm_size or docker.shm_size


@dataclass(repr=False, init=False)
class DataReferenceConfiguration(Section):
    """A place in a datastore; `DataReference.to_config()` makes one."""

    data_store_name: str | None = None
    path_on_data_store: str | None = None
    mode: str = "mount"
    overwrite: bool = False
    path_on_compute: str | None = None

    def __init__(
        self,
        datastore_name: str | None = None,
        mode: str = "mount",
        path_on_datastore: str | None = None,
        path_on_compute: str | None = None,
        overwrite: bool = False,
    ) -> None:
        self.data_store_name = datastore_name
        self.path_on_data_store = path_on_datastore
        self.mode, self.overwrite, self.path_on_compute = mode, overwrite, path_on_compute


@dataclass(repr=False)
class RunConfiguration(Section):
    """Where and how a script runs.

    Example::

        rc = RunConfiguration()
        rc.target = "lab"
        rc.environment.python.conda_dependencies = CondaDependencies.create(
            pip_packages=["scikit-learn"]
        )

    Setting a name that is not there raises `RunConfigurationException` with the nearest one.
    """

    script: str | None = None
    #: A list, or one string that is split like a shell would.
    arguments: list[Any] = field(default_factory=list[Any])
    framework: str = "Python"
    communicator: str = "None"
    conda_dependencies: CondaDependencies | None = None
    command: Any = None
    _target: str = "local"
    max_run_duration_seconds: int | None = None
    node_count: int = 1
    priority: int | None = None
    #: How often a run on a cluster starts again after a node was lost; None is 3.
    restarts: int | None = None
    auto_prepare_environment: bool = True
    environment: Environment = field(default_factory=Environment)
    environment_variables: dict[str, str] = field(default_factory=dict[str, str])
    history: HistoryConfiguration = field(default_factory=HistoryConfiguration)
    spark: SparkConfiguration = field(default_factory=SparkConfiguration)
    docker: DockerConfiguration = field(default_factory=DockerConfiguration)
    hdi: HdiConfiguration = field(default_factory=HdiConfiguration)
    tensorflow: TensorflowConfiguration = field(default_factory=TensorflowConfiguration)
    mpi: MpiConfiguration = field(default_factory=MpiConfiguration)
    pytorch: PyTorchConfiguration = field(default_factory=PyTorchConfiguration)
    amlcompute: AmlComputeConfiguration = field(default_factory=AmlComputeConfiguration)
    paralleltask: ParallelTaskConfiguration = field(default_factory=ParallelTaskConfiguration)
    kubernetescompute: KubernetesComputeConfiguration = field(
        default_factory=KubernetesComputeConfiguration
    )
    data_references: dict[str, Any] = field(default_factory=dict[str, Any])
    #: Inputs and outputs of v1's later years, as plain data.
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    output_data: dict[str, Any] = field(default_factory=dict[str, Any])
    datacaches: list[Any] = field(default_factory=list[Any])
    services: dict[str, Any] = field(default_factory=dict[str, Any])
    auto_cluster_compute_specification: dict[str, Any] = field(default_factory=dict[str, Any])
    credential_passthrough: bool = False
    source_directory_data_store: str | None = None
    spelled = MappingProxyType({"application_endpoints": "services"})
    rare = frozenset(
        (
            "conda_dependencies",
            "restarts",
            "paralleltask",
            "kubernetescompute",
            "datacaches",
            "services",
            "auto_cluster_compute_specification",
            "credential_passthrough",
        )
    )

    def __post_init__(self) -> None:
        if self.conda_dependencies is not None:
            self.environment.python.conda_dependencies = self.conda_dependencies
            self.conda_dependencies = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "framework":
            value = one_of("framework", value or "Python", FRAMEWORKS)
        elif name == "communicator":
            value = one_of("communicator", value or "None", COMMUNICATORS)
        elif name == "arguments":
            value = words(value)
        super().__setattr__(name, value)

    @property
    def target(self) -> str:
        """The target's name. A `ComputeTarget` may be set too."""
        return self._target

    @target.setter
    def target(self, value: Any) -> None:
        name = value if isinstance(value, str) else getattr(value, "name", None)
        if not isinstance(name, str) or not name:
            raise RunConfigurationException(
                "target must be the name of a target, or a ComputeTarget, "
                f"not {type(value).__name__}."
            )
        self._target = name

    # -- as a file ------------------------------------------------------------------------------

    @staticmethod
    def load(path: str | os.PathLike[str], name: str | None = None) -> RunConfiguration:
        """The run configuration in the file `path`; or the one called `name` of the project folder
        `path`, in its `aml_config/` if it has one, else in `.azureml/`. Without a name it is the
        only one that is there.

        YAML and JSON, of every version of v1. Keys that mean nothing here are kept and warned
        of. Raises `UserErrorException` for a file that is not there or cannot be read, and
        `RunConfigurationException`, with the line, for what cannot be.

        Example::

            rc = RunConfiguration.load(".", "cpu")
        """
        from turnout.client import run_config_files

        return run_config_files.load(Path(path), name)

    def save(
        self,
        path: str | os.PathLike[str] | None = None,
        name: str | None = None,
        separate_environment_yaml: bool = False,
    ) -> None:
        """Write it to a file or a project folder, as `load` would find it; without `path` to where
        it came from, else to the current folder. `name` is the target's by default.

        The file is YAML with a comment above each key; one that was loaded keeps its own comments
        and the keys that are not known here, and stays JSON if it was. With
        `separate_environment_yaml` the list of packages becomes a file of its own beside it. A
        registry's password is not written.
        """
        from turnout.client import run_config_files

        run_config_files.save(
            self, None if path is None else Path(path), name, separate=separate_environment_yaml
        )

    @staticmethod
    def delete(path: str | os.PathLike[str], name: str | None = None) -> None:
        """Remove the file that `load` would read. Raises `UserErrorException` for none."""
        from turnout.client import run_config_files

        run_config_files.delete(Path(path), name)

    # -- as a run -------------------------------------------------------------------------------

    def to_spec(
        self,
        script: str | None = None,
        arguments: Iterable[Any] | None = None,
        command: Any = None,
    ) -> RunSpec:
        """The run that this asks for, with another script and arguments if given; the snapshot is
        still open. Raises `RunConfigurationException` or `UserError` for what cannot be run."""
        node_count, distribution = self.distribution()
        line = words(command if command is not None else self.command)
        given = self.arguments if arguments is None else words(arguments)
        chosen = "" if line else (script or self.script or "")
        seconds = self.max_run_duration_seconds
        spec = RunSpec(
            script=chosen.replace("\\", "/").removeprefix("./"),
            arguments=() if line else texts(given),
            command=texts([*line, *given]) if line else (),
            target=self.target,
            framework=self.framework,
            communicator=self.communicator,
            node_count=node_count,
            distribution=distribution,
            priority=self.priority or 0,
            restarts=RunSpec.restarts if self.restarts is None else self.restarts,
            environment=self.environment.to_spec(
                self.target, self.environment_variables, self.docker
            ),
            max_run_duration_s=MAX_RUN_DURATION_S if seconds is None else seconds,
            output_collection=self.history.output_collection,
            directories_to_watch=tuple(self.history.directories_to_watch or ()),
            sections=self.sections(),
            **run_data(self, [*line, *given]),
        )
        spec.check()
        return spec

    def distribution(self) -> tuple[int, Distribution]:
        """(nodes, processes on them), as the communicator and its section say. v1's communicators
        take the number of nodes from the run configuration; its later configurations have one of
        their own. Raises `UserError` for numbers that do not go together."""
        nodes = self.node_count
        if self.communicator in ("OpenMpi", "IntelMpi", "Mpi"):
            nodes = max(nodes, self.mpi.node_count)
            return nodes, Distribution("mpi", self.mpi.process_count_per_node)
        if self.communicator in ("Nccl", "Gloo"):
            nodes = max(nodes, self.pytorch.node_count)
            return nodes, Distribution(
                "pytorch", total_on_nodes(self.pytorch.process_count, nodes)
            )
        if self.communicator == "ParameterServer":
            section = self.tensorflow
            return nodes, Distribution(
                "tensorflow",
                workers=section.worker_count,
                parameter_servers=section.parameter_server_count,
            )
        return nodes, Distribution(processes=self.mpi.process_count_per_node)

    def sections(self) -> dict[str, object]:
        named: dict[str, Section] = {
            "amlcompute": self.amlcompute,
            "hdi": self.hdi,
            "mpi": self.mpi,
            "pytorch": self.pytorch,
            "spark": self.spark,
            "tensorflow": self.tensorflow,
        }
        return {name: found for name, s in named.items() if (found := s.changes())}


def one_of(what: str, value: object, known: tuple[str, ...]) -> str:
    for name in known:
        if isinstance(value, str) and name.lower() == value.lower():
            return name
    raise RunConfigurationException(
        f"'{value}' is no {what}{nearest(str(value), known)}: use one of {', '.join(known)}."
    )


def words(given: Any) -> list[Any]:
    """A list of arguments; one string is split like a shell would."""
    if given is None:
        return []
    if isinstance(given, str):
        import shlex

        try:
            return list(shlex.split(given))
        except ValueError as e:
            raise RunConfigurationException(
                f"The arguments {given!r} cannot be split: {e}."
            ) from None
    if not isinstance(given, list | tuple):
        raise RunConfigurationException(
            f"Arguments must be a list, not {type(given).__name__}: ['--alpha', 0.5]."
        )
    return list(given)


def texts(given: Iterable[Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in given)
