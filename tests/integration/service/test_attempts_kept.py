"""Nothing of an earlier attempt is lost or doubled, whatever ends the run and whenever."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from tests.integration.service.test_attempts import COUNTS, supervisor_of, written
from tests.integration.service.test_clusters import Service, waits_for

from turnout.service.runs import collect
from turnout.spec.errors import TargetError
from turnout.targets.supervised import SupervisedTarget
from turnout.testing.waiting import is_running, until

#: Like `COUNTS`, but no attempt ends by itself.
STAYS = COUNTS.replace("while not before:", "while True:")
UPLOADS = """
import os, time
from turnout import Run
run = Run.get_context()
if run.attempt == 1:
    open("plot.txt", "w").write("first")
    run.upload_file("plots/first.txt", "plot.txt")
    run.child_run("part").log("n", 1)
    run.fail("for now")
    print("uploaded", flush=True)
    while True:
        time.sleep(0.01)
"""


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with Service(tmp_path / "home").running() as made:
        yield made


async def left_nothing(service: Service) -> None:
    async def empty() -> bool:
        return not list((service.home / "host" / "runs").iterdir())

    await until(empty, "the run folders to go")


async def file(service: Service, run: str, name: str) -> str:
    answer = await service.web.get(f"/v1/runs/{run}/files/{name}")
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_an_attempt_whose_folder_is_gone_keeps_its_log(service: Service) -> None:
    await service.create(max_nodes=1)
    run = await service.submit(STAYS)
    await written(service, run, "attempt 1 after ''")
    os.kill(supervisor_of(service, run), signal.SIGKILL)
    await written(service, run, "attempt 2 after 'x'")
    pid = supervisor_of(service, run)
    shutil.move(service.home / "host" / "runs" / f"{run}.2", service.home / "moved")
    os.kill(pid, signal.SIGKILL)
    await written(service, run, "attempt 3 after ''")
    log = await service.log(run)
    for line in ("attempt 1 after ''\n", "attempt 2 after 'x'\n", "attempt 3 after ''\n"):
        assert log.count(line) == 1, log
    assert log.count("Started again") == 2
    assert "\0" not in log
    await service.web.post(f"/v1/runs/{run}/cancel")
    await service.reached(run, "canceled")


async def test_a_crash_before_it_is_written_down_doubles_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs and records of the attempt are here, the row does not say so yet."""
    real, calls = collect.end_children, 0

    async def dies_at_first(*given: Any) -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise OSError("the service dies here")
        await real(*given)

    monkeypatch.setattr(collect, "end_children", dies_at_first)
    await service.create(max_nodes=1)
    run = await service.submit(COUNTS)
    await written(service, run, "attempt 1")
    os.kill(supervisor_of(service, run), signal.SIGKILL)
    await service.reached(run, "completed")
    assert calls >= 3
    log = await service.log(run)
    assert [log.count(part) for part in ("attempt 1 ", "attempt 2 ", "Started again")] == [1] * 3
    assert (await service.get(f"runs/{run}/metrics"))["metrics"]["step"] == [0, 1]
    assert await file(service, run, "outputs/checkpoint") == "xx"
    await left_nothing(service)


async def test_a_launch_that_is_refused_keeps_what_was_there(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt is lost, the second cannot even begin."""
    await service.create(max_nodes=1)
    run = await service.submit(COUNTS)
    await written(service, run, "attempt 1")

    async def refuses(*_: object) -> str:
        raise TargetError("No more of this.", retryable=False)

    monkeypatch.setattr(SupervisedTarget, "launch", refuses)
    os.kill(supervisor_of(service, run), signal.SIGKILL)
    found = await service.reached(run, "failed")
    assert (found["attempt"], found["error"]["message"]) == (2, "No more of this.")
    assert await file(service, run, "outputs/checkpoint") == "x"
    await left_nothing(service)


async def test_uploads_stay_and_what_was_open_ends(service: Service) -> None:
    await service.create(max_nodes=1)
    run = await service.submit(UPLOADS)
    await written(service, run, "uploaded")
    os.kill(supervisor_of(service, run), signal.SIGKILL)
    # What the first attempt said of its end is not the run's.
    found = await service.reached(run, "completed", "failed")
    assert (found["state"], found["error"]) == ("completed", None)
    assert await file(service, run, "plots/first.txt") == "first"
    (child,) = (await service.get(f"runs?parent={run}"))["runs"]
    assert child["state"] == "failed"
    await left_nothing(service)


async def test_outputs_are_kept_when_it_is_canceled_between_two_attempts(
    service: Service, tmp_path: Path
) -> None:
    await service.create(max_nodes=1)
    run = await service.submit(COUNTS)
    await written(service, run, "attempt 1")
    go = tmp_path / "go"
    other = await service.submit(waits_for(go), priority=1)
    os.kill(supervisor_of(service, run), signal.SIGKILL)
    await service.reached(other, "running")
    await service.web.post(f"/v1/runs/{run}/cancel")
    await service.reached(run, "canceled")
    assert await file(service, run, "outputs/checkpoint") == "x"
    go.touch()
    await service.reached(other, "completed")
    await left_nothing(service)


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_wish_to_cancel_outlives_the_service(tmp_path: Path, attempt: int) -> None:
    """The service dies after it wrote the wish down and before it did anything about it."""
    home, go = tmp_path / "home", tmp_path / "go"
    async with Service(home).running() as service:
        await service.create(max_nodes=1)
        if attempt == 1:
            other = await service.submit(waits_for(go))
            await service.reached(other, "running")
            run = await service.submit(COUNTS)
        else:
            run = await service.submit(COUNTS)
            await written(service, run, "attempt 1")
            other = await service.submit(waits_for(go), priority=1)
            os.kill(supervisor_of(service, run), signal.SIGKILL)
            await service.reached(other, "running")
        assert (await service.run(run))["attempt"] == attempt
    (database,) = home.glob("*.db")
    with create_engine(f"sqlite:///{database}").begin() as rows:
        wish = "update runs set cancel_requested_at = '2026-01-01 00:00:00' where id = :run"
        rows.execute(text(wish), {"run": run})
    async with Service(home).running() as service:
        await service.reached(run, "canceled")
        go.touch()
        await service.reached(other, "completed")
        await left_nothing(service)


async def test_a_script_that_hears_of_a_stop_before_its_supervisor(service: Service) -> None:
    """As where an engine signals all processes of a run at once."""
    run = await service.submit("import time\nprint('up', flush=True)\ntime.sleep(60)", "local")
    await written(service, run, "up")
    status = json.loads((service.home / "host" / "runs" / f"{run}.1" / "status.json").read_text())
    supervisor, script = status["pid"], status["script_pid"]
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(script, signal.SIGTERM)
    os.kill(supervisor, signal.SIGTERM)

    async def dead() -> bool:
        return not is_running(script)

    await until(dead, "the script to end")
    os.kill(supervisor, signal.SIGCONT)
    assert (await service.reached(run, "canceled", "failed"))["state"] == "canceled"
