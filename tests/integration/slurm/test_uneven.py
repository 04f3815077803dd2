"""Tasks that do not come out even over nodes of Slurm: planned where srun puts them."""

from __future__ import annotations

from tests.integration.slurm.on_slurm import OnSlurm

CODE = """
import json, os, time
task = json.loads(os.environ["TF_CONFIG"])["task"]
if [task["type"], task["index"]] == ["ps", 0]:
    print(os.environ["SLURMD_NODENAME"], flush=True)
    raise SystemExit(3)
time.sleep(600)
"""


async def test_four_tasks_on_three_nodes(service: OnSlurm) -> None:
    asked = {"kind": "tensorflow", "workers": 3, "parameter_servers": 1}
    run = await service.on_slurm(CODE, node_count=3, distribution=asked, grace_s=1)
    found = await service.reached(run, "failed")
    log = await service.web.get(f"/v1/runs/{run}/logs/azureml-logs/70_driver_log_3.txt")
    where = f"Parameter server 0 (node {log.text.strip()}) exited with code 3;"
    assert found["error"]["message"].startswith(where)
