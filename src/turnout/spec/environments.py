"""What a script needs around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout.spec.errors import EnvironmentSpecError


@dataclass(frozen=True)
class EnvironmentSpec:
    """Packages and variables of a run.

    `user_managed` true: `interpreter` is used as it is, nothing is checked or installed.
    Otherwise the environment is built on the target from `python_version` and `pip`.
    """

    user_managed: bool = False
    #: Path or name of the Python to run with; used only when `user_managed`.
    interpreter: str = "python"
    #: "3.11" or "3.11.7"; None takes what the target has.
    python_version: str | None = None
    #: Requirements as in a requirements file, one each: "scikit-learn==1.5".
    pip: tuple[str, ...] = ()
    #: Conda requirements; solved by the conda kind.
    conda: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    #: Environment variables of the script's process.
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    def check(self) -> None:
        """Raise `EnvironmentSpecError` on a contradiction."""
        for name in self.variables:
            if not name or "=" in name or "\0" in name:
                raise EnvironmentSpecError(f"'{name}' cannot be an environment variable's name.")
        if self.user_managed:
            return
        for line in (*self.pip, *self.conda):
            if not line.strip() or "\n" in line or line.lstrip().startswith("-"):
                raise EnvironmentSpecError(
                    f"{line!r} is not a package requirement. Write a name with an optional "
                    "version, for example 'scikit-learn==1.5'."
                )
