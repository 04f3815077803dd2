"""Sections of a run configuration that are kept as said, for files of v1's later years."""

from __future__ import annotations

from dataclasses import dataclass, field

from turnout.client.sections import Section


@dataclass(repr=False)
class KubernetesComputeConfiguration(Section):
    instance_type: str | None = None


@dataclass(repr=False)
class ParallelTaskConfiguration(Section):
    max_retries_per_worker: int = 0
    worker_count_per_node: int = 1
    terminal_exit_codes: list[int] | None = None


@dataclass(repr=False)
class ApplicationEndpointConfiguration(Section):
    type: str | None = None
    port: int | None = None
    properties: dict[str, str] = field(default_factory=dict[str, str])
