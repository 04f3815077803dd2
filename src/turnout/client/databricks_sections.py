"""What a run needs of Databricks: libraries and a cluster, as v1 names them. Kept as said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from turnout.client.exceptions import RunConfigurationException
from turnout.client.sections import Section


@dataclass(repr=False)
class MavenLibrary(Section):
    coordinates: str | None = None
    repo: str | None = None
    exclusions: list[str] = field(default_factory=list[str])

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, [] if name == "exclusions" and value is None else value)


@dataclass(repr=False)
class PyPiLibrary(Section):
    package: str | None = None
    repo: str | None = None


@dataclass(repr=False)
class RCranLibrary(Section):
    package: str | None = None
    repo: str | None = None


@dataclass(repr=False)
class JarLibrary(Section):
    library: str | None = None


@dataclass(repr=False)
class EggLibrary(Section):
    library: str | None = None


@dataclass(repr=False)
class DatabricksCluster(Section):
    """A cluster that is there, by its id, or how one is to be made."""

    existing_cluster_id: str | None = None
    spark_version: str | None = None
    node_type: str | None = None
    instance_pool_id: str | None = None
    num_workers: int | None = None
    min_workers: int | None = None
    max_workers: int | None = None
    spark_env_variables: dict[str, str] | None = None
    spark_conf: dict[str, str] | None = None
    init_scripts: list[str] | None = None
    cluster_log_dbfs_path: str | None = None
    permit_cluster_restart: bool | None = None

    def validate(self) -> None:
        """Raise `RunConfigurationException` for what contradicts itself."""
        made = (self.spark_version, self.node_type, self.instance_pool_id, self.num_workers,
                self.min_workers, self.max_workers)  # fmt: skip
        if self.existing_cluster_id and any(value is not None for value in made):
            raise RunConfigurationException(
                "existing_cluster_id names a cluster that is there: leave out what one is made of."
            )
        if self.num_workers is not None and (self.min_workers, self.max_workers) != (None, None):
            raise RunConfigurationException(
                "Give num_workers, or min_workers and max_workers, not both."
            )
        if (self.min_workers is None) != (self.max_workers is None):
            raise RunConfigurationException("Give min_workers and max_workers together.")


@dataclass(repr=False)
class DatabricksSection(Section):
    """Libraries of Databricks. Taken; nothing uses them yet."""

    maven_libraries: list[Any] = field(default_factory=list[Any])
    pypi_libraries: list[Any] = field(default_factory=list[Any])
    rcran_libraries: list[Any] = field(default_factory=list[Any])
    jar_libraries: list[Any] = field(default_factory=list[Any])
    egg_libraries: list[Any] = field(default_factory=list[Any])
    cluster: DatabricksCluster = field(default_factory=DatabricksCluster)
    rare = frozenset(("cluster",))
