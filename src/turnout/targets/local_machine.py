"""This machine as a target: what `local` and the embedded cluster share."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from turnout.environments.base import EnvironmentSettings
from turnout.hosts.base import Host
from turnout.hosts.local import LocalHost
from turnout.targets.base import Config
from turnout.targets.supervised import SupervisedTarget


class ThisMachine(SupervisedTarget[Config]):
    """Processes on the machine of the service, below `<home>/host`."""

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
