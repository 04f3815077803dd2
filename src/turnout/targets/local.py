"""`local`: this machine. Nothing to attach; exists in every workspace."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from turnout.spec.targets import Capabilities
from turnout.targets.local_machine import ThisMachine


class LocalConfig(BaseModel):
    """Nothing to configure."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LocalTarget(ThisMachine[LocalConfig]):
    """A process on the machine of the service."""

    kind: ClassVar[str] = "local"
    v1_type: ClassVar[str] = "Local"
    config_model: ClassVar[type[BaseModel]] = LocalConfig
    capabilities: ClassVar[Capabilities] = Capabilities(gpu=True, automl=True)
