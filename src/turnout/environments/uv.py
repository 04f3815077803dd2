"""System-managed environments from a list of pip packages, built by uv."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from turnout.environments.base import (
    PROGRAM,
    EnvironmentKind,
    EnvironmentSettings,
    Recipe,
    Step,
)
from turnout.environments.requirements import split_provided
from turnout.spec.environments import PYTHON_RANGE, EnvironmentSpec
from turnout.spec.errors import EnvironmentSpecError
from turnout.spec.sources import hidden, normal_option

#: Part of every key: raised when the same list must be built in another way.
FORMAT = 2
#: A label names so many packages, each with so many characters.
LABEL_NAMES = 3
NAME_SHOWN = 40
#: An older one makes way for the nearest newer (the payload needs 3.8); nothing else is a Python.
PYTHON_VERSION = re.compile(r"3\.\d+(\.\d+)?")


class UvEnvironment(EnvironmentKind):
    """`EnvironmentSpec(pip=("scikit-learn==1.5",), python_version="3.11")`."""

    def recipe(self, spec: EnvironmentSpec, settings: EnvironmentSettings) -> Recipe:
        version = check_python(spec.python_version)
        wanted, provided = split_provided(spec.pip)
        env = without_logins(variables(settings))
        asked = {
            "python": version,
            "pip": wanted,
            "options": [normal_option(option) for option in spec.pip_options],
            "pins": settings.pins,
        }
        left_out = f" ({', '.join(provided)}: part of Turnout, left out)" if provided else ""
        resolving = f"Resolving {count(wanted)}" if wanted else "Looking for a Python"
        program = (*PROGRAM, "pip")
        return Recipe(
            key=key("uv", asked, settings),
            label=label(version, named(wanted)),
            argv_prefix=("{prefix}/bin/python",),
            env={"VIRTUAL_ENV": "{prefix}"},
            path=("{prefix}/bin",),
            tools=("uv",),
            files={"request.json": json.dumps(asked)},
            lock=(
                Step(resolving + left_out, (*program, "lock", "{files}", "{uv}", "{root}"), env),
            ),
            build=(
                Step(
                    f"Creating an environment ({label(version, count(wanted), python='Python')})",
                    (*program, "build", "{files}", "{uv}", "{root}", "{prefix}"),
                    env,
                ),
            ),
        )


def check_python(version: str | None) -> str | None:
    """The version in the form that uv takes; raise `EnvironmentSpecError` for nonsense."""
    if version is None or not version.strip():
        return None
    text = re.sub(r"\s+", "", version)
    if not (PYTHON_VERSION.fullmatch(text) or PYTHON_RANGE.fullmatch(text)):
        raise EnvironmentSpecError(
            f"'{version}' is not a Python version that Turnout can run. Write '3.11', "
            "'3.11.7' or '>=3.9,<3.12'."
        )
    return text


def variables(settings: EnvironmentSettings) -> dict[str, str]:
    """`settings` as uv takes them. What a person set for uv itself comes first."""
    env: dict[str, str] = {}
    if settings.index_url:
        env["UV_DEFAULT_INDEX"] = settings.index_url
    if settings.extra_index_urls:
        env["UV_INDEX"] = " ".join(settings.extra_index_urls)
        env["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if settings.find_links:
        env["UV_FIND_LINKS"] = ",".join(settings.find_links)
    env.update(settings.variables)
    return env


def without_logins(env: Mapping[str, str]) -> dict[str, str]:
    """What may be written down with a run. The rest is of the machine that builds: its own uv and
    pip settings say it there."""
    return {name: value for name, value in env.items() if hidden(value) == value}


def key(kind: str, asked: Mapping[str, object], settings: EnvironmentSettings) -> str:
    """Same packages, Python and sources: same key, in whatever order they were written."""
    sources = [settings.index_url, settings.extra_index_urls, sorted(settings.find_links)]
    chosen = {k: v for k, v in settings.variables.items() if "INDEX" in k or "FIND_LINKS" in k}
    data = [kind, FORMAT, asked, sources, sorted(chosen.items())]
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def label(version: str | None, what: str, python: str = "") -> str:
    gap = "" if version and version[0] in "<>!~" else " "
    first = f"Python{gap}{version}" if version else python
    return ", ".join(part for part in (first, what) if part)


def named(lines: Sequence[str]) -> str:
    """What a list of environments shows of one.

    >>> named(["numpy<2", "tool @ https://example.org/tool.whl", "a", "b", "c"])
    'numpy<2, tool, a and 2 more'
    >>> named([])
    'no packages'
    """
    names = [re.split(r"\s*[@;]", line)[0][:NAME_SHOWN] for line in lines]
    if len(names) > LABEL_NAMES + 1:
        return f"{', '.join(names[:LABEL_NAMES])} and {len(names) - LABEL_NAMES} more"
    return ", ".join(names) or "no packages"


def count(wanted: Sequence[str]) -> str:
    return "1 package" if len(wanted) == 1 else f"{len(wanted) or 'no'} packages"
