"""Pages of targets, and the forms that make them."""

import httpx
import pytest
from fastapi import FastAPI

from turnout.service.app import parts_of
from turnout.testing.waiting import until

PASSWORD = "hunter2-correct-horse"
#: Nothing listens there: refused at once.
CLOSED = {"config.address": "127.0.0.1", "config.port": "1", "config.username": "ana"}


async def create(browser: httpx.AsyncClient, **changes: str) -> httpx.Response:
    form = {"name": "cpu", "vm_size": "Standard_D1_v2", "config.max_nodes": "2", **changes}
    return await browser.post("/portal/compute/create", data=form)


async def text_of(browser: httpx.AsyncClient, path: str) -> str:
    answer = await browser.get(f"/portal/compute{path}")
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_an_empty_workspace_teaches(browser: httpx.AsyncClient) -> None:
    text = await text_of(browser, "")
    assert "turnout target create cluster" in text
    assert ">local</a>" in text


async def test_a_cluster_from_its_form_to_its_end(browser: httpx.AsyncClient) -> None:
    form = await text_of(browser, "/create")
    assert "Standard_D2_v2" in form
    assert "GPU" in form
    answer = await create(browser, tags="team=vision, cheap", description="For <b>all</b>")
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/portal/compute/cpu"
    page = await text_of(browser, "/cpu")
    assert "team: vision" in page
    assert "For &lt;b&gt;all" in page
    assert "turnout submit train.py --target cpu" in page
    assert ">cpu</a>" in await text_of(browser, "")
    scale = {"min_nodes": "1", "max_nodes": "3", "idle_seconds_before_scaledown": "60"}
    answer = await browser.post("/portal/compute/cpu/scale", data=scale)
    assert answer.status_code == 303

    async def grew() -> bool:
        return 'id="node-cpu-1"' in await text_of(browser, "/cpu")

    await until(grew, "a node on the page")
    samples = (await browser.get("/portal/compute/cpu/history.json")).json()["samples"]
    assert samples[-1]["idle"] == 1
    assert "nothing is stopped" in await text_of(browser, "/cpu/detach")
    answer = await browser.post("/portal/compute/cpu/detach")
    assert answer.headers["location"] == "/portal/compute"
    assert (await browser.get("/portal/compute/cpu")).status_code == 404


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"name": "a b"}, "name", "cannot name a target"),
        ({"name": "local"}, "name", "every workspace"),
        ({"name": "amlcompute"}, "", "cannot name a cluster"),
        ({"own_size": "999c1g"}, "own_size", "larger than this machine"),
        ({"vm_size": "big"}, "own_size", "big"),
        ({"config.max_nodes": "many"}, "config-max_nodes", "valid integer"),
        ({"config.min_nodes": "9"}, "", "more than max_nodes"),
        ({"config.vnet_name": "a b", "config.subnet_name": "x"}, "", "no vnet_name"),
    ],
)
async def test_errors_stand_beside_their_fields(
    browser: httpx.AsyncClient, changes: dict[str, str], place: str, words: str
) -> None:
    answer = await create(browser, **changes)
    assert answer.status_code == 422
    before = f'id="{place}-error"' if place else 'class="problem" role="alert">'
    found = answer.text.partition(before)[2].partition("</p>")[0]
    assert words in found, answer.text
    # What was typed is still there.
    value = next(iter(changes.values()))
    assert f'value="{value}"' in answer.text


async def test_a_name_that_is_taken(browser: httpx.AsyncClient) -> None:
    await create(browser)
    answer = await create(browser)
    assert answer.status_code == 422
    assert "is there already" in answer.text
    answer = await create(browser, replace="true", **{"config.max_nodes": "1"})
    assert answer.status_code == 303
    answer = await browser.post("/portal/compute/attach/ssh", data={"name": "cpu", **CLOSED})
    assert "of kind cluster" in answer.text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"vm_size": "Standard_D1_v2"}, "1 core, 3.5 GB"),
        ({"vm_size": "Standard_D1_v2", "own_size": "1c1g"}, "1 core, 1 GB"),
        ({"vm_size": "", "own_size": "999c1g"}, "larger than this machine"),
        ({"vm_size": "Standard_D1_v2", "engine": "none"}, "no engine"),
    ],
)
async def test_what_a_size_comes_to(
    browser: httpx.AsyncClient, query: dict[str, str], words: str
) -> None:
    answer = await browser.get(
        "/portal/compute/size", params=query, headers={"HX-Request": "true"}
    )
    assert words in answer.text
    assert "<html" not in answer.text


