"""Estimators: v1's shorter way to say a `ScriptRunConfig`, and those that bring a framework."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from turnout.client import distributed_training
from turnout.client.conda_dependencies import CondaDependencies
from turnout.client.distributed_training import DistributedTraining
from turnout.client.environment import Environment
from turnout.client.environment_sections import ContainerRegistry
from turnout.client.estimator_packages import exact, packages
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.client.here import RUN_BASED
from turnout.client.run_config import RunConfiguration
from turnout.client.script_run_config import ScriptRunConfig
from turnout.spec.records import nearest

#: Arguments of `Experiment.submit` for an estimator alone.
OVERRIDES = ("script_params", "inputs", "source_directory_data_store")


class Estimator(ScriptRunConfig):
    """A script, its parameters and the packages that it needs.

    `script_params` become the script's arguments: `{"--alpha": 0.5, "--verbose": ""}` is
    `--alpha 0.5 --verbose`. `environment_definition` comes before everything else that is said of
    packages and images.

    A container is used when one is asked for: `use_docker=True`, or a `custom_docker_image`.
    (v1 used one always, and needed Docker on every machine.)

    Example::

        est = Estimator(
            source_directory=".", entry_script="train.py", compute_target="cpu",
            script_params={"--alpha": 0.5}, pip_packages=["scikit-learn"],
        )
        run = experiment.submit(est)
    """

    def __init__(
        self,
        source_directory: str | os.PathLike[str] = ".",
        *,
        compute_target: Any = None,
        vm_size: str | None = None,
        vm_priority: str | None = None,
        entry_script: str | None = None,
        script_params: Mapping[str, Any] | None = None,
        node_count: int = 1,
        process_count_per_node: int = 1,
        distributed_backend: str | None = None,
        distributed_training: DistributedTraining | None = None,
        use_gpu: bool = False,
        use_docker: bool | None = None,
        custom_docker_base_image: str | None = None,
        custom_docker_image: str | None = None,
        image_registry_details: ContainerRegistry | None = None,
        user_managed: bool = False,
        conda_packages: Iterable[str] | None = None,
        pip_packages: Iterable[str] | None = None,
        conda_dependencies_file_path: str | None = None,
        pip_requirements_file_path: str | None = None,
        conda_dependencies_file: str | None = None,
        pip_requirements_file: str | None = None,
        environment_variables: Mapping[str, Any] | None = None,
        environment_definition: Environment | None = None,
        inputs: Iterable[Any] | None = None,
        source_directory_data_store: Any = None,
        shm_size: str | None = None,
        resume_from: Any = None,
        max_run_duration_seconds: int | None = None,
        **kwargs: Any,
    ) -> None:
        count = {"worker_count": 1, "parameter_server_count": 1}
        count = {name: kwargs.pop(name, default) for name, default in count.items()}
        framework: list[str] = kwargs.pop("_framework_packages", [])
        refuse_unknown(type(self).__name__, kwargs)
        rc = RunConfiguration()
        rc.script = entry_script
        rc.node_count = node_count
        if compute_target is not None:
            rc.target = compute_target
        elif vm_size:
            rc.target = RUN_BASED
        rc.amlcompute.vm_size, rc.amlcompute.vm_priority = vm_size, vm_priority
        rc.amlcompute._cluster_max_node_count = node_count
        if environment_definition is not None:
            rc.environment = environment_definition
            rc.environment_variables = text_values(environment_variables)
        else:
            rc.environment.environment_variables = text_values(environment_variables)
            rc.environment.python.user_managed_dependencies = user_managed
            rc.environment.python.conda_dependencies = packages(
                Path(source_directory),
                conda_packages,
                pip_packages,
                one_of("conda_dependencies_file", conda_dependencies_file_path,
                       conda_dependencies_file),
                one_of("pip_requirements_file", pip_requirements_file_path,
                       pip_requirements_file),
                framework,
            )  # fmt: skip
            image = one_of("custom_docker_image", custom_docker_base_image, custom_docker_image)
            set_container(rc.environment, use_docker, image, image_registry_details)
            rc.environment.docker.gpu_support = use_gpu
            rc.environment.docker.shm_size = shm_size
        way = way_of_processes(
            distributed_backend, distributed_training, count, node_count, process_count_per_node
        )
        if way is not None:
            way.apply(rc, process_count_per_node)
        super().__init__(
            source_directory,
            entry_script,
            run_config=rc,
            max_run_duration_seconds=max_run_duration_seconds,
        )
        self._script_params: dict[str, Any] = {}
        self._resume_from = resume_from
        self._override(script_params, inputs, source_directory_data_store)

    @property
    def script_params(self) -> dict[str, Any]:
        return dict(self._script_params)

    @property
    def conda_dependencies(self) -> CondaDependencies:
        return self.run_config.environment.python.conda_dependencies

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(source_directory={self.source_directory!r}, "
            f"entry_script={self.script!r}, script_params={self._script_params!r}, "
            f"compute_target={self.run_config.target!r})"
        )

    def with_overrides(self, given: Mapping[str, Any]) -> Estimator:
        """A copy in which `script_params` replace those of the same name, and `inputs` come to
        those that are there."""
        if not given:
            return self
        unknown = [name for name in given if name not in OVERRIDES]
        if unknown:
            raise UserErrorException(
                f"submit() has no argument '{unknown[0]}'{nearest(unknown[0], OVERRIDES)}."
            )
        found = copy.copy(self)
        found.run_config = copy.copy(self.run_config)
        found.run_config.data = dict(self.run_config.data)
        found._script_params = dict(self._script_params)
        found._override(*(given.get(name) for name in OVERRIDES))
        return found

    def _override(self, params: Any, inputs: Any, store: Any) -> None:
        if params is not None and not isinstance(params, Mapping):
            raise RunConfigurationException(
                "script_params must be a mapping of names to values, such as {'--alpha': 0.5}, "
                f"not {type(params).__name__}."
            )
        self._script_params.update(params or {})
        resume = self._resume_from
        if hasattr(resume, "create_data_reference"):
            resume = resume.create_data_reference("resume_from")
        more: dict[str, Any] = {} if resume is None else {"--resume-from": resume}
        self.run_config.arguments = arguments({**self._script_params, **more})
        for i, item in enumerate(inputs or ()):
            name = getattr(item, "name", None) or getattr(item, "data_reference_name", None)
            self.run_config.data[name or f"input_{i}"] = item
        if store is not None:
            self.run_config.source_directory_data_store = getattr(store, "name", store)


class FrameworkEstimator(Estimator):
    """An `Estimator` that adds the packages of a framework to those that are asked for.

    With `framework_version` that version of the first one; where it cannot be had for the Python
    of the target, the nearest that can, with a word about it in the run's log. Without it the
    newest that fits.
    """

    FRAMEWORK_NAME: ClassVar[str] = ""
    #: v1's default, from before what today's Pythons can run: used when it is asked for.
    DEFAULT_VERSION: ClassVar[str] = ""
    PACKAGES: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        source_directory: str | os.PathLike[str] = ".",
        *,
        framework_version: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.framework_version = framework_version
        first, *more = self.PACKAGES
        pinned = f"{first}=={exact(framework_version)}" if framework_version else first
        super().__init__(source_directory, _framework_packages=[pinned, *more], **kwargs)

    @classmethod
    def get_supported_versions(cls) -> list[str]:
        """v1's default alone: other versions are taken too, whatever there are packages of."""
        return [cls.DEFAULT_VERSION]


