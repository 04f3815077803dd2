"""Clusters in the SDK: what is sent, what v1's programs read, how waiting ends."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from fake_service import FakeService, error, run_view

from turnout import AmlCompute, ComputeTarget, RemoteCompute, RunConfiguration, Workspace
from turnout.client import aml_compute, aml_compute_config
from turnout.client.exceptions import ComputeTargetException

pytestmark = pytest.mark.usefixtures("client")
Out = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
STATES = ("idle", "running", "preparing", "leaving", "preempted", "unusable")


def cluster_view(
    current: int = 0, target: int | None = None, waiting: int = 0, **given: Any
) -> dict[str, Any]:
    goal = current if target is None else target
    return {
        "id": "7",
        "name": "cpu",
        "kind": "cluster",
        "type": "AmlCompute",
        "config": {
            "vm_size": "STANDARD_D2_V2",
            "vm_priority": "dedicated",
            "min_nodes": 0,
            "max_nodes": 4,
            "idle_seconds_before_scaledown": 120,
        },
        "provisioning_state": "Succeeded",
        "provisioning_errors": [],
        "created_at": "2026-01-01T00:00:00+00:00",
        "modified_at": "2026-01-01T00:00:05Z",
        "tags": {"a": "b"},
        "description": "",
        "capabilities": {"gpu": True, "created": True},
        "cluster": {
            "allocation_state": "steady" if goal == current else "resizing",
            "current_node_count": current,
            "target_node_count": goal,
            "node_state_counts": {**dict.fromkeys(STATES, 0), "running": current},
            "waiting": waiting,
            "vm_size": "STANDARD_D2_V2",
            "size": {"cores": 2, "memory_mb": 7168, "gpus": 0},
            "limits": "",
        },
        **given,
    }


@pytest.fixture
def ws() -> Workspace:
    return Workspace(name="w")


@pytest.fixture
def cpu(service: FakeService, ws: Workspace) -> AmlCompute:
    service("GET", "/v1/targets/cpu", cluster_view())
    found = ComputeTarget(ws, "cpu")
    assert isinstance(found, AmlCompute)
    return found


def test_examples() -> None:
    assert doctest.testmod(aml_compute_config).failed == 0


# -- making ------------------------------------------------------------------------------------


def test_v1s_sample_creates_a_cluster(service: FakeService, ws: Workspace, capsys: Out) -> None:
    service("POST", "/v1/targets", (201, cluster_view()))
    service("GET", "/v1/targets/cpu", cluster_view())
    config = AmlCompute.provisioning_configuration(
        vm_size="STANDARD_D2_V2",
        vm_priority="LowPriority",
        max_nodes=4,
        idle_seconds_before_scaledown=120,
        admin_username="ana",
        admin_user_password="open sesame",
        identity_type="SystemAssigned",
        tags={"team": 3},
        description="ours",
    )
    target = ComputeTarget.create(ws, "cpu", config)
    target.wait_for_completion(show_output=True)
    assert isinstance(target, AmlCompute)
    assert (target.type, target.vm_size, target.vm_priority) == (
        "AmlCompute",
        "STANDARD_D2_V2",
        "Dedicated",
    )
    assert service.sent("POST", "/v1/targets") == [
        {
            "name": "cpu",
            "kind": "cluster",
            "config": {
                "vm_size": "STANDARD_D2_V2",
                "vm_priority": "lowpriority",
                "min_nodes": 0,
                "max_nodes": 4,
                "idle_seconds_before_scaledown": 120,
            },
            "tags": {"team": "3"},
            "description": "ours",
        }
    ]
    assert "sesame" not in repr(config)
    assert capsys.readouterr().out == (
        "Succeeded\nAmlCompute wait for completion finished\n"
        "Minimum number of nodes requested have been provisioned\n"
    )


def test_defaults() -> None:
    config = AmlCompute.provisioning_configuration("STANDARD_NC6")
    nothing = AmlCompute.provisioning_configuration(
        "STANDARD_NC6",
        None,
        None,
        None,
        idle_seconds_before_scaledown=None,  # type: ignore[arg-type]
    )
    assert nothing.to_config() == config.to_config()
    assert config.to_config() == {
        "vm_size": "STANDARD_NC6",
        "vm_priority": "dedicated",
        "min_nodes": 0,
        "max_nodes": 4,
        "idle_seconds_before_scaledown": 120,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vm_size": ""}, "Name a size"),
        ({"vm_size": "  "}, "Name a size"),
        ({"vm_priority": "lowpriorty"}, "did you mean 'lowpriority'"),
        ({"min_nodes": -1}, "min_nodes must be a whole number, 0 or more, not -1"),
        ({"max_nodes": 0}, "max_nodes must be a whole number, 1 or more, not 0"),
        ({"max_nodes": "4"}, "not '4'"),
        ({"max_nodes": True}, "not True"),
        ({"min_nodes": 5, "max_nodes": 4}, r"min_nodes \(5\) is more than max_nodes \(4\)"),
        ({"idle_seconds_before_scaledown": 1.5}, "idle_seconds_before_scaledown must be"),
        ({"vnet_name": "lab"}, "vnet_name and subnet_name belong together"),
        ({"subnet_name": "lab"}, "vnet_name and subnet_name belong together"),
        ({"vnet_outside": True}, "vnet_outside needs a virtual network"),
        ({"vnet_resourcegroup_name": "lab"}, "vnet_resourcegroup_name needs a virtual network"),
    ],
)
def test_bad_configurations_are_refused_at_once(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ComputeTargetException, match=message):
        AmlCompute.provisioning_configuration(**{"vm_size": "STANDARD_D2_V2", **given})


def test_what_was_changed_after_is_checked_too(service: FakeService, ws: Workspace) -> None:
    config = AmlCompute.provisioning_configuration("STANDARD_D2_V2")
    config.scale_settings.minimum_node_count = 9
    with pytest.raises(ComputeTargetException, match="more than max_nodes"):
        ComputeTarget.create(ws, "cpu", config)
    with pytest.raises(ComputeTargetException, match=r"create\(\) takes what AmlCompute"):
        ComputeTarget.create(ws, "cpu", RemoteCompute.attach_configuration("ana"))  # type: ignore[arg-type]
    assert service.requests == []


def test_the_services_refusal_is_a_compute_target_exception(
    service: FakeService, ws: Workspace
) -> None:
    service("POST", "/v1/targets", (400, error("invalid", "32 cores, but there are 2.")))
    with pytest.raises(ComputeTargetException, match="32 cores, but there are 2"):
        ComputeTarget.create(ws, "c", AmlCompute.provisioning_configuration("STANDARD_D14"))


def test_clusters_are_among_the_targets(service: FakeService, ws: Workspace) -> None:
    # A list need not say how each cluster is at the moment.
    view = cluster_view()
    del view["cluster"]
    service("GET", "/v1/targets", {"targets": [{**view, "name": "local", "kind": "local"}, view]})
    service("GET", "/v1/targets/cpu", cluster_view(current=1))
    found = ws.compute_targets
    assert [(name, type(t)) for name, t in found.items()] == [("cpu", AmlCompute)]
    assert found["cpu"].scale_settings.maximum_node_count == 4  # type: ignore[attr-defined]
    assert found["cpu"].status.current_node_count == 1  # type: ignore[attr-defined]
    service("GET", "/v1/targets/lab", {**view, "kind": "ssh", "type": "VirtualMachine"})
    with pytest.raises(ComputeTargetException, match="of type VirtualMachine"):
        AmlCompute(ws, "lab")


def test_one_that_was_made_for_a_run(service: FakeService, ws: Workspace) -> None:
    config = {"vm_size": "1c1g", "max_nodes": 2, "made_for": "exp_1_ab"}
    service("GET", "/v1/targets/run-ab", cluster_view(name="run-ab", config=config))
    scale = AmlCompute(ws, "run-ab").scale_settings
    assert (scale.minimum_node_count, scale.maximum_node_count) == (0, 2)


# -- looking -----------------------------------------------------------------------------------


def test_the_status_as_v1_serialises_it(service: FakeService, cpu: AmlCompute) -> None:
    view = cluster_view(current=1, target=3)
    view["config"]["vm_priority"] = "lowpriority"
    service("GET", "/v1/targets/cpu", view)
    # The names and their order are those that v1's programs print.
    assert list(cpu.get_status().serialize().items()) == [
        ("currentNodeCount", 1),
        ("targetNodeCount", 3),
        (
            "nodeStateCounts",
            {
                "preparingNodeCount": 0,
                "runningNodeCount": 1,
                "idleNodeCount": 0,
                "unusableNodeCount": 0,
                "leavingNodeCount": 0,
                "preemptedNodeCount": 0,
            },
        ),
        ("allocationState", "Resizing"),
        ("allocationStateTransitionTime", None),
        ("errors", None),
        ("creationTime", "2026-01-01T00:00:00+00:00"),
        ("modifiedTime", "2026-01-01T00:00:05+00:00"),
        ("provisioningState", "Succeeded"),
        ("provisioningStateTransitionTime", None),
        (
            "scaleSettings",
            {"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT120S"},
        ),
        ("vmPriority", "LowPriority"),
        ("vmSize", "STANDARD_D2_V2"),
    ]
    assert cpu.status.node_state_counts.running_node_count == 1
    assert cpu.get()["properties"]["properties"]["status"] == cpu.status.serialize()
    assert cpu.serialize()["tags"] == {"a": "b"}


def test_errors_of_a_cluster_that_cannot_be(service: FakeService, cpu: AmlCompute) -> None:
    problem = {"code": "too_large", "message": "8 cores; here are 2.", "fix": "Take a smaller."}
    view = cluster_view(provisioning_state="Failed", provisioning_errors=[problem])
    service("GET", "/v1/targets/cpu", view)
    assert cpu.get_status().errors == [
        {"error": {"code": "too_large", "message": "8 cores; here are 2."}}
    ]


def test_nodes_and_sizes_under_v1s_names(
    service: FakeService, ws: Workspace, cpu: AmlCompute
) -> None:
    node = {
        "name": "cpu-1",
        "state": "running",
        "run": "exp_1_ab",
        "cores": [0, 1],
        "memory_mb": 7168,
        "gpus": [],
        "since": "2026-01-01T00:00:00+00:00",
    }
    service("GET", "/v1/targets/cpu/nodes", {"nodes": [node], "events": []})
    (found,) = cpu.list_nodes()
    assert (found["nodeId"], found["nodeState"], found["runId"]) == (
        "cpu-1",
        "running",
        "exp_1_ab",
    )
    sizes = [{"name": "STANDARD_D1_V2", "cores": 1, "memory_mb": 3584, "gpus": 0}]
    service("GET", "/v1/sizes", {"sizes": sizes})
    assert AmlCompute.supported_vmsizes(workspace=ws, location="westus") == [
        {"name": "STANDARD_D1_V2", "vCPUs": 1, "gpus": 0, "memoryGB": 3.5}
    ]


def test_active_runs_of_this_cluster_alone(service: FakeService, cpu: AmlCompute) -> None:
    mine = run_view(id="a", target="cpu", state="queued", status="Queued", tags={"t": "1"})
    moving = run_view(id="b", target="cpu")
    other = run_view(id="c", target="local")
    by_state = {"queued": [mine, moving], "running": [moving, other]}

    def runs(query: dict[str, list[str]], body: object) -> dict[str, Any]:
        return {"runs": by_state.get(query["state"][0], [])}

    service("GET", "/v1/runs", runs)
    assert [run.id for run in cpu.get_active_runs()] == ["a", "b"]
    assert [run.id for run in cpu.get_active_runs(status="Queued")] == ["a"]
    assert [run.id for run in cpu.get_active_runs(tags={"t": "1"})] == ["a"]


# -- waiting -----------------------------------------------------------------------------------


def sequence(*views: Any) -> Any:
    """An answer that changes with every request; the last one stays."""
    left = list(views)
    return lambda query, body: left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def at_once(monkeypatch: Patch) -> None:
    monkeypatch.setattr(aml_compute, "POLL_S", 0.0)


@pytest.mark.usefixtures("at_once")
def test_waiting_until_nodes_are_there(service: FakeService, cpu: AmlCompute, capsys: Out) -> None:
    kept = {**cluster_view()["config"], "min_nodes": 2}
    service(
        "GET",
        "/v1/targets/cpu",
        sequence(
            cluster_view(config=kept, provisioning_state="Creating"),
            cluster_view(0, 0, config=kept),  # what the scale asks for is not yet noticed
            cluster_view(1, 2, config=kept),
            cluster_view(2, 2, config=kept),
        ),
    )
    cpu.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=1)
    assert cpu.status.current_node_count == 2
    assert capsys.readouterr().out == (
        "Creating\nSucceeded\nAmlCompute wait for completion finished\n"
        "Minimum number of nodes requested have been provisioned\n"
    )


@pytest.mark.usefixtures("at_once")
def test_waiting_for_nodes_that_a_run_brings(
    service: FakeService, cpu: AmlCompute, capsys: Out
) -> None:
    service(
        "GET", "/v1/targets/cpu", sequence(cluster_view(0, 0, waiting=1), cluster_view(current=1))
    )
    cpu.wait_for_completion(show_output=True, min_node_count=1, timeout_in_minutes=1)
    assert "Minimum number of nodes" in capsys.readouterr().out


def test_nodes_that_nothing_will_bring_are_not_waited_for(cpu: AmlCompute, capsys: Out) -> None:
    cpu.wait_for_completion(show_output=True, min_node_count=1, timeout_in_minutes=20)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "AmlCompute wait for completion finished",
        'Current provisioning state of AmlCompute is "Succeeded" and current node count is "0"',
        "While no run waits, 'cpu' keeps min_nodes (0), not 1: submit a run, or "
        "update(min_nodes=…).",
    ]


@pytest.mark.usefixtures("at_once")
def test_waiting_ends_with_its_time(service: FakeService, cpu: AmlCompute, capsys: Out) -> None:
    service("GET", "/v1/targets/cpu", cluster_view(0, 1))
    cpu.wait_for_completion(show_output=True, min_node_count=1, timeout_in_minutes=0)
    assert capsys.readouterr().out.splitlines()[2:] == [
        "Wait timeout has been reached",
        'Current provisioning state of AmlCompute is "Succeeded" and current node count is "0"',
    ]


def test_waiting_for_one_that_failed(service: FakeService, cpu: AmlCompute, capsys: Out) -> None:
    problem = {"code": "too_large", "message": "8 cores; here are 2.", "fix": "Take a smaller."}
    view = cluster_view(provisioning_state="Failed", provisioning_errors=[problem])
    service("GET", "/v1/targets/cpu", view)
    cpu.wait_for_completion(show_output=True)
    assert capsys.readouterr().out.splitlines()[2:] == [
        'Terminal state of "Failed" has been reached',
        "8 cores; here are 2. Take a smaller.",
    ]
    cpu.wait_for_completion()
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("at_once")
def test_waiting_for_a_delete(service: FakeService, cpu: AmlCompute, capsys: Out) -> None:
    gone = (404, error("not_found", "There is no target 'cpu'."))
    leaving = cluster_view(current=1, provisioning_state="Deleting")
    service("GET", "/v1/targets/cpu", sequence(leaving, gone))
    cpu.wait_for_completion(show_output=True, is_delete_operation=True)
    assert capsys.readouterr().out.splitlines()[0] == "Deleting"


# -- changing ----------------------------------------------------------------------------------


def test_update_sends_what_is_given(service: FakeService, cpu: AmlCompute) -> None:
    changed = cluster_view()
    changed["config"]["max_nodes"] = 6
    del changed["cluster"]
    service("PATCH", "/v1/targets/cpu", changed)
    cpu.update()
    cpu.update(max_nodes=6)
    cpu.update(0, 6, 60)
    assert service.sent("PATCH", "/v1/targets/cpu") == [
        {"max_nodes": 6},
        {"min_nodes": 0, "max_nodes": 6, "idle_seconds_before_scaledown": 60},
    ]
    assert cpu.scale_settings.maximum_node_count == 6
    assert cpu.status.current_node_count == 0
    with pytest.raises(ComputeTargetException, match="min_nodes must be"):
        cpu.update(min_nodes=-1)
    service("PATCH", "/v1/targets/cpu", (400, error("invalid", "min_nodes (9) is too much.")))
    with pytest.raises(ComputeTargetException, match="9"):
        cpu.update(min_nodes=9)


def test_delete_says_what_to_do_about_runs(service: FakeService, cpu: AmlCompute) -> None:
    asked: list[dict[str, list[str]]] = []

    def answer(query: dict[str, list[str]], body: object) -> Any:
        asked.append(query)
        busy = (409, error("conflict", "2 runs are active on 'cpu'."))
        return (204, b"") if query.get("force") == ["true"] else busy

    service("DELETE", "/v1/targets/cpu", answer)
    with pytest.raises(ComputeTargetException, match=r"2 runs.*delete\(force=True\) cancels"):
        cpu.delete()
    cpu.delete(force=True)
    assert asked == [{}, {"force": ["true"]}]
    # A script that takes its time to end.
    service("DELETE", "/v1/targets/cpu", (409, error("conflict", "1 runs are active on 'cpu'.")))
    with pytest.raises(ComputeTargetException, match="being canceled: try again"):
        cpu.delete(force=True)


def test_what_clusters_do_not_have(ws: Workspace, cpu: AmlCompute) -> None:
    with pytest.raises(ComputeTargetException, match=r"use delete\(\)"):
        cpu.detach()
    with pytest.raises(ComputeTargetException, match="no identities"):
        cpu.add_identity("SystemAssigned")
    with pytest.raises(ComputeTargetException, match="no identities"):
        cpu.remove_identity()


def test_quotas(service: FakeService, ws: Workspace) -> None:
    rows = [
        {"name": "cores:standardDv2Family", "limit": 8, "used": 2, "default": 8},
        {"name": "cores:custom", "limit": 2, "used": 0, "default": 2},
        {"name": "targets", "limit": 200, "used": 1, "default": 200},
    ]
    service("GET", "/v1/quotas", {"quotas": rows})
    service("PUT", "/v1/quotas/cores:standardDv2Family", {})
    (used,) = AmlCompute.list_usages(ws)
    assert (used["name"]["value"], used["currentValue"], used["limit"]) == (
        "standardDv2Family",
        2,
        8,
    )
    assert len(AmlCompute.list_usages(ws, show_all=True)) == 2
    found = AmlCompute.update_quotas(ws, "standardDv2Family", 4)
    assert [row["limit"] for row in found] == [8, 2]
    assert service.requests[-2][2] == {"limit": 4}
    with pytest.raises(ComputeTargetException, match="one limit for each"):
        AmlCompute.update_quotas(ws, ["a", "b"], [1])


# -- run-based ---------------------------------------------------------------------------------


def test_v1s_run_based_sample_reaches_the_spec() -> None:
    rc = RunConfiguration()
    rc.target = "amlcompute"
    rc.amlcompute.vm_size = "STANDARD_D2_V2"
    rc.amlcompute.vm_priority = "lowpriority"
    rc.amlcompute._cluster_max_node_count = 5
    rc.amlcompute._name = "brief"
    rc.amlcompute._retain_cluster = True
    spec = rc.to_spec("train.py")
    assert spec.target == "amlcompute"
    assert spec.sections == {
        "amlcompute": {
            "vm_size": "STANDARD_D2_V2",
            "vm_priority": "lowpriority",
            "retain_cluster": True,
            "name": "brief",
            "cluster_max_node_count": 5,
        }
    }


def test_a_cluster_object_is_a_target(cpu: AmlCompute) -> None:
    rc = RunConfiguration()
    rc.target = cpu
    assert rc.to_spec("train.py").target == "cpu"
