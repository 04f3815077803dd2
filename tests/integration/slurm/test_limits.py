"""Limits of Slurm's accounting, through a real service: what waits says for which, and goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service.test_clusters import waits_for
from tests.integration.slurm.conftest import use
from tests.integration.slurm.on_slurm import OnSlurm, agents_of, made, until_none

from turnout.testing.dockerd import Unavailable
from turnout.testing.missing import missing
from turnout.testing.slurm import Slurm
from turnout.testing.waiting import until, wait_until

#: What a test may have limited, without limits.
FREE = ("MaxJobs=-1", "MaxSubmitJobs=-1", "GrpTRES=cpu=-1", "MaxWall=-1")


@pytest.fixture(scope="module")
def accounted() -> Iterator[Slurm]:
    try:
        with Slurm(accounting=True, forgets_s=2) as slurm:
            for qos in ("quick", "strict"):
                slurm.run("sacctmgr", "-i", "add", "qos", qos)
            deny = ("Flags=DenyOnLimit", "MaxTRESPerJob=cpu=2")
            slurm.run("sacctmgr", "-i", "modify", "qos", "strict", "set", *deny)
            limit(slurm, "qos=normal,quick,strict")
            yield slurm
    except Unavailable as e:
        missing(e)


@pytest.fixture
def slurm(accounted: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    use(accounted, monkeypatch)
    yield accounted
    accounted.settle()
    limit(accounted, *FREE)


@pytest.fixture
async def service(tmp_path: Path, slurm: Slurm) -> AsyncIterator[OnSlurm]:
    async with made(OnSlurm(tmp_path / "home")) as service:
        yield service


def limit(slurm: Slurm, *limits: str) -> None:
    """Set limits of root in the account "lab"."""
    slurm.run("sacctmgr", "-i", "modify", "user", "root", "where", "account=lab", "set", *limits)


async def test_limits_are_shown(slurm: Slurm, tmp_path: Path) -> None:
    limit(slurm, "MaxJobs=7", "GrpTRES=cpu=12")
    async with made(OnSlurm(tmp_path / "home")) as service:
        site = (await service.get("engines/lab"))["site"]
        assert site["accounting"] is True
        row = "Account lab, QOS normal,quick,strict, MaxJobs 7, GrpTRES cpu=12"
        assert row in site["limits"]


async def test_one_at_a_time(service: OnSlurm, slurm: Slurm, tmp_path: Path) -> None:
    limit(slurm, "MaxJobs=1")
    go = tmp_path / "go"
    first = await service.on_slurm(waits_for(go))
    await service.reached(first, "running")
    second = await service.on_slurm("print('second')")
    message = await service.tells(second, "AssocMaxJobsLimit")
    assert message.endswith("a limit of the account or user is reached (AssocMaxJobsLimit)")
    assert (await service.run(second))["state"] == "queued"
    go.touch()
    await service.reached(first, "completed")
    await service.reached(second, "completed")


async def test_cores_of_a_user(service: OnSlurm, slurm: Slurm, tmp_path: Path) -> None:
    limit(slurm, "GrpTRES=cpu=2")
    await service.cluster(vm_size="2c1g")
    go = tmp_path / "go"
    first = await service.on_slurm(waits_for(go))
    await service.reached(first, "running")
    second = await service.on_slurm("print('second')")
    await service.tells(second, "AssocGrpCpuLimit")
    go.touch()
    await service.reached(second, "completed")


async def test_what_is_too_many_waits_for_room(
    service: OnSlurm, slurm: Slurm, tmp_path: Path
) -> None:
    limit(slurm, "MaxSubmitJobs=2")
    go = tmp_path / "go"
    code = f"open({str(tmp_path)!r} + '/' + os.environ['TURNOUT_RUN_ID'], 'x')"
    code = "import os; " + code + "\n" + waits_for(go)
    runs = [await service.on_slurm(code) for _ in range(4)]
    waiting: list[str] = []

    async def two_wait() -> bool:
        found = [await service.run(run) for run in runs]
        waiting[:] = [x["id"] for x in found if "AssocMaxSubmitJobLimit" in x["message"]]
        return len(waiting) == 2 and sum(x["state"] == "running" for x in found) == 2

    await until(two_wait, "two to run and two to wait")
    message = (await service.run(waiting[0]))["message"]
    assert message.startswith("Slurm takes no more for now: a limit of the account or user is")
    # Nobody thinks that Slurm is not fit for use meanwhile.
    found = (await service.web.post("/v1/engines/lab/check")).json()
    assert found["provisioning_state"] == "Succeeded", found
    go.touch()
    for run in runs:
        await service.reached(run, "completed")
    await until_none(slurm)


async def test_what_waits_for_room_can_be_canceled(
    service: OnSlurm, slurm: Slurm, tmp_path: Path
) -> None:
    limit(slurm, "MaxSubmitJobs=1")
    go = tmp_path / "go"
    first = await service.on_slurm(waits_for(go))
    await service.reached(first, "running")
    second = await service.on_slurm("print('never')")
    await service.tells(second, "AssocMaxSubmitJobLimit")
    await service.cancel(second)
    await service.reached(second, "canceled")
    go.touch()
    await service.reached(first, "completed")


async def test_account_and_qos_arrive(service: OnSlurm, slurm: Slurm, tmp_path: Path) -> None:
    await service.create("other", engine="lab", account="root", qos="normal")
    await service.cluster(account="lab", qos="quick")
    for target, account, qos in (("other", "root", "normal"), ("hpc", "lab", "quick")):
        go = tmp_path / target
        run = await service.submit(waits_for(go), target)
        await service.reached(run, "running")
        number = slurm.run("squeue", "-h", "-o", "%i")
        assert slurm.run("squeue", "-h", "-o", "%a %q") == f"{account} {qos}"
        go.touch()
        await service.reached(run, "completed")
        await until_none(slurm)
        asked = ("sacct", "-nPX", "-j", number, "-o", "Account,QOS,State")
        wait_until(
            lambda asked=asked, row=f"{account}|{qos}|COMPLETED": slurm.run(*asked) == row,
            "the accounting to have it",
        )


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"account": "nope"}, "Invalid account or account/partition combination specified"),
        ({"qos": "nope"}, "Invalid qos specification"),
        # Its QOS never gives so much: waiting would have no end.
        ({"qos": "strict", "vm_size": "3c1g"}, "QOSMaxCpuPerJobLimit"),
    ],
)
async def test_refused_in_slurms_words(
    service: OnSlurm, config: dict[str, Any], words: str
) -> None:
    await service.cluster(**config)
    run = await service.on_slurm("print('never')")
    found = await service.reached(run, "failed")
    assert found["error"]["message"].startswith("Slurm refused it: ")
    assert words in found["error"]["message"]


# -- what the controller has forgotten


async def test_it_was_canceled_before_anybody_looked(slurm: Slurm, tmp_path: Path) -> None:
    """Without accounting it would be handed over again: the controller knows nothing of it."""
    own = OnSlurm(tmp_path / "home")
    limit(slurm, "MaxJobs=1")
    go = tmp_path / "go"
    async with made(own):
        first = await own.on_slurm(waits_for(go))
        await own.reached(first, "running")
        second = await own.on_slurm("print('never')")
        await own.tells(second, "AssocMaxJobsLimit")
        number = slurm.run("squeue", "-h", "-t", "PENDING", "-o", "%i")
    wait_until(lambda: not agents_of(own.home), "the agents to end with the service")
    slurm.run("scancel", number)
    forgotten(slurm, number)
    async with made(own):
        await own.reached(second, "canceled")
        go.touch()
        await own.reached(first, "completed")


async def test_it_ended_before_anybody_looked(slurm: Slurm, tmp_path: Path) -> None:
    own = OnSlurm(tmp_path / "home")
    go = tmp_path / "go"
    async with made(own):
        run = await own.on_slurm(waits_for(go))
        await own.reached(run, "running")
        number = slurm.run("squeue", "-h", "-o", "%i")
    wait_until(lambda: not agents_of(own.home), "the agents to end with the service")
    go.touch()
    forgotten(slurm, number)
    async with made(own):
        found = await own.reached(run, "completed")
        assert found["attempt"] == 1


def forgotten(slurm: Slurm, number: str) -> None:
    def gone() -> bool:
        return number not in slurm.run("squeue", "-h", "-t", "all", "-o", "%i").split()

    wait_until(gone, "Slurm to forget it")
