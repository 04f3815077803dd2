"""Environments inside containers: an image with the packages baked in, or one used as it is.

Which packages, and how they are asked for, is said by the kind that makes the same environment
without a container; its build program runs inside.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace

from turnout.environments import uv
from turnout.environments.base import (
    PROGRAM,
    EnvironmentKind,
    EnvironmentSettings,
    Recipe,
    Step,
)
from turnout.environments.conda import CondaEnvironment
from turnout.environments.uv import UvEnvironment
from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.spec.errors import EnvironmentSpecError

#: Part of every key: raised when the same request must be carried out in another way.
FORMAT = 1
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
    "--restart": "a run that ended is never started again behind its back",
    "--attach": "Turnout follows the container itself",
    "--cidfile": "Turnout names the containers that it starts",
    "--pull": "the image is pulled before, once",
}
#: What is so anyway: the first process of a container cares for the others, nobody waits for a
#: terminal, and what ended is removed.
GRANTED = {"--init", "--rm", "--detach", "-d", "--init=true", "--rm=true", "--detach=true"}
SHORT = {"-a": "--attach"}


class ContainerEnvironment(EnvironmentKind):
    """`EnvironmentSpec(pip=("numpy",), container=ContainerSpec(image="python:3.12"))`."""

    def recipe(self, spec: EnvironmentSpec, settings: EnvironmentSettings) -> Recipe:
        container = spec.container
        assert container is not None
        check_arguments(container)
        inner = inner_recipe(spec, settings)
        asked: dict[str, object] = {"program": "", "asked": {}, "container": base(container)}
        if not spec.user_managed:
            asked["program"] = "conda" if spec.conda else "pip"
            asked["asked"] = json.loads(inner.files["request.json"])
        env = uv.variables(settings)
        where = container.reference or "the image of a Dockerfile"
        # How a container is run decides nothing about its image: it stays out of the key.
        limits = json.dumps(run_options(container))
        runner = (*PROGRAM, "container", "run", "{prefix}/container.json", limits, "--")
        return Recipe(
            key=key(asked, inner),
            label=f"{where}, {inner.label}",
            argv_prefix=inside(inner.argv_prefix),
            env={name: inside((value,))[0] for name, value in inner.env.items()},
            tools=("uv",),
            files={"request.json": json.dumps(asked, sort_keys=True)},
            lock=(
                Step(
                    f"Preparing the container ({where})",
                    (*PROGRAM, "image", "lock", "{files}", "{uv}"),
                    env,
                ),
            ),
            build=(
                Step(
                    f"Making the image ({inner.label})",
                    (*PROGRAM, "image", "build", "{files}", "{uv}", "{prefix}"),
                    env,
                ),
            ),
            verify=(*PROGRAM, "container", "check", "{prefix}/container.json"),
            launcher=(*runner, *inside(inner.launcher)),
            isolated=True,
        )


def inner_recipe(spec: EnvironmentSpec, settings: EnvironmentSettings) -> Recipe:
    """The environment as it would be without the container."""
    if not spec.user_managed:
        kind = CondaEnvironment() if spec.conda else UvEnvironment()
        return kind.recipe(replace(spec, container=None), settings)
    interpreter = spec.interpreter.strip()
    if interpreter in ("", "python"):
        return Recipe(None, "its own Python", ("/bin/sh", "-c", EITHER, "python"))
    return Recipe(None, interpreter, (interpreter,))


def inside(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.replace("{prefix}", ENVIRONMENT) for word in words)


def key(asked: dict[str, object], inner: Recipe) -> str:
    data = ["container", FORMAT, asked["container"], asked["program"], inner.key]
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


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
        "arguments": [word for word in container.arguments if word not in GRANTED],
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
