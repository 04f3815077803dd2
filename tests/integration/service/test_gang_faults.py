"""What goes wrong in runs with several processes, and what must hold all the same."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service.test_clusters import Service
from tests.integration.service.test_gangs import (
    MPI,
    PYTORCH,
    SHOW,
    logs,
    mpirun,
    needs_two_cores,
    shown,
)

from turnout.payload import rundir, slices
from turnout.testing.missing import missing
from turnout.testing.waiting import is_running, until

__all__ = ["mpirun"]
#: Longer than anybody waits for its end.
WAIT = "\nimport time\ntime.sleep(3600)\n"
BOTH = pytest.mark.parametrize("asked", [PYTORCH, MPI], ids=["pytorch", "mpi"])


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with Service(tmp_path / "home").running() as made:
        await made.create(max_nodes=2)
        yield made


async def both_up(service: Service, run: str) -> list[int]:
    """The processes of a run of two that shows itself."""

    async def up() -> bool:
        texts = await logs(service, run)
        return len(texts) == 2 and all(len(text.splitlines()) > 1 for text in texts)

    await until(up, "both processes")
    return [pid for _, _, pid in await shown(service, run)]


def kill_supervisor(service: Service, run: str) -> None:
    status = rundir.read_json(str(service.home / f"host/runs/{run}.1" / rundir.STATUS))
    os.kill(status["pid"], signal.SIGKILL)


def groups_of(parent: str, run: str) -> list[str]:
    return [place.name for place in Path(parent).iterdir() if run in place.name]


@BOTH
async def test_a_failure_leaves_the_others_their_grace(
    service: Service, mpirun: None, asked: dict[str, Any], tmp_path: Path
) -> None:
    ready, saved = tmp_path / "ready", tmp_path / "saved"
    code = f"""
import os, signal, sys, time
def save(*_):
    time.sleep(3)
    open({str(saved)!r}, "w").close()
    sys.exit(0)
if os.environ["TURNOUT_RANK"] == "1":
    signal.signal(signal.SIGTERM, save)
    open({str(ready)!r}, "w").close()
    time.sleep(60)
while not os.path.exists({str(ready)!r}):
    time.sleep(0.01)
sys.exit(4)
"""
    run = await service.submit(code, "local", distribution=asked, grace_s=20)
    found = await service.reached(run, "failed")
    assert found["error"]["exit_code"] == 4
    assert saved.exists()


@BOTH
async def test_nothing_outlives_its_supervisor(
    service: Service, mpirun: None, asked: dict[str, Any]
) -> None:
    run = await service.submit(SHOW + WAIT, distribution=asked, restarts=0)
    pids = await both_up(service, run)
    kill_supervisor(service, run)
    await service.reached(run, "failed")

    parent, _ = slices.parent_group()

    async def gone() -> bool:
        return not any(map(is_running, pids)) and not (parent and groups_of(parent, run))

    await until(gone, "their end")


@BOTH
async def test_all_of_the_first_ones_output_is_kept(
    service: Service, mpirun: None, asked: dict[str, Any]
) -> None:
    code = """
import os, sys
if os.environ["TURNOUT_RANK"] == "1":
    import time; time.sleep(60)
for i in range(100_000): print("line", i)
sys.exit(5)
"""
    run = await service.submit(code, "local", distribution=asked)
    assert (await service.reached(run, "failed"))["error"]["exit_code"] == 5
    lines = [t for t in (await service.log(run)).splitlines() if t.startswith("line ")]
    assert lines == [f"line {i}" for i in range(100_000)]


@BOTH
async def test_variables_of_the_run_go_before_ours(
    service: Service, mpirun: None, asked: dict[str, Any]
) -> None:
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['CUDA_VISIBLE_DEVICES'])"
    said = {"OMP_NUM_THREADS": "7", "CUDA_VISIBLE_DEVICES": "5"}
    environment = {"user_managed": True, "variables": said}
    run = await service.submit(code, distribution=asked, environment=environment)
    await service.reached(run, "completed")
    assert await logs(service, run) == ["7 5\n", "7 5\n"]


async def test_children_are_whose_process_began_them(service: Service) -> None:
    code = """
from turnout import Run
import os
with Run.get_context().child_run(name="part") as child:
    child.log("rank", int(os.environ["RANK"]))
"""
    run = await service.submit(code, "local", distribution=PYTORCH)
    await service.reached(run, "completed")
    found = (await service.get(f"runs/{run}/metrics?recursive=true"))["metrics"]
    assert sorted(json.dumps(m) for m in found.values()) == ['{"rank": 0}', '{"rank": 1}', "{}"]


@BOTH
async def test_a_program_that_is_not_there(
    service: Service, mpirun: None, asked: dict[str, Any]
) -> None:
    body = {
        "key": f"gang-no-program-{asked['kind']}",
        "experiment": "e",
        "spec": {
            "command": ["no-such-program"],
            "target": "local",
            "environment": {"user_managed": True},
            "distribution": asked,
        },
    }
    run = (await service.web.post("/v1/runs", json=body)).json()["id"]
    found = await service.reached(run, "failed")
    assert found["error"]["message"] == "There is no program 'no-such-program' on the PATH."


async def test_nothing_is_left_of_an_attempt_on_several_nodes(service: Service) -> None:
    needs_two_cores()
    parent, _ = slices.parent_group()
    if not parent or "cgroups" not in slices.limits():
        missing("memory is not held here")
    code = f"import os\nif os.environ['TURNOUT_RUN_ATTEMPT'] == '1':\n    exec({SHOW + WAIT!r})"
    run = await service.submit(code, node_count=2, restarts=1)
    await both_up(service, run)
    assert len(groups_of(parent, run)) == 2
    kill_supervisor(service, run)
    await service.reached(run, "completed")
    assert not groups_of(parent, run)
