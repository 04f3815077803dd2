from typing import Any

from turnout.targets.base import Target, TargetResources
from turnout.targets.cluster import ClusterConfig, ClusterTarget
from turnout.testing.conformance import TargetConformance


class TestClusterTarget(TargetConformance):
    def make_target(self, resources: TargetResources) -> Target[Any]:
        return ClusterTarget("cpu", ClusterConfig(), resources)
