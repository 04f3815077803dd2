"""`Environment`: what a script needs around it, in v1's sections."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnout.client.conda_dependencies import CondaDependencies
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.client.sections import Section
from turnout.spec.environments import EnvironmentSpec

#: Names of v1's images; what they hold comes with containers.
DEFAULT_CPU_IMAGE = "azureml/openmpi4.1.0-ubuntu22.04"
DEFAULT_GPU_IMAGE = "azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"


@dataclass(repr=False)
class PythonSection(Section):
    """`user_managed_dependencies` with `interpreter_path`, or `conda_dependencies`."""

    user_managed_dependencies: bool = False
    interpreter_path: str = "python"
    conda_dependencies: CondaDependencies = field(default_factory=CondaDependencies)
    _conda_dependencies_file: str | None = None

    @property
    def conda_dependencies_file(self) -> str | None:
        return self._conda_dependencies_file

    @conda_dependencies_file.setter
    def conda_dependencies_file(self, path: str | None) -> None:
        if path is not None:
            self.conda_dependencies = CondaDependencies(path)
        self._conda_dependencies_file = path


@dataclass(repr=False)
class ContainerRegistry(Section):
    address: str | None = None
    username: str | None = None
    password: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "password": "***" if self.password else None}


@dataclass(repr=False)
class DockerSection(Section):
    """Containers. Kept as said; a run that asks for one is refused by this version."""

    enabled: bool = False
    base_image: str | None = DEFAULT_CPU_IMAGE
    base_dockerfile: str | None = None
    base_image_registry: ContainerRegistry = field(default_factory=ContainerRegistry)
    shared_volumes: bool = True
    shm_size: str | None = None
    gpu_support: bool = False
    arguments: list[str] = field(default_factory=list[str])


@dataclass(repr=False)
class SparkSection(Section):
    repositories: list[str] = field(default_factory=list[str])
    packages: list[Any] = field(default_factory=list[Any])
    precache_packages: bool = True


@dataclass(repr=False)
class Environment(Section):
    """A named environment.

    Example::

        env = Environment("sk")
        env.python.conda_dependencies.add_pip_package("scikit-learn")
    """

    name: str | None = None
    version: str | None = None
    environment_variables: dict[str, str] = field(default_factory=dict[str, str])
    python: PythonSection = field(default_factory=PythonSection)
    docker: DockerSection = field(default_factory=DockerSection)
    spark: SparkSection = field(default_factory=SparkSection)

    @staticmethod
    def from_conda_specification(name: str, file_path: str | os.PathLike[str]) -> Environment:
        """From a conda environment file."""
        found = Environment(name)
        found.python.conda_dependencies = CondaDependencies(file_path)
        return found

    @staticmethod
    def from_pip_requirements(
        name: str, file_path: str | os.PathLike[str], pip_version: str | None = None
    ) -> Environment:
        """From a requirements file: one requirement a line, comments left out."""
        try:
            lines = Path(file_path).read_text().splitlines()
        except OSError as e:
            raise UserErrorException(f"'{file_path}' cannot be read: {e.strerror}.") from None
        wanted = [line.split(" #")[0].strip() for line in lines]
        found = Environment(name)
        found.python.conda_dependencies = CondaDependencies.create(
            pip_packages=[line for line in wanted if line and not line.startswith("#")]
        )
        return found

    def clone(self, new_name: str) -> Environment:
        found = copy.deepcopy(self)
        found.name = new_name
        return found

    def to_spec(self, target: str, variables: dict[str, str]) -> EnvironmentSpec:
        """What travels: packages and variables. Raises `RunConfigurationException` for what this
        version cannot do."""
        if self.docker.enabled:
            raise RunConfigurationException(
                "Containers are not there in this version: set environment.docker.enabled = False "
                "to run without one."
            )
        every = {str(k): str(v) for k, v in {**self.environment_variables, **variables}.items()}
        python = self.python
        if python.user_managed_dependencies:
            interpreter = str(python.interpreter_path)
            if target == "local":
                interpreter = local_interpreter(interpreter)
            found = EnvironmentSpec(user_managed=True, interpreter=interpreter, variables=every)
        else:
            packages = python.conda_dependencies
            if packages.pip_options:
                raise RunConfigurationException(
                    f"The pip option '{packages.pip_options[0].split()[0]}' is not supported; "
                    "configure the package index on the target instead."
                )
            found = EnvironmentSpec(
                python_version=packages.get_python_version(),
                pip=tuple(packages.pip_packages),
                conda=tuple(packages.conda_packages),
                channels=tuple(packages.conda_channels) if packages.conda_packages else (),
                variables=every,
            )
        found.check()
        return found


def local_interpreter(path: str) -> str:
    """`path` as the service, whose current folder and PATH differ from ours, has to be told it.

    The plain name `python` is the interpreter of this process."""
    from turnout.client import embedded

    if embedded.is_hosted():
        return path
    if path == "python":
        import sys

        return sys.executable
    if "/" in path:
        return str(Path(path).expanduser().absolute())
    import shutil

    return shutil.which(path) or path
