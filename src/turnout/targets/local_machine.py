"""This machine as a target: what `local` and the embedded cluster share."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import turnout
from turnout.environments.base import EnvironmentSettings, Recipe
from turnout.hosts.base import Host
from turnout.hosts.local import LocalHost
from turnout.payload import rundir
from turnout.targets.base import Config, Ticket
from turnout.targets.supervised import SupervisedTarget


class ThisMachine(SupervisedTarget[Config]):
    """Processes on the machine of the service, below `<home>/host`."""

    is_here: ClassVar[bool] = True

    def make_host(self) -> Host:
        return LocalHost()

    @property
    def root(self) -> str:
        return str(self.resources.home / "host")

    @property
    def store(self) -> str | None:
        return str(self.resources.store)

    @property
    def pythons(self) -> Sequence[str]:
        return (sys.executable,)

    def settings_there(self, asked: EnvironmentSettings) -> EnvironmentSettings:
        return asked.with_variables_of(os.environ)

    def describe(self, ticket: Ticket, recipe: Recipe, digests: dict[str, str]) -> dict[str, Any]:
        """A script on this machine reaches the workspace, with the SDK that lies here; one in a
        container does not."""
        found = super().describe(ticket, recipe, digests)
        if ticket.spec.environment.container is None:
            found["variables"] = {
                "TURNOUT_HOME": str(self.resources.home),
                rundir.CLIENT_VARIABLE: str(Path(str(turnout.__file__)).parent),
                **found["variables"],
            }
        return found
