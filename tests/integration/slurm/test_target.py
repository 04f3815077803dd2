"""Slurm clusters hold what every target holds."""

from typing import Any

import pytest

from turnout.targets.base import Target, TargetResources
from turnout.targets.cluster import ClusterConfig
from turnout.targets.slurm import SlurmCluster, SlurmConfig, SlurmEngine
from turnout.testing.conformance import TargetConformance


class AloneOnItsEngine(SlurmCluster):
    async def aclose(self) -> None:
        await self.engine.aclose()


@pytest.mark.usefixtures("slurm")
class TestSlurmCluster(TargetConformance):
    def make_target(self, resources: TargetResources) -> Target[Any]:
        engine = SlurmEngine("lab", SlurmConfig(), resources)
        config = ClusterConfig(vm_size="1c1g", engine="lab")
        engine.clusters.add("hpc")
        return AloneOnItsEngine("hpc", config, resources, engine)
