"""`Environment`: what a script needs around it, by name, in v1's sections."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.client.conda_dependencies import CondaDependencies
from turnout.client.databricks_sections import DatabricksSection
from turnout.client.environment_sections import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    ContainerRegistry,
    DockerSection,
    PythonSection,
    SparkPackage,
    SparkSection,
    dockerfile_text,
)
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.client.markup import Named, details
from turnout.client.sections import Section
from turnout.spec.definitions import EnvironmentDefinition, from_spec, split_name
from turnout.spec.environments import EnvironmentSpec
from turnout.spec.records import from_dict, to_dict

if TYPE_CHECKING:
    from turnout.client.run import Run
    from turnout.client.run_config import DockerConfiguration
    from turnout.client.workspace import Workspace

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "CondaDependencies",
    "ContainerRegistry",
    "DatabricksSection",
    "DockerSection",
    "Environment",
    "PythonSection",
    "SparkPackage",
    "SparkSection",
]
#: The experiment of runs that only prepare an environment.
PREPARATIONS = "environments"


@dataclass(repr=False)
class Environment(Section):
    """A named environment.

    Example::

        env = Environment("sk")
        env.python.conda_dependencies.add_pip_package("scikit-learn")
        env.register(ws)
        same = Environment.get(ws, "sk")

    Setting a name that is not there raises `RunConfigurationException` with the nearest one.
    """

    name: str | None = None
    version: str | None = None
    environment_variables: dict[str, str] = field(default_factory=dict[str, str])
    python: PythonSection = field(default_factory=PythonSection)
    docker: DockerSection = field(default_factory=DockerSection)
    spark: SparkSection = field(default_factory=SparkSection)
    databricks: DatabricksSection = field(default_factory=DatabricksSection)
    #: Bring back names that libraries have dropped, for old scripts.
    eras: bool = True
    # v1's; taken and without effect.
    r: Any = None
    inferencing_stack_version: str | None = None
    asset_id: str | None = None
    rare = frozenset(("eras", "r", "inferencing_stack_version", "asset_id"))

    # -- made from something --------------------------------------------------------------------

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
        """From a requirements file, with the files that it includes and its options that say
        where packages come from. `pip_version` has no effect: uv installs."""
        found = Environment(name)
        found.python.conda_dependencies = CondaDependencies.from_requirements(file_path)
        return found

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment:
        """All packages of a conda environment of this machine, by its name or folder. No conda
        program is needed. Raises `UserErrorException` when there is none of that name."""
        from turnout.client import environment_sources

        found = Environment(name)
        found.python.conda_dependencies = environment_sources.conda_environment(
            conda_environment_name
        )
        return found

    @staticmethod
    def from_current_interpreter(name: str) -> Environment:
        """Exactly what this Python has installed, with its version. Packages that lie on this
        machine alone (installed with -e, or from a folder) are left out with a warning."""
        from turnout.client import environment_sources

        found = Environment(name)
        packages, left_out = environment_sources.current_interpreter()
        found.python.conda_dependencies = packages
        if left_out:
            import warnings

            warnings.warn(environment_sources.left_out_note(left_out), stacklevel=2)
        return found

    @staticmethod
    def from_docker_image(
        name: str,
        image: str,
        container_registry: ContainerRegistry | None = None,
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """A container of `image`, with the packages of one of the two files, or with the Python
        and the packages that the image has."""
        found = in_container(name, conda_specification, pip_requirements)
        found.docker.base_image = image
        if container_registry is not None:
            found.docker.base_image_registry = container_registry
        return found

    @staticmethod
    def from_dockerfile(
        name: str,
        dockerfile: str | os.PathLike[str],
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """As `from_docker_image`, with the text of a Dockerfile or the path of one."""
        found = in_container(name, conda_specification, pip_requirements)
        found.docker.base_image = None
        found.docker.base_dockerfile = dockerfile_text(dockerfile)
        return found

    @staticmethod
    def load_from_directory(path: str | os.PathLike[str]) -> Environment:
        """The environment that `save_to_directory`, v1's or ours, wrote there."""
        from turnout.client import environment_folders

        return environment_folders.load(Path(path))

    def save_to_directory(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write `azureml_environment.json`, `conda_dependencies.yml` and, if there is one,
        `BaseDockerfile`: v1's names. A folder that is there is an error without `overwrite`."""
        from turnout.client import environment_folders

        environment_folders.save(self, Path(path), overwrite=overwrite)

    def clone(self, new_name: str) -> Environment:
        """A copy under another name, of which no version is registered yet."""
        found = copy.deepcopy(self)
        found.name, found.version = new_name, None
        found.__dict__.pop("_by_name", None)
        return found

    # -- in the workspace -----------------------------------------------------------------------

    def register(self, workspace: Workspace) -> Environment:
        """Keep it under its name. The newest version again when that says the same, else the next
        number; `version` may name one that is free. The registered environment, which this one
        is from now on too."""
        if not self.name:
            raise UserErrorException("An environment needs a name to be registered.")
        self.send_password(workspace)
        kept = self.__dict__.get("_kept")
        # A version that came from the workspace was not asked for: a change makes the next one.
        is_asked = kept is None or kept[:2] != (self.name, self.version)
        body = {
            "name": self.name,
            "version": self.version if is_asked else None,
            "definition": to_dict(self.definition()),
        }
        found = from_view(workspace.client.post("/v1/environments", body))
        self.version = found.version
        self.__dict__["_kept"] = (self.name, self.version, self.definition())
        return found

    @staticmethod
    def get(
        workspace: Workspace, name: str, version: str | None = None, label: str | None = None
    ) -> Environment:
        """A registered or curated environment, the newest version by default. v1's curated names
        ("AzureML-…") give ours of the same family. Raises `NotFoundError`."""
        from turnout.client.http import segment

        if label is not None and label.lower() != "latest":
            raise UserErrorException(f"There is no label '{label}'; the only one is 'latest'.")
        path = f"/v1/environments/{segment(name)}"
        return from_view(workspace.client.get(path, {"version": version}))

    @staticmethod
    def list(workspace: Workspace) -> dict[str, Environment]:
        """The newest version of each registered environment, and the curated ones, by name."""
        found = workspace.client.get("/v1/environments")["environments"]
        return Named({view["name"]: from_view(view) for view in found})

    def build(
        self,
        workspace: Workspace,
        image_build_compute: Any = None,
        target: Any = None,
    ) -> Run:
        """Make it ready on a target (default: this machine) before a run needs it. The run that
        does so; its `wait_for_completion(show_output=True)` shows how it goes."""
        from turnout.client import submission
        from turnout.client.run import from_view as run_from_view

        view = submission.prepare(workspace.client, self, target or image_build_compute or "local")
        return run_from_view(workspace, view)

    def build_local(self, workspace: Workspace, platform: Any = None, **kwargs: Any) -> Run:
        """As `build`, on this machine."""
        return self.build(workspace)

    def send_password(self, workspace: Workspace) -> None:
        """Give the registry's password into the workspace's keeping, if there is one."""
        from turnout.client import submission

        submission.send_password(workspace.client, self)

    def _repr_html_(self) -> str:
        return details(self._summary(), repr(self))

    def _summary(self) -> dict[str, object]:
        python, docker = self.python, self.docker
        listed = python.conda_dependencies
        packages = [*listed.conda_packages, *listed.pip_packages]
        return {
            "Name": self.name,
            "Version": self.version,
            "Python": python.interpreter_path if python.user_managed_dependencies else "",
            "Packages": "" if python.user_managed_dependencies else ", ".join(packages),
            "Image": (docker.base_image or "a Dockerfile") if docker.enabled else "",
        }

    # -- as data --------------------------------------------------------------------------------

    def definition(self) -> EnvironmentDefinition:
        """What name and version stand for: without a password, with the Dockerfile's text."""
        if not isinstance(self.environment_variables, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RunConfigurationException("environment_variables must be a mapping.")
        return EnvironmentDefinition(
            environment_variables={str(k): str(v) for k, v in self.environment_variables.items()},
            python=self.python.definition(),
            docker=self.docker.definition(),
            spark=self.spark.changes(),
            eras=self.eras,
        )

    @staticmethod
    def from_definition(
        given: EnvironmentDefinition, name: str | None = None, version: str | None = None
    ) -> Environment:
        found = Environment(name, version, dict(given.environment_variables))
        found.python = PythonSection.from_definition(given.python)
        found.docker = DockerSection.from_definition(given.docker)
        for key, value in given.spark.items():
            setattr(found.spark, key, value)
        found.eras = given.eras
        return found

    def is_by_name(self) -> bool:
        """Whether a file named it and said nothing more: the workspace knows the rest."""
        return self.was_by_name() and self == Environment(self.name, self.version)

    def was_by_name(self) -> bool:
        """As `is_by_name`, whatever was changed since."""
        return bool(self.__dict__.get("_by_name"))

    def is_registered(self) -> bool:
        """Whether it is still what the workspace keeps under this name and version."""
        kept = self.__dict__.get("_kept")
        return kept == (self.name, self.version, self.definition())

    def to_spec(
        self,
        target: str,
        variables: dict[str, str],
        docker: DockerConfiguration | None = None,
    ) -> EnvironmentSpec:
        """What travels. `docker`: what the run configuration says of containers. Raises
        `UserError` for what contradicts itself."""
        asked = self
        if docker is not None and docker != type(docker)():
            asked = copy.deepcopy(self)
            docker.apply(asked.docker)
        definition = asked.definition()
        every = {
            **definition.environment_variables,
            **{str(k): str(v) for k, v in variables.items()},
        }
        more: dict[str, Any] = {"variables": every}
        if self.is_registered():
            more["name"] = f"{self.name}:{self.version}"
        python = definition.python
        if not python.user_managed_dependencies:
            more["origins"] = self.python.conda_dependencies.origins
        elif target == "local" and not definition.docker.enabled:
            more["interpreter"] = local_interpreter(python.interpreter_path)
        return definition.to_spec(**more)


def from_view(view: dict[str, Any]) -> Environment:
    """The environment that the service shows (docs/design/http-api.md)."""
    definition = from_dict(EnvironmentDefinition, view["definition"], "The environment")
    found = Environment.from_definition(definition, view["name"], view["version"])
    # Beside the settings: what was kept, to see later whether it was changed.
    found.__dict__["_kept"] = (found.name, found.version, found.definition())
    return found


def of_run(view: dict[str, Any]) -> Environment:
    """The environment of a run that the service shows."""
    spec = from_dict(EnvironmentSpec, (view["spec"] or {}).get("environment", {}), "The run")
    name, version = split_name(spec.name) if spec.name else (None, None)
    return Environment.from_definition(from_spec(spec), name, version)


def in_container(name: str, conda: Any, pip: Any) -> Environment:
    if conda is not None and pip is not None:
        raise UserErrorException("Give conda_specification or pip_requirements, not both.")
    if conda is not None:
        found = Environment.from_conda_specification(name, conda)
    elif pip is not None:
        found = Environment.from_pip_requirements(name, pip)
    else:
        found = Environment(name)
        found.python.user_managed_dependencies = True
    found.docker.enabled = True
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
