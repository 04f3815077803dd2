"""System-managed environments from a conda list, with a pip part: solved and built on the target.

What is decided here is only what was asked; `payload/builds/conda.py` does it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from turnout.environments import conda_list, requirements
from turnout.environments.base import PROGRAM, EnvironmentKind, EnvironmentSettings, Recipe, Step
from turnout.environments.conda_list import Channel, CondaPackage
from turnout.environments.uv import named, variables, without_logins
from turnout.payload.builds.conda_activation import LAUNCHER
from turnout.spec.environments import EnvironmentSpec
from turnout.spec.errors import EnvironmentSpecError
from turnout.spec.sources import normal_option

#: Part of every key: raised when the same list must be built in another way.
FORMAT = 1
#: What the payload needs.
OLDEST_PYTHON = (3, 8)
MODES = ("auto", "conda", "pypi")
POLICIES = ("nearest", "exact")


class CondaEnvironment(EnvironmentKind):
    """`EnvironmentSpec(conda=("scikit-learn=1.5",), pip=("mlflow",), python_version="3.11")`."""

    def recipe(self, spec: EnvironmentSpec, settings: EnvironmentSettings) -> Recipe:
        check_settings(settings)
        packages, provided = conda_list.split_provided(with_python(spec))
        pip, also_provided = requirements.split_provided(spec.pip)
        refuse_old_python(packages, settings)
        channels = channels_of(spec, packages, settings)
        asked = request(packages, pip, spec.pip_options, channels, settings)
        asked["texts"] = {requirements.normalize(line): line.strip() for line in spec.pip}
        asked["provided"] = sorted({*provided, *also_provided})
        count = len([p for p in packages if p.name != "python"]) + len(pip)
        sources = variables(settings)
        env = without_logins(sources)
        return Recipe(
            key=key(asked, sources),
            label=label(packages, pip),
            argv_prefix=("{prefix}/bin/python",),
            env={"CONDA_PREFIX": "{prefix}"},
            path=("{prefix}/bin",),
            launcher=("{prefix}/" + LAUNCHER,),
            tools=("uv",),
            files={"request.json": json.dumps(asked, indent=1, sort_keys=True)},
            lock=(
                Step(
                    f"Solving {counted(count)}",
                    (*PROGRAM, "conda", "lock", "{files}", "{uv}", "{root}"),
                    env,
                ),
            ),
            build=(
                Step(
                    f"Installing {counted(count)}",
                    (*PROGRAM, "conda", "build", "{files}", "{uv}", "{root}", "{prefix}"),
                    env,
                ),
            ),
        )


def check_settings(settings: EnvironmentSettings) -> None:
    for name, value, known in (
        ("environments.conda", settings.conda, MODES),
        ("environments.pins", settings.pins, POLICIES),
    ):
        if value not in known:
            raise EnvironmentSpecError(
                f"The setting {name} is '{value}'. It must be one of {', '.join(known)}."
            )


def with_python(spec: EnvironmentSpec) -> list[str]:
    version = (spec.python_version or "").strip()
    if not version:
        return list(spec.conda)
    return [*spec.conda, f"python{'' if version[0] in '<>!~=' else '='}{version}"]


def refuse_old_python(packages: Sequence[CondaPackage], settings: EnvironmentSettings) -> None:
    """With exact pins a Python that Turnout does not run on is refused before anything is sent."""
    for package in packages:
        if package.name != "python" or settings.pins != "exact":
            continue
        numbers = package.version.removeprefix("==").removesuffix(".*").split(".")[:2]
        if all(n.isdigit() for n in numbers) and tuple(map(int, numbers)) < OLDEST_PYTHON:
            raise EnvironmentSpecError(
                f"'{package.text}' cannot be used: Turnout needs Python {OLDEST_PYTHON[0]}."
                f"{OLDEST_PYTHON[1]} or later in the environment. Ask for that, or set "
                "environments.pins to nearest."
            )


def channels_of(
    spec: EnvironmentSpec, packages: Sequence[CondaPackage], settings: EnvironmentSettings
) -> list[Channel]:
    """The channels in the order of preference; those that only a package names come last."""
    names = [name for name in spec.channels if name.strip() not in ("", "nodefaults")]
    names = names or list(settings.default_channels)
    found: list[Channel] = []
    for name in (*names, *(p.channel for p in packages if p.channel)):
        channel = conda_list.resolve_channel(name, settings.channels)
        if channel.address not in [c.address for c in found]:
            found.append(channel)
    return found


def request(
    packages: Sequence[CondaPackage],
    pip: Sequence[str],
    pip_options: Sequence[str],
    channels: Sequence[Channel],
    settings: EnvironmentSettings,
) -> dict[str, Any]:
    """What `payload/builds/conda.py` gets as `request.json`."""
    return {
        "conda": settings.conda,
        "pins": settings.pins,
        "oldest_python": ".".join(map(str, OLDEST_PYTHON)),
        "channels": [{"name": c.name, "address": c.address} for c in channels],
        "packages": [
            {
                "text": p.text,
                "name": p.name,
                "version": p.version,
                "build": p.build,
                "channel": conda_list.resolve_channel(p.channel, settings.channels).address
                if p.channel
                else "",
            }
            for p in packages
        ],
        "pip": list(pip),
        "pip_options": [normal_option(option) for option in pip_options],
    }


def key(asked: dict[str, Any], env: dict[str, str]) -> str:
    """Same packages, channels and rules: same key, in whatever order and form."""
    packages = [[p[k] for k in ("name", "version", "build", "channel")] for p in asked["packages"]]
    sources = sorted((k, v) for k, v in env.items() if "INDEX" in k or "FIND_LINKS" in k)
    data = [
        *("conda", FORMAT, asked["conda"], asked["pins"], packages, asked["pip"]),
        *(asked["pip_options"], [c["address"] for c in asked["channels"]], sources),
    ]
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()


def label(packages: Sequence[CondaPackage], pip: Sequence[str]) -> str:
    what = named([*(p.text for p in packages if p.name != "python"), *pip])
    python = next((p.version for p in packages if p.name == "python" and p.version), "")
    version = python.removeprefix("==").removesuffix(".*")
    gap = "" if version[:1] in "<>!~" else " "
    return f"Python{gap}{version}, {what}" if version else what


def counted(count: int) -> str:
    return "1 package" if count == 1 else f"{count or 'no'} packages"
