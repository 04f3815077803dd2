"""The sections of an `Environment`: Python, Docker, Spark, as v1 names them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnout.client.conda_dependencies import CondaDependencies
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.client.sections import Section
from turnout.spec.definitions import DockerDefinition, PythonDefinition, RegistryDefinition

#: Names of v1's images. They stand for the workspace's base image: nobody can pull them.
DEFAULT_CPU_IMAGE = "azureml/openmpi4.1.0-ubuntu22.04"
DEFAULT_GPU_IMAGE = "azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"


@dataclass(repr=False)
class PythonSection(Section):
    """`user_managed_dependencies` with `interpreter_path`, or `conda_dependencies`."""

    user_managed_dependencies: bool = False
    interpreter_path: str = "python"
    conda_dependencies: CondaDependencies = field(default_factory=CondaDependencies)
    _conda_dependencies_file: str | None = None
    _base_conda_environment: str | None = None

    @property
    def conda_dependencies_file(self) -> str | None:
        return self._conda_dependencies_file

    @conda_dependencies_file.setter
    def conda_dependencies_file(self, path: str | None) -> None:
        if path is not None:
            self.conda_dependencies = CondaDependencies(path)
        self._conda_dependencies_file = path

    def definition(self) -> PythonDefinition:
        packages = self.conda_dependencies
        return PythonDefinition(
            user_managed_dependencies=self.user_managed_dependencies,
            interpreter_path=str(self.interpreter_path),
            python_version=packages.get_python_version(),
            conda=tuple(packages.conda_packages),
            pip=tuple(packages.pip_packages),
            pip_options=tuple(packages.pip_options),
            channels=tuple(packages.conda_channels),
        )

    @staticmethod
    def from_definition(given: PythonDefinition) -> PythonSection:
        packages = CondaDependencies.create(
            pip_packages=given.pip,
            conda_packages=given.conda,
            python_version=given.python_version,
        )
        for option in given.pip_options:
            packages.set_pip_option(option)
        for channel in given.channels:
            packages.add_channel(channel)
        return PythonSection(given.user_managed_dependencies, given.interpreter_path, packages)


@dataclass(repr=False)
class ContainerRegistry(Section):
    """Where an image comes from. The password goes to the workspace's keeping when a run is
    submitted or the environment registered, and nowhere else."""

    address: str | None = None
    username: str | None = None
    password: str | None = None
    registry_identity: Any = None
    rare = frozenset(("registry_identity",))

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "password": "***" if self.password else None}


@dataclass(repr=False)
class DockerSection(Section):
    """A container around the script, when `enabled`.

    `base_image`, or `base_dockerfile`: the text of a Dockerfile, or the path of one. A container
    has the GPUs of its host; `gpu_support` and `shared_volumes` are taken and change nothing.

    Example::

        env.docker.enabled = True
        env.docker.base_image = "python:3.12"
        env.docker.memory = "4g"
    """

    enabled: bool = False
    base_image: str | None = DEFAULT_CPU_IMAGE
    base_dockerfile: str | None = None
    base_image_registry: ContainerRegistry = field(default_factory=ContainerRegistry)
    shared_volumes: bool = True
    #: Size of /dev/shm: "2g".
    shm_size: str | None = None
    gpu_support: bool = False
    #: More arguments of `docker run`.
    arguments: list[str] = field(default_factory=list[str])
    #: Limits: "4g" of memory, 1.5 processors.
    memory: str | None = None
    cpus: float | None = None
    #: "none", "host", or a network of the engine.
    network: str | None = None
    #: Debian packages that the image needs besides: ["libgl1"].
    system_packages: list[str] = field(default_factory=list[str])
    platform: Any = None
    build_context: Any = None
    rare = frozenset(
        (
            "gpu_support",
            "memory",
            "cpus",
            "network",
            "system_packages",
            "platform",
            "build_context",
        )
    )

    def definition(self) -> DockerDefinition:
        registry = self.base_image_registry
        unsaid = not self.enabled and self.base_image == DEFAULT_CPU_IMAGE
        return DockerDefinition(
            enabled=self.enabled,
            base_image=None if unsaid else text(self.base_image),
            base_dockerfile=dockerfile_text(self.base_dockerfile),
            base_image_registry=RegistryDefinition(
                text(registry.address), text(registry.username)
            ),
            shared_volumes=self.shared_volumes,
            shm_size=text(self.shm_size),
            gpu_support=self.gpu_support,
            arguments=texts("docker.arguments", self.arguments),
            memory=text(self.memory),
            cpus=number("docker.cpus", self.cpus),
            network=text(self.network),
            system_packages=texts("docker.system_packages", self.system_packages),
        )

    @staticmethod
    def from_definition(given: DockerDefinition) -> DockerSection:
        unsaid = not given.enabled and not given.base_dockerfile
        return DockerSection(
            enabled=given.enabled,
            base_image=given.base_image or (DEFAULT_CPU_IMAGE if unsaid else None),
            base_dockerfile=given.base_dockerfile,
            base_image_registry=ContainerRegistry(
                given.base_image_registry.address, given.base_image_registry.username
            ),
            shared_volumes=given.shared_volumes,
            shm_size=given.shm_size,
            gpu_support=given.gpu_support,
            arguments=list(given.arguments),
            memory=given.memory,
            cpus=given.cpus,
            network=given.network,
            system_packages=list(given.system_packages),
        )


@dataclass(repr=False)
class SparkPackage(Section):
    """A package of Maven's, for Spark."""

    group: str | None = None
    artifact: str | None = None
    version: str | None = None


@dataclass(repr=False)
class SparkSection(Section):
    """Packages of Spark. Kept as said."""

    repositories: list[str] = field(default_factory=list[str])
    packages: list[Any] = field(default_factory=list[Any])
    precache_packages: bool = True


def texts(what: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, list | tuple):
        raise RunConfigurationException(f"{what} must be a list: [{given!r}].")
    return tuple(str(word) for word in given)


def text(given: object) -> str | None:
    return None if given is None else str(given)


def number(what: str, given: Any) -> float | None:
    try:
        return None if given is None else float(given)
    except (TypeError, ValueError):
        raise RunConfigurationException(f"{what} must be a number, not {given!r}.") from None


def dockerfile_text(given: str | os.PathLike[str] | None) -> str | None:
    """The text of a Dockerfile that is given as such, or by its path.

    Anything of one line that is no instruction is a path. Raises `UserErrorException` for one that
    cannot be read."""
    if given is None:
        return None
    text = os.fspath(given)
    if "\n" in text or text.lstrip().upper().startswith(("FROM ", "ARG ", "#")):
        return text
    return read_dockerfile(text)


def read_dockerfile(path: str) -> str:
    try:
        return Path(path).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is not text"
        raise UserErrorException(f"The Dockerfile '{path}' cannot be read: {why}.") from None
