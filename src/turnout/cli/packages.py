"""What a script needs, from options: packages, files that list them, a named environment, an
image. The same for `submit` and `environments`."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from turnout.spec.errors import EnvironmentSpecError, UserError

if TYPE_CHECKING:
    from turnout.client.conda_dependencies import CondaDependencies
    from turnout.client.environment import Environment

VERSION = re.compile(r"\d+(\.\d+)*")
#: Option and the attribute it sets, for those that a named environment says already.
SAID = {
    "--pip": "pip",
    "--requirements": "requirements",
    "--conda": "conda",
    "--conda-package": "conda_package",
    "--python": "python",
    "--docker": "docker",
    "--dockerfile": "dockerfile",
}
LIMITS = {
    "--memory": "memory",
    "--cpus": "cpus",
    "--network": "network",
    "--docker-arg": "docker_arg",
}


def declare_packages(group: Any) -> None:
    group.add_argument(
        "--pip", action="append", default=[], metavar="PACKAGE", help="a package; repeatable"
    )
    group.add_argument("-r", "--requirements", metavar="FILE", help="a requirements file")
    group.add_argument("-f", "--conda", metavar="FILE", help="a conda environment file")
    group.add_argument(
        "--conda-package",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a conda package; repeatable",
    )
    group.add_argument(
        "--python",
        metavar="VERSION|PATH",
        help="a version makes an environment with it; a path is used as it is",
    )


def declare_container(group: Any, *more: str) -> None:
    group.add_argument("--docker", *more, metavar="IMAGE", help="run in a container of this image")
    group.add_argument("--dockerfile", metavar="FILE", help="run in a container that it makes")


def declare_limits(group: Any) -> None:
    group.add_argument("--memory", metavar="SIZE", help="limit on memory: 512m, 4g")
    group.add_argument("--cpus", type=float, metavar="N", help="limit on processors: 1.5")
    group.add_argument("--network", metavar="NAME", help="none, host, or a network of the engine")
    group.add_argument(
        "--docker-arg",
        action="append",
        default=[],
        metavar="ARG",
        help="one more argument of docker run; repeatable",
    )


def asks_for_packages(given: argparse.Namespace) -> bool:
    return bool(given.pip or given.requirements or given.conda or given.conda_package)


def make_environment(given: argparse.Namespace, interpreter: str) -> Environment:
    """The environment that the options describe; with none of them, `interpreter` as it is.

    Raises `UserError` for options that contradict each other."""
    from turnout.client.environment import Environment
    from turnout.client.environment_sections import read_dockerfile

    if given.docker and given.dockerfile:
        raise UserError("Give --docker or --dockerfile, not both.")
    found = Environment()
    if given.docker or given.dockerfile:
        found.docker.enabled = True
        found.docker.base_image = given.docker
        if given.dockerfile:
            found.docker.base_dockerfile = read_dockerfile(given.dockerfile)
        interpreter = "python"
    is_version = bool(given.python and VERSION.fullmatch(given.python))
    if not asks_for_packages(given) and not is_version:
        found.python.user_managed_dependencies = True
        found.python.interpreter_path = given.python or interpreter
        return found
    if given.python and not is_version:
        raise UserError(
            f"--python {given.python} is an interpreter to be used as it is: packages cannot be "
            "added to it. Give a version such as 3.11, or leave the packages out."
        )
    add_packages(found, given)
    return found


def add_packages(found: Environment, given: argparse.Namespace) -> None:
    from turnout.client import requirements_files
    from turnout.client.conda_dependencies import CondaDependencies

    packages = CondaDependencies(given.conda) if given.conda else CondaDependencies()
    if given.requirements:
        packages.add_requirements(requirements_files.read(given.requirements))
    for package in given.pip:  # What is typed beats what the file says.
        packages.remove_pip_package(package)
    for package in given.conda_package:
        packages.remove_conda_package(package)
    for package in given.pip:
        packages.add_pip_line(package)
    for package in given.conda_package:
        packages.add_conda_line(package)
    if given.python:
        packages.set_python_version(given.python)
    check_lines(packages)
    found.python.conda_dependencies = packages


def check_lines(packages: CondaDependencies) -> None:
    """Refuse what is no requirement before anything is sent, and say where it stands."""
    from turnout.environments import conda_list, requirements

    origins = packages.origins
    for check, lines in (
        (conda_list.parse, packages.conda_packages),
        (requirements.normalize, packages.pip_packages),
    ):
        for line in lines:
            try:
                check(line)
            except EnvironmentSpecError as e:
                place = origins.get(line)
                raise UserError(f"{place}: {e.message}" if place else e.message) from None


def named_environment(given: argparse.Namespace, text: str) -> Environment:
    """The environment that the workspace keeps under NAME[:VERSION]."""
    from turnout.client.environment import Environment
    from turnout.client.workspace import Workspace
    from turnout.spec.definitions import split_name

    for option, name in SAID.items():
        if getattr(given, name):
            raise UserError(f"The environment '{text}' says it all: leave {option} out.")
    return Environment.get(Workspace(), *split_name(text))


def add_limits(found: Environment, given: argparse.Namespace) -> None:
    """Limits, network and arguments of the container, which there must be."""
    said = [option for option, name in LIMITS.items() if getattr(given, name) not in (None, [])]
    if not said:
        return
    docker = found.docker
    if not docker.enabled:
        raise UserError(f"{said[0]} is for a container: give --docker or --dockerfile too.")
    docker.memory = given.memory or docker.memory
    docker.cpus = docker.cpus if given.cpus is None else given.cpus
    docker.network = given.network or docker.network
    docker.arguments = [*docker.arguments, *given.docker_arg]