async def test_a_bad_scale_is_told_beside_it(browser: httpx.AsyncClient) -> None:
    await create(browser)
    form = {"min_nodes": "x", "max_nodes": "3", "idle_seconds_before_scaledown": "60"}
    answer = await browser.post("/portal/compute/cpu/scale", data=form)
    assert answer.status_code == 422
    assert 'id="min_nodes-error"' in answer.text
    answer = await browser.post("/portal/compute/cpu/scale", data={**form, "min_nodes": "9"})
    assert "more than max_nodes" in answer.text


async def test_a_machine_that_does_not_answer(browser: httpx.AsyncClient) -> None:
    form = {"name": "lab", **CLOSED, "config.password": PASSWORD}
    answer = await browser.post("/portal/compute/attach/ssh", data=form)
    assert answer.status_code == 422
    assert "127.0.0.1" in answer.text
    assert PASSWORD not in answer.text
    # Nobody confirmed its host key: nothing is kept.
    assert (await browser.get("/portal/compute/lab")).status_code == 404
    answer = await browser.post(
        "/portal/compute/attach/ssh", data={**form, "config.port": "0", "config.jump": "-x"}
    )
    assert 'id="config-port-error"' in answer.text
    assert 'id="config-jump-error"' in answer.text


async def test_kinds_to_choose_from(browser: httpx.AsyncClient) -> None:
    text = await text_of(browser, "/attach")
    assert "/portal/compute/attach/ssh" in text
    assert "/portal/compute/attach/slurm" in text
    assert "/portal/compute/attach/cluster" not in text
    assert "/portal/compute/attach/local" not in text
    for kind in ("local", "cluster", "none"):
        assert (await browser.get(f"/portal/compute/attach/{kind}")).status_code in (400, 404)


async def test_forms_from_elsewhere_are_refused(app: FastAPI, browser: httpx.AsyncClient) -> None:
    await create(browser)
    foreign = {"Origin": "http://turnout:9"}
    answer = await browser.post("/portal/compute/cpu/detach", headers=foreign)
    assert answer.status_code == 403
    assert (await browser.get("/portal/compute/cpu/detach")).status_code == 200
    assert (await parts_of(app).pool.configuration("cpu"))[0] == "cluster"


async def test_runs_that_a_deletion_stops(app: FastAPI, browser: httpx.AsyncClient) -> None:
    await create(browser)
    token = {"Authorization": f"Bearer {parts_of(app).token}"}
    spec = {"command": ["sleep", "60"], "target": "cpu"}
    body = {"key": "a" * 16, "experiment": "exp", "spec": spec, "display_name": "<i>long</i>"}
    run = (await browser.post("/v1/runs", json=body, headers=token)).json()["id"]
    page = await text_of(browser, "/cpu/detach")
    assert "&lt;i&gt;long" in page
    assert "Cancel 1 run and delete" in page
    answer = await browser.post("/portal/compute/cpu/detach")
    assert answer.status_code == 409
    answer = await browser.post("/portal/compute/cpu/detach", data={"force": "true"})
    assert answer.status_code == 303, answer.text
    state = (await browser.get(f"/v1/runs/{run}", headers=token)).json()["state"]
    assert state == "canceled"


async def test_the_target_that_is_always_there(browser: httpx.AsyncClient) -> None:
    page = await text_of(browser, "/local")
    assert "/compute/local/detach" not in page
    assert "turnout submit train.py<" in page
    assert (await browser.post("/portal/compute/local/check")).status_code == 303
    answer = await browser.get(
        "/portal/compute/local/environments", headers={"HX-Request": "true"}
    )
    assert "None yet" in answer.text
