"""What a script needs around it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout.spec.errors import EnvironmentSpecError
from turnout.spec.sources import check_address, normal_option

SIZE = re.compile(r"[1-9][0-9]*(\.[0-9]+)?\s*([bkmgBKMG]|[kmgKMG]i?[bB])?")
SYSTEM_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]*(=[A-Za-z0-9.+~:-]+)?")
#: Several Pythons, as a conda file asks for them: ">=3.9,<3.12".
PYTHON_RANGE = re.compile(r"(>=|<=|>|<|!=|~=)3(\.\d+){0,2}(,(>=|<=|>|<|!=|~=)\d+(\.\d+){0,2})*")
#: What ends a line somewhere, or a word of a command line.
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
#: An image's name with registry, tag and digest. Never an option, never two words.
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")


@dataclass(frozen=True)
class ContainerSpec:
    """A container around the script. `image` or `dockerfile`, one of the two."""

    #: Such as "python:3.12" or "registry.example.org/team/base:1".
    image: str = ""
    #: The text of a Dockerfile that makes the image.
    dockerfile: str = ""
    #: User name at the image's registry; its password is kept by the workspace, never here.
    registry_username: str = ""
    #: The image's registry, when `image` does not begin with it.
    registry: str = ""
    #: More arguments of `docker run`, as they are.
    arguments: tuple[str, ...] = ()
    #: Size of /dev/shm: "2g".
    shm_size: str = ""
    #: Limit on memory: "512m".
    memory: str = ""
    #: Limit on processors: 1.5.
    cpus: float | None = None
    #: Network of the engine: "none", "host", a name; "" for the engine's default.
    network: str = ""
    #: None: when the host has them.
    gpus: bool | None = None
    #: Debian packages that the image needs: "libgl1".
    system_packages: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """The image as an engine is asked for it."""
        if self.registry and not self.image.startswith(self.registry.rstrip("/") + "/"):
            return f"{self.registry.rstrip('/')}/{self.image}"
        return self.image

    def check(self) -> None:
        """Raise `EnvironmentSpecError` on a contradiction."""
        if bool(self.image) == bool(self.dockerfile.strip()):
            raise EnvironmentSpecError(
                "A container needs an image (base_image) or a Dockerfile (base_dockerfile), one "
                "of the two."
            )
        if self.image and not IMAGE.fullmatch(self.reference):
            raise EnvironmentSpecError(
                f"'{self.reference}' is not an image's name. Write it like 'python:3.12'."
            )
        for what, size in (("shm_size", self.shm_size), ("memory", self.memory)):
            if size and not SIZE.fullmatch(size):
                raise EnvironmentSpecError(f"{what} '{size}' is not a size. Write '512m' or '2g'.")
        if self.cpus is not None and self.cpus <= 0:
            raise EnvironmentSpecError(f"cpus must be more than 0, not {self.cpus:g}.")
        if self.network.startswith("-") or any(c.isspace() for c in self.network):
            raise EnvironmentSpecError(f"'{self.network}' cannot name a network.")
        for package in self.system_packages:
            if not SYSTEM_PACKAGE.fullmatch(package):
                raise EnvironmentSpecError(
                    f"'{package}' is not the name of a Debian package. Write it like 'libgl1'."
                )
        if any("\0" in text for text in (*self.arguments, self.dockerfile)):
            raise EnvironmentSpecError("A container's arguments cannot contain a NUL character.")


@dataclass(frozen=True)
class EnvironmentSpec:
    """Packages and variables of a run.

    `user_managed` true: `interpreter` is used as it is, nothing is checked or installed.
    Otherwise the environment is built on the target from `python_version`, `conda` and `pip`.
    With `container` either happens inside of one.
    """

    user_managed: bool = False
    #: Path or name of the Python to run with; used only when `user_managed`.
    interpreter: str = "python"
    #: "3.11", "3.11.7" or ">=3.9,<3.12"; None takes what the target has.
    python_version: str | None = None
    #: Requirements as in a requirements file, one each: "scikit-learn==1.5".
    pip: tuple[str, ...] = ()
    #: Options of pip that say where packages come from: "--index-url=https://…".
    pip_options: tuple[str, ...] = ()
    #: Conda requirements: "scikit-learn=1.5"; solved by the conda kind.
    conda: tuple[str, ...] = ()
    #: Channels by name or address, the first preferred; empty: what the settings say.
    channels: tuple[str, ...] = ()
    container: ContainerSpec | None = None
    #: Environment variables of the script's process.
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Bring back names that libraries have dropped, for old scripts.
    eras: bool = True
    #: Where a requirement was written: {"idna==99": "conda_dependencies.yml, line 7"}. Decides
    #: nothing.
    origins: Mapping[str, str] = field(default_factory=dict[str, str])
    #: "name:version" of the named environment that this came from. Decides nothing.
    name: str = ""

    def check(self) -> None:
        """Raise `EnvironmentSpecError` on a contradiction."""
        for name in self.variables:
            if not name or "=" in name or "\0" in name:
                raise EnvironmentSpecError(f"'{name}' cannot be an environment variable's name.")
        if self.container is not None:
            self.container.check()
        if self.user_managed:
            return
        for line in (*self.pip, *self.conda):
            if not line.strip() or CONTROL.search(line) or line.lstrip().startswith("-"):
                raise EnvironmentSpecError(
                    f"{line!r} is not a package requirement. Write a name with an optional "
                    "version, for example 'scikit-learn==1.5'."
                )
            check_address(line)
        for option in self.pip_options:
            normal_option(option)
        for channel in self.channels:
            if not channel.strip() or channel.startswith("-"):
                raise EnvironmentSpecError(f"'{channel}' is not a channel's name or address.")
            check_address(channel)
