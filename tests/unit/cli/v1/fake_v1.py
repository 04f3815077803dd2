"""A service with a cluster, a machine and a run, for the tests of v1's command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_client import FakeClient

from turnout.cli import (
    cluster,
    experiment,
    run,
    target_views,
    v1_computetarget,
)
from turnout.cli import main as cli
from turnout.client import embedded
from turnout.client import workspace as workspaces

Out = pytest.CaptureFixture[str]
TIMES = {"created_at": "2026-01-01T00:00:00+00:00", "modified_at": "2026-01-01T00:00:00+00:00"}
CPU = {
    **TIMES, "id": "7", "name": "cpu", "kind": "cluster", "type": "AmlCompute", "tags": {},
    "description": "", "provisioning_state": "Succeeded", "provisioning_errors": [],
    "config": {"vm_size": "STANDARD_D2_V2", "min_nodes": 0, "max_nodes": 4,
               "idle_seconds_before_scaledown": 120},
    "capabilities": {"created": True},
    "cluster": {"allocation_state": "steady", "current_node_count": 1, "target_node_count": 1,
                "node_state_counts": {"idle": 1}, "waiting": 0, "vm_size": "STANDARD_D2_V2"},
}  # fmt: skip
PROBLEM = {"code": "unreachable", "message": "It does not answer.", "fix": "Start it."}
LAB = {
    **CPU, "name": "lab", "kind": "ssh", "type": "VirtualMachine", "cluster": None,
    "config": {"address": "h"}, "capabilities": {}, "provisioning_state": "Failed",
    "provisioning_errors": [PROBLEM],
}  # fmt: skip
LOCAL = {**CPU, "name": "local", "kind": "local"}
RUN = {
    "id": "exp_1_ab", "experiment": "exp", "display_name": "exp_1_ab", "state": "completed",
    "status": "Completed", "target": "local", "created_at": "2026-01-01T00:00:00+00:00",
    "started_at": "2026-01-01T00:00:01+00:00", "ended_at": "2026-01-01T00:00:02+00:00",
    "properties": {}, "tags": {}, "spec": None, "warnings": [], "error": None, "message": "",
    "type": "azureml.scriptrun", "snapshot": None, "parent": None, "attempt": 1,
    "cancel_requested": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeClient:
    made = FakeClient()
    for module in (cluster, experiment, run, target_views, v1_computetarget, embedded):
        monkeypatch.setattr(module, "default_client", lambda: made)
    monkeypatch.setattr(workspaces.embedded, "default_client", lambda: made)
    monkeypatch.delenv("TURNOUT_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    made.answers["GET", "/v1/workspace"] = {"name": "default", "version": "1", "home": "/h"}
    made.answers["GET", "/v1/targets"] = {"targets": [LOCAL, CPU, LAB]}
    made.answers["GET", "/v1/targets/cpu"] = CPU
    made.answers["GET", "/v1/targets/lab"] = LAB
    made.answers["POST", "/v1/targets"] = CPU
    made.answers["PATCH", "/v1/targets/cpu"] = CPU
    made.answers["DELETE", "/v1/targets/cpu"] = None
    made.answers["DELETE", "/v1/targets/lab"] = None
    made.answers["GET", "/v1/runs"] = {"runs": [RUN]}
    made.answers["GET", "/v1/runs/exp_1_ab"] = RUN
    made.answers["PATCH", "/v1/runs/exp_1_ab"] = RUN
    made.answers["GET", "/v1/runs/exp_1_ab/logs"] = {"logs": []}
    made.answers["GET", "/v1/runs/exp_1_ab/metrics"] = {"metrics": {}}
    made.answers["GET", "/v1/runs/exp_1_ab/usage"] = {"samples": []}
    made.answers["GET", "/v1/experiments"] = {
        "experiments": [{"name": "exp", "runs": 1, "created_at": "2026-01-01T00:00:00+00:00"}]
    }
    return made


def call(capsys: Out, *words: str, code: int = 0) -> Any:
    """What a command printed, as data."""
    assert cli.main(words) == code
    out = capsys.readouterr().out
    return json.loads(out) if out else None
