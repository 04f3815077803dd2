"""Environments inside containers: an image with the packages baked in, or one used as it is."""

from __future__ import annotations

import json
import re

from turnout.environments import uv
from turnout.environments.base import (
    PROGRAM,
    EnvironmentKind,
    EnvironmentSettings,
    Recipe,
    Step,
)
from turnout.environments.requirements import split_provided
from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.spec.errors import EnvironmentSpecError

#: Where the environment is in every image (payload/builds/image.py).
ENVIRONMENT = "/opt/turnout/environment"
#: The image's own Python, by whichever name it has.
EITHER = (
    "p=$(command -v python || command -v python3) || "
    "{ echo 'The image has no Python, neither python nor python3.' >&2; exit 127; }; "
    'exec "$p" "$@"'
)
#: Arguments of `run` that would take a container out of our hands, and why.
REFUSED = {
    "--name": "Turnout names the containers that it starts",
    "--entrypoint": "the command of a container is the run's",
    "--pid": "a container that shares its process ids cannot be ended",
    "--init": "the first process of a container is Turnout's, and cares for the others",
    "--restart": "a run that ended is never started again behind its back",
    "--rm": "Turnout removes the containers that it starts",
    "--detach": "Turnout follows the container itself",
    "--attach": "Turnout follows the container itself",
    "--cidfile": "Turnout names the containers that it starts",
    "--pull": "the image is pulled before, once",
}
SHORT = {"-d": "--detach", "-a": "--attach"}


class ContainerEnvironment(EnvironmentKind):
    """`EnvironmentSpec(pip=("numpy",), container=ContainerSpec(image="python:3.12"))`."""

    def recipe(self, spec: EnvironmentSpec, settings: EnvironmentSettings) -> Recipe:
        container = spec.container
        assert container is not None
        check_arguments(container)
        asked, label, prefix = user_managed(spec) if spec.user_managed else packages(spec)
        asked["pins"] = settings.pins
        asked["container"] = base(container)
        env = uv.variables(settings)
        program = (*PROGRAM, "image")
        where = container.reference or "the image of a Dockerfile"
        # How a container is run decides nothing about its image: it stays out of the key.
        limits = json.dumps(run_options(container))
        runner = (*PROGRAM, "container", "run", "{prefix}/container.json", limits, "--")
        activation = {} if spec.user_managed else {"VIRTUAL_ENV": ENVIRONMENT}
        return Recipe(
            key=uv.key("container", asked, settings),
            label=f"{where}, {label}",
            argv_prefix=prefix,
            env=activation,
            tools=("uv",),
            files={"request.json": json.dumps(asked)},
            lock=(
                Step(
                    f"Preparing the container ({where})",
                    (*program, "lock", "{files}", "{uv}"),
                    env,
                ),
            ),
            build=(
                Step(
                    f"Making the image ({label})",
                    (*program, "build", "{files}", "{uv}", "{prefix}"),
                    env,
                ),
            ),
            verify=(*PROGRAM, "container", "check", "{prefix}/container.json"),
            launcher=runner,
        )


def user_managed(spec: EnvironmentSpec) -> tuple[dict[str, object], str, tuple[str, ...]]:
    """(request, label, what goes before a script) for a Python that the image has."""
    interpreter = spec.interpreter.strip()
    if interpreter in ("", "python"):
        return {"user_managed": True}, "its own Python", ("/bin/sh", "-c", EITHER, "python")
    return {"user_managed": True}, interpreter, (interpreter,)


def packages(spec: EnvironmentSpec) -> tuple[dict[str, object], str, tuple[str, ...]]:
    if spec.conda:
        # CALL SITE: payload/builds/conda.py makes a prefix here; image.py puts it into the image.
        raise EnvironmentSpecError(
            f"Conda packages in a container are not supported: {', '.join(spec.conda[:5])}. List "
            "them under pip (add_pip_package), or use an image that has them "
            "(user_managed_dependencies)."
        )
    version = uv.check_python(spec.python_version)
    wanted, _ = split_provided(spec.pip)
    asked: dict[str, object] = {"python": version, "pip": wanted}
    asked["options"] = list(spec.pip_options)
    return asked, uv.label(version, wanted), (f"{ENVIRONMENT}/bin/python",)


def base(container: ContainerSpec) -> dict[str, object]:
    """What the image is made of."""
    return {
        "image": container.reference,
        "dockerfile": container.dockerfile,
        "registry": container.registry,
        "registry_username": container.registry_username,
        "system_packages": sorted(set(container.system_packages)),
    }


def run_options(container: ContainerSpec) -> dict[str, object]:
    """How the container is run; what is not asked for stays out."""
    found: dict[str, object] = {
        "memory": re.sub(r"\s|(?<=[a-zA-Z])[iI]?[bB]$", "", container.memory),
        "cpus": container.cpus,
        "shm_size": re.sub(r"\s|(?<=[a-zA-Z])[iI]?[bB]$", "", container.shm_size),
        "network": container.network,
        "gpus": container.gpus,
        "arguments": list(container.arguments),
    }
    return {name: value for name, value in found.items() if value not in ("", None, [])}


def check_arguments(container: ContainerSpec) -> None:
    """Raise `EnvironmentSpecError` for arguments that cannot be."""
    for argument in container.arguments:
        name = argument.partition("=")[0]
        reason = REFUSED.get(SHORT.get(name, name))
        if reason is not None:
            raise EnvironmentSpecError(
                f"The container argument '{argument}' cannot be used: {reason}. Leave it out."
            )
