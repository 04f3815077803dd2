"""Which kind of environment makes the recipe for what was asked."""

from __future__ import annotations

from turnout.environments.base import EnvironmentKind, EnvironmentSettings, Recipe
from turnout.environments.conda import CondaEnvironment
from turnout.environments.docker import ContainerEnvironment
from turnout.environments.user_managed import UserManaged
from turnout.environments.uv import UvEnvironment
from turnout.spec.environments import EnvironmentSpec

KINDS: dict[str, EnvironmentKind] = {
    "user_managed": UserManaged(),
    "conda": CondaEnvironment(),
    "container": ContainerEnvironment(),
    "uv": UvEnvironment(),
}


def kind_of(spec: EnvironmentSpec) -> EnvironmentKind:
    if spec.container is not None:
        return KINDS["container"]
    if spec.user_managed:
        return KINDS["user_managed"]
    return KINDS["conda" if spec.conda else "uv"]


def recipe(spec: EnvironmentSpec, settings: EnvironmentSettings | None = None) -> Recipe:
    """The recipe for `spec`. Raises `EnvironmentSpecError` for what no kind can make.

    Example: `recipe(EnvironmentSpec(pip=("numpy",))).label` is "numpy".
    """
    spec.check()
    return kind_of(spec).recipe(spec, settings or EnvironmentSettings())
