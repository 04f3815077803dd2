"""Pages of an engine and of a cluster on it, on a real Slurm."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.service.test_clusters import Service, waits_for

from turnout.testing.slurm import Slurm
from turnout.testing.waiting import until

OWN = {"Origin": "http://turnout"}


@pytest.mark.usefixtures("slurm")
async def test_an_engine_and_a_cluster_from_their_forms(tmp_path: Path, slurm: Slurm) -> None:
    service = Service(tmp_path / "home")
    async with service.running():
        web = service.web
        link = (await web.post("/v1/portal/links", json={})).json()["path"]
        assert (await web.get(link)).status_code == 303
        given = {"name": "hall", "config.partition": "main"}
        answer = await web.post("/portal/compute/attach/slurm", data=given, headers=OWN)
        assert answer.status_code == 303, answer.text
        assert ">hall</a>" in (await web.get("/portal/compute")).text
        assert "Ask" in (await web.get("/portal/compute/hall")).text
        site = (await web.get("/portal/compute/hall/nodes")).text
        assert ">main" in site
        assert "short" in site
        assert (await web.post("/portal/compute/hall/check", headers=OWN)).status_code == 303

        form = await web.get("/portal/compute/create", params={"engine": "hall"})
        assert "<option selected>hall</option>" in form.text
        assert "config.qos" in form.text
        given = {"name": "hpc", "engine": "hall", "own_size": "1c1g", "config.max_nodes": "2"}
        wrong = {**given, "config.partition": "none"}
        answer = await web.post("/portal/compute/create", data=wrong, headers=OWN)
        assert answer.status_code == 422
        assert 'id="config-partition-error"' in answer.text
        answer = await web.post("/portal/compute/create", data=given, headers=OWN)
        assert answer.status_code == 303, answer.text

        go = tmp_path / "go"
        runs = [await service.submit(waits_for(go), "hpc") for _ in range(3)]
        await service.reached(runs[0], "running")
        await service.reached(runs[1], "running")
        listed = {t["name"]: t for t in (await service.get("targets"))["targets"]}
        counts = {"busy": 2, "idle": 0, "changing": 0, "waiting": 1, "max": 2}
        assert listed["hpc"]["nodes"] == counts
        assert "2 busy, 0 idle of 2" in (await web.get("/portal/compute/hpc")).text

        async def shown() -> bool:
            nodes = (await web.get("/portal/compute/hpc/nodes")).text
            return runs[0] in nodes and "partition main" in nodes

        await until(shown, "the node of the run")
        refused = await web.get("/portal/compute/hall/detach")
        assert "Clusters are made on this engine" in refused.text
        answer = await web.post("/portal/compute/hall/detach", headers=OWN)
        assert answer.status_code == 409
        go.touch()
        for run in runs:
            await service.reached(run, "completed")
        samples = (await web.get("/portal/compute/hpc/history.json")).json()["samples"]
        assert max(s["busy"] for s in samples) >= 2
        assert max(s["waiting"] for s in samples) >= 1
        assert samples[-1] | {"at": ""} == {
            "at": "",
            "busy": 0,
            "idle": 0,
            "changing": 0,
            "waiting": 0,
        }
        for name in ("hpc", "hall"):
            answer = await web.post(f"/portal/compute/{name}/detach", headers=OWN)
            assert answer.status_code == 303, answer.text
