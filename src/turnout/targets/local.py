"""`local`: this machine. Nothing to attach; exists in every workspace."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from turnout.environments.base import EnvironmentSettings
from turnout.hosts.base import Host
from turnout.hosts.local import LocalHost
from turnout.spec.targets import Capabilities
from turnout.targets.supervised import SupervisedTarget


class LocalConfig(BaseModel):
    """Nothing to configure."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LocalTarget(SupervisedTarget[LocalConfig]):
    """A process on the machine of the service."""

    kind: ClassVar[str] = "local"
    v1_type: ClassVar[str] = "Local"
    config_model: ClassVar[type[BaseModel]] = LocalConfig
    capabilities: ClassVar[Capabilities] = Capabilities(gpu=True, automl=True)

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
