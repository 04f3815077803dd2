"""Environment kinds turn what a person asked for into a recipe: data that a supervisor follows.

The recipe's meaning is fixed in docs/design/run-folder.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from turnout.spec.environments import EnvironmentSpec

#: Variables that decide which packages a build gets. Others of uv's may hold tokens and stay out.
PASSED_ON = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
    *("UV_INDEX_STRATEGY", "UV_NO_INDEX", "UV_PYTHON_DOWNLOADS", "UV_PYTHON_INSTALL_MIRROR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
)


@dataclass(frozen=True)
class Step:
    """One command of a build."""

    #: What is being done, for a person: "Installing 3 packages".
    message: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    def to_dict(self) -> dict[str, Any]:
        return {"message": self.message, "argv": list(self.argv), "env": dict(self.env)}


#: Begins the command line of a build program: its kind, its phase and what it needs follow.
PROGRAM = ("{python}", "-S", "-E", "{builds}")


@dataclass(frozen=True)
class Recipe:
    """How an environment is made and used. The words in braces are filled in on the target."""

    #: Names what was asked for; None: nothing to build.
    key: str | None
    label: str
    #: Before a script.
    argv_prefix: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Put before `PATH`.
    path: tuple[str, ...] = ()
    #: Programs that the steps need: `environments.tools.tool` has them.
    tools: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Find out what exactly is to be installed: leave the file `{files}/lock`.
    lock: tuple[Step, ...] = ()
    #: Make it at `{prefix}`.
    build: tuple[Step, ...] = ()
    #: Fails when a ready environment was damaged behind our back.
    verify: tuple[str, ...] = ()
    #: Before everything that a run starts, also before a whole command line.
    launcher: tuple[str, ...] = ()
    #: The launcher puts the script where the machine's own variables mean nothing.
    isolated: bool = False

    def to_dict(self, digests: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The form that goes into `ticket.json`; `digests` has the tools' digests by name."""
        return {
            "key": self.key,
            "label": self.label,
            "tools": {name: (digests or {}).get(name, "") for name in self.tools},
            "files": dict(self.files),
            "lock": [step.to_dict() for step in self.lock],
            "build": [step.to_dict() for step in self.build],
            "verify": list(self.verify),
            "activation": {
                "launcher": list(self.launcher),
                "isolated": self.isolated,
                "argv_prefix": list(self.argv_prefix),
                "env": dict(self.env),
                "path": list(self.path),
            },
        }


@dataclass(frozen=True)
class EnvironmentSettings:
    """Where packages come from. Empty: what the target's own uv and pip settings say."""

    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    #: Folders or pages with wheels.
    find_links: tuple[str, ...] = ()
    #: More variables for the build: UV_*, SSL_CERT_FILE.
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    #: What makes conda lists: "conda", "pypi" (by names there), or "auto": the first that can.
    conda: str = "auto"
    #: Where a channel's name leads: {"conda-forge": "https://mirror.example.org/conda-forge"}.
    channels: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Channels of a list that names none.
    default_channels: tuple[str, ...] = ("conda-forge",)
    #: A pin that cannot be met: "nearest" newer version with a warning, or "exact": fail.
    pins: str = "nearest"

    def with_variables_of(self, environ: Mapping[str, str]) -> EnvironmentSettings:
        """With what the variables of a process say to pip and uv: for builds on its machine."""
        return replace(
            self,
            index_url=environ.get("PIP_INDEX_URL", ""),
            extra_index_urls=tuple(environ.get("PIP_EXTRA_INDEX_URL", "").split()),
            find_links=tuple(environ.get("PIP_FIND_LINKS", "").split()),
            variables={name: environ[name] for name in PASSED_ON if environ.get(name)},
        )


class EnvironmentKind(ABC):
    """Makes recipes for one kind of environment."""

    @abstractmethod
    def recipe(self, spec: EnvironmentSpec, settings: EnvironmentSettings) -> Recipe:
        """The recipe for `spec`. Decides without I/O, so that the same input gives the same key.

        Raises `EnvironmentSpecError` for what this kind cannot make.
        """
