"""An environment as its name keeps it: the SDK's sections as plain data, and what they ask for."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.spec.errors import EnvironmentSpecError
from turnout.spec.sources import normal_option

#: Azure's own images, which v1 names by default and which nobody can pull any more.
V1_IMAGE = re.compile(r"(mcr\.microsoft\.com/)?azureml/.+|mcr\.microsoft\.com/azureml-.+")


@dataclass(frozen=True)
class PythonDefinition:
    """The Python and its packages."""

    user_managed_dependencies: bool = False
    interpreter_path: str = "python"
    python_version: str | None = None
    conda: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    pip_options: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class RegistryDefinition:
    """Where an image comes from. The password is kept by the workspace, never here."""

    address: str | None = None
    username: str | None = None


@dataclass(frozen=True)
class DockerDefinition:
    """The container around it, if `enabled`."""

    enabled: bool = False
    base_image: str | None = None
    base_dockerfile: str | None = None
    base_image_registry: RegistryDefinition = field(default_factory=RegistryDefinition)
    shared_volumes: bool = True
    shm_size: str | None = None
    gpu_support: bool = False
    arguments: tuple[str, ...] = ()
    memory: str | None = None
    cpus: float | None = None
    network: str | None = None
    system_packages: tuple[str, ...] = ()

    def to_spec(self) -> ContainerSpec | None:
        if not self.enabled:
            return None
        image, dockerfile = self.base_image or "", self.base_dockerfile or ""
        if dockerfile and V1_IMAGE.fullmatch(image):
            image = ""  # the default, which stands until something else is said
        registry = self.base_image_registry
        return ContainerSpec(
            image=image,
            dockerfile=dockerfile,
            registry=registry.address or "",
            registry_username=registry.username or "",
            arguments=self.arguments,
            shm_size=self.shm_size or "",
            memory=self.memory or "",
            cpus=self.cpus,
            network=self.network or "",
            system_packages=self.system_packages,
        )


@dataclass(frozen=True)
class EnvironmentDefinition:
    """All that a name and a version stand for."""

    environment_variables: Mapping[str, str] = field(default_factory=dict[str, str])
    python: PythonDefinition = field(default_factory=PythonDefinition)
    docker: DockerDefinition = field(default_factory=DockerDefinition)
    #: Settings of v1 that are kept and do nothing yet: Spark's packages.
    spark: Mapping[str, Any] = field(default_factory=dict[str, Any])
    eras: bool = True

    def to_spec(self, **more: Any) -> EnvironmentSpec:
        """What this asks for; `more` are fields of the spec that no definition has. Raises
        `EnvironmentSpecError` on a contradiction, and for a password in an address."""
        python = self.python
        spec = EnvironmentSpec(
            user_managed=python.user_managed_dependencies,
            container=self.docker.to_spec(),
            variables=self.environment_variables,
            eras=self.eras,
        )
        if python.user_managed_dependencies:
            spec = dataclasses.replace(spec, interpreter=python.interpreter_path)
        else:
            spec = dataclasses.replace(
                spec,
                python_version=python.python_version,
                pip=python.pip,
                pip_options=tuple(normal_option(option) for option in python.pip_options),
                conda=python.conda,
                channels=python.channels if python.conda else (),
            )
        spec = dataclasses.replace(spec, **more)
        spec.check()
        return spec


def from_spec(spec: EnvironmentSpec) -> EnvironmentDefinition:
    """The definition that asks for `spec`."""
    docker = DockerDefinition()
    if spec.container is not None:
        box = spec.container
        docker = DockerDefinition(
            enabled=True,
            base_image=box.image or None,
            base_dockerfile=box.dockerfile or None,
            base_image_registry=RegistryDefinition(
                box.registry or None, box.registry_username or None
            ),
            shm_size=box.shm_size or None,
            arguments=box.arguments,
            memory=box.memory or None,
            cpus=box.cpus,
            network=box.network or None,
            system_packages=box.system_packages,
        )
    python = PythonDefinition(
        user_managed_dependencies=spec.user_managed,
        interpreter_path=spec.interpreter,
        python_version=spec.python_version,
        conda=spec.conda,
        pip=spec.pip,
        pip_options=spec.pip_options,
        channels=spec.channels,
    )
    return EnvironmentDefinition(dict(spec.variables), python, docker, eras=spec.eras)


def split_name(text: str) -> tuple[str, str | None]:
    """`NAME[:VERSION]`.

    >>> split_name("sk:3"), split_name("sk")
    (('sk', '3'), ('sk', None))
    """
    name, colon, version = text.partition(":")
    if not name or (colon and not version):
        raise EnvironmentSpecError(f"'{text}' is not NAME or NAME:VERSION of an environment.")
    return name, version or None
