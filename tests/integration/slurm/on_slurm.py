"""A service with an engine and a cluster on a real Slurm, for the tests of this folder."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.integration.service.test_clusters import Service

from turnout.testing.slurm import Slurm
from turnout.testing.waiting import until

WHERE = "import os; print(os.environ['SLURMD_NODENAME'], os.environ['SLURM_CPUS_PER_TASK'])"


class OnSlurm(Service):
    """The service, with an engine "lab" and a cluster "hpc" on it."""

    async def engine(self, **config: Any) -> dict[str, Any]:
        body = {"name": "lab", "config": config}
        answer = await self.web.post("/v1/engines", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def cluster(self, **config: Any) -> None:
        answer = await self.create("hpc", **{"engine": "lab", "max_nodes": 8, **config})
        assert answer.status_code == 201, answer.text
        assert answer.json()["provisioning_state"] == "Succeeded", answer.text

    async def on_slurm(self, code: str, **spec: Any) -> str:
        return await self.submit(code, "hpc", **spec)

    async def wrote(self, run: str, text: str) -> None:
        async def there() -> bool:
            return text in await self.log(run)

        await until(there, f"{run} to write {text!r}")

    async def tells(self, run: str, part: str) -> str:
        async def there() -> bool:
            return part in (await self.run(run))["message"]

        try:
            await until(there, f"{run} to say {part!r}")
        except AssertionError:
            raise AssertionError((await self.run(run))["message"]) from None
        return (await self.run(run))["message"]

    async def cancel(self, run: str) -> None:
        await self.web.post(f"/v1/runs/{run}/cancel")

    async def nothing_left(self) -> None:
        async def empty() -> bool:
            return not list((self.home / "host" / "runs").iterdir())

        await until(empty, "the run folders to go")


def made(service: OnSlurm) -> Any:
    """The service running, with both made when it runs for the first time."""

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[OnSlurm]:
        async with service.running():
            if not (service.home / "made").exists():
                found = await service.engine()
                assert found["provisioning_state"] == "Succeeded", found
                await service.cluster()
                (service.home / "made").touch()
            yield service

    return running()


def agents_of(home: Path) -> list[int]:
    """Agents that answer for this home's engine."""
    found: list[int] = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                line = (place / "cmdline").read_bytes()
            except OSError:
                continue
            if b"--engine" in line and str(home).encode() in line and b"FIND" not in line:
                found.append(int(place.name))
    return found


async def until_none(slurm: Slurm) -> None:
    async def none() -> bool:
        return not slurm.numbers()

    await until(none, "Slurm's queue to be empty")
