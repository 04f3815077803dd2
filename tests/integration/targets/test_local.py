from typing import Any

from turnout.targets.base import Target, TargetResources
from turnout.targets.local import LocalConfig, LocalTarget
from turnout.testing.conformance import TargetConformance


class TestLocalTarget(TargetConformance):
    def make_target(self, resources: TargetResources) -> Target[Any]:
        return LocalTarget("local", LocalConfig(), resources)
