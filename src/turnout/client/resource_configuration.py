"""`ResourceConfiguration`: what a model is said to need when it is served. Kept, not used."""

from __future__ import annotations

from typing import Any


class ResourceConfiguration:
    """Cores, memory and GPUs of a model's future service."""

    def __init__(
        self, cpu: float | None = None, memory_in_gb: float | None = None, gpu: int | None = None
    ) -> None:
        self.cpu = cpu
        self.memory_in_gb = memory_in_gb
        self.gpu = gpu

    def serialize(self) -> dict[str, Any]:
        return {"cpu": self.cpu, "memoryInGB": self.memory_in_gb, "gpu": self.gpu}

    @staticmethod
    def deserialize(payload_obj: dict[str, Any] | None) -> ResourceConfiguration | None:
        if payload_obj is None:
            return None
        found = payload_obj
        return ResourceConfiguration(found.get("cpu"), found.get("memoryInGB"), found.get("gpu"))

    def __repr__(self) -> str:
        return f"ResourceConfiguration({self.serialize()!r})"