class SKLearn(FrameworkEstimator):
    """With scikit-learn.

    Example: `SKLearn(source_directory=".", entry_script="train.py", compute_target="cpu")`.
    """

    FRAMEWORK_NAME = "SKLearn"
    DEFAULT_VERSION = "0.20.3"
    PACKAGES = ("scikit-learn",)


class PyTorch(FrameworkEstimator):
    """With torch and torchvision."""

    FRAMEWORK_NAME = "PyTorch"
    DEFAULT_VERSION = "1.4"
    PACKAGES = ("torch", "torchvision")


class TensorFlow(FrameworkEstimator):
    """With tensorflow. `worker_count` and `parameter_server_count` go with
    `distributed_backend="ps"`."""

    FRAMEWORK_NAME = "TensorFlow"
    DEFAULT_VERSION = "1.13"
    PACKAGES = ("tensorflow",)


class Chainer(FrameworkEstimator):
    """With chainer."""

    FRAMEWORK_NAME = "Chainer"
    DEFAULT_VERSION = "5.1.0"
    PACKAGES = ("chainer",)


def set_container(
    environment: Environment,
    use_docker: bool | None,
    image: str | None,
    registry: ContainerRegistry | None,
) -> None:
    docker = environment.docker
    docker.enabled = image is not None if use_docker is None else bool(use_docker)
    if image is not None and docker.enabled:
        docker.base_image = image
    if registry is not None:
        docker.base_image_registry = registry


def way_of_processes(
    given: str | None, training: Any, count: Mapping[str, int], nodes: int, processes: int
) -> DistributedTraining | None:
    return distributed_training.way_of(
        given,
        training,
        count["worker_count"],
        count["parameter_server_count"],
        is_many=nodes > 1 or processes > 1,
    )


def arguments(params: Mapping[str, Any]) -> list[Any]:
    """The script's arguments; objects stay what they are until the run is submitted.

    >>> arguments({"--alpha": 0.5, "--verbose": ""})
    ['--alpha', 0.5, '--verbose']
    """
    found: list[Any] = []
    for name, value in params.items():
        is_flag = value is None or (isinstance(value, str) and not value)
        found += [name] if is_flag else [name, value]
    return found


def one_of(name: str, first: Any, second: Any) -> Any:
    """v1 had two names for some arguments."""
    if first is not None and second is not None and first != second:
        raise RunConfigurationException(f"Give {name} once, not under both of its names.")
    return second if first is None else first


def text_values(given: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(key): str(value) for key, value in (given or {}).items()}


def refuse_unknown(what: str, given: Mapping[str, Any]) -> None:
    for name in given:
        # v1's private switches change nothing here.
        if not name.startswith("_"):
            raise RunConfigurationException(f"{what}() has no argument '{name}'.")
