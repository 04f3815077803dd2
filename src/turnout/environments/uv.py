"""System-managed environments from a list of pip packages, built by uv."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from turnout.environments.base import EnvironmentKind, EnvironmentSettings, Recipe, Step
from turnout.environments.requirements import split_provided
from turnout.payload.builds import pip_rules
from turnout.spec.environments import EnvironmentSpec
from turnout.spec.errors import EnvironmentSpecError

#: Part of every key: raised when the same list must be built in another way.
FORMAT = 1
#: What the payload needs.
OLDEST_PYTHON = (3, 8)
PYTHON_VERSION = re.compile(r"(\d+)\.(\d+)(\.\d+)?")
#: Creates the environment; when that fails, tells which Pythons the machine has.
CREATE = (
    '"$0" venv --no-project --python-preference "$1" --python "$2" "$3" && exit; code=$?; '
    'echo "Pythons on this machine:"; "$0" python list --only-installed 2>/dev/null; exit $code'
)


class UvEnvironment(EnvironmentKind):
    """`EnvironmentSpec(pip=("scikit-learn==1.5",), python_version="3.11")`."""

    def recipe(self, spec: EnvironmentSpec, settings: EnvironmentSettings) -> Recipe:
        if spec.conda:
            raise EnvironmentSpecError(
                f"Conda packages are not supported yet: {', '.join(spec.conda[:5])}. List them "
                "under pip instead (add_pip_package), or use an environment that exists "
                "(user_managed_dependencies)."
            )
        version = check_python(spec.python_version)
        wanted, provided = split_provided(spec.pip)
        env = variables(settings)
        steps = [create_step(version, provided, env)]
        if wanted:
            steps.append(install_step(wanted, env))
        return Recipe(
            key=key(version, wanted, settings),
            label=label(version, wanted),
            argv_prefix=("{prefix}/bin/python",),
            env={"VIRTUAL_ENV": "{prefix}"},
            path=("{prefix}/bin",),
            tools=("uv",),
            files={
                "requirements.txt": "".join(f"{line}\n" for line in wanted),
                "pip_rules.py": Path(pip_rules.__file__).read_text(encoding="utf-8"),
            },
            build=tuple(steps),
        )


def check_python(version: str | None) -> str | None:
    """The version in the form that uv takes; raise `EnvironmentSpecError` for nonsense."""
    if version is None or not version.strip():
        return None
    text = version.strip()
    match = PYTHON_VERSION.fullmatch(text)
    if not match:
        raise EnvironmentSpecError(
            f"'{version}' is not a Python version. Write '3.11' or '3.11.7'."
        )
    if (int(match[1]), int(match[2])) < OLDEST_PYTHON or match[1] != "3":
        raise EnvironmentSpecError(
            f"Python {text} cannot be used: Turnout needs {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} "
            "or later in the environment."
        )
    return text


def create_step(version: str | None, provided: Sequence[str], env: dict[str, str]) -> Step:
    left_out = f" ({', '.join(provided)}: part of Turnout, left out)" if provided else ""
    name = f"Python {version}" if version else "Python"
    # "system": the machine's own Python where it fits, else one that uv has or can download.
    asked = version or f">={OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]}"
    return Step(
        f"Creating a {name} environment{left_out}",
        ("/bin/sh", "-c", CREATE, "{uv}", "system", asked, "{prefix}"),
        env,
    )


def install_step(wanted: Sequence[str], env: dict[str, str]) -> Step:
    python = "{prefix}/bin/python"
    return Step(
        f"Installing {count(wanted)}",
        (
            *(python, "-I", "{files}/pip_rules.py", "{uv}", "pip", "install"),
            # Without compiled files the first import of a large package takes three times as long.
            *("--compile-bytecode", "--directory", "{files}", "--python", python),
            *("-r", "{files}/requirements.txt"),
        ),
        env,
    )


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


def key(version: str | None, wanted: Sequence[str], settings: EnvironmentSettings) -> str:
    """Same packages, Python and sources: same key, in whatever order they were written."""
    sources = [settings.index_url, settings.extra_index_urls, sorted(settings.find_links)]
    chosen = {k: v for k, v in settings.variables.items() if "INDEX" in k or "FIND_LINKS" in k}
    data = ["uv", FORMAT, version, list(wanted), sources, sorted(chosen.items())]
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()


def label(version: str | None, wanted: Sequence[str]) -> str:
    return f"Python {version}, {count(wanted)}" if version else count(wanted)


def count(wanted: Sequence[str]) -> str:
    return "1 package" if len(wanted) == 1 else f"{len(wanted) or 'no'} packages"
