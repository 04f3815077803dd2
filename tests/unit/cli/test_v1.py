"""v1's command line: both generations' spellings, v1's keys, and what is not there."""

from __future__ import annotations

import doctest
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from turnout import RunConfiguration
from turnout.cli import (
    cluster,
    experiment,
    run,
    target_views,
    v1_computetarget,
    v1_folder,
    v1_options,
    v1_run,
)
from turnout.cli import main as cli
from turnout.cli.v1_computetarget import NOT_ATTACHED, NOT_CREATED
from turnout.client import embedded, submission
from turnout.client import workspace as workspaces
from turnout.spec.errors import NotFoundError

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


class FakeClient:
    """Answers by (method, path) and notes what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Any] = {}
        self.asked: list[tuple[str, str, Any]] = []

    def request(self, method: str, path: str, body: Any = None, *, query: Any = None) -> Any:
        self.asked.append((method, path, body or query))
        answer = self.answers.get((method, path), NotFoundError(f"nothing at {path}"))
        answer = answer(body or query) if isinstance(answer, Callable) else answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def get(self, path: str, query: Any = None) -> Any:
        return self.request("GET", path, query=query)

    def post(self, path: str, body: Any = None) -> Any:
        return self.request("POST", path, body)

    def sent(self, method: str) -> list[Any]:
        return [body for m, _, body in self.asked if m == method]


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


@pytest.mark.parametrize("module", [v1_run, v1_options, v1_folder])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


# -- targets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "--max_nodes 4 --min_nodes 1 --size 2c4g --idle_time 300 --priority lowpriority",
        "--max-nodes 4 --min-nodes 1 -s 2c4g --idle-seconds-before-scaledown 300 -p LowPriority",
        "--max-nodes 4 --min-nodes 1 --vm-size 2c4g --idle-time 300 --vm-priority lowpriority "
        "--admin-username a --assign-identity [system] -w w -g g --subscription-id s --verbose",
    ],
)
def test_create_in_every_spelling(capsys: Out, client: FakeClient, words: str) -> None:
    found = call(capsys, "computetarget", "create", "amlcompute", "-n", "cpu", *words.split())
    assert found == {
        "location": "local", "name": "cpu", "provisioningErrors": None,
        "provisioningState": "Succeeded",
    }  # fmt: skip
    body = client.sent("POST")[0]
    assert (body["name"], body["kind"]) == ("cpu", "cluster")
    wanted = {"vm_size": "2c4g", "vm_priority": "lowpriority", "max_nodes": 4, "min_nodes": 1,
              "idle_seconds_before_scaledown": 300}  # fmt: skip
    assert {k: body["config"][k] for k in wanted} == wanted


@pytest.mark.parametrize(
    "words",
    [
        "update --name cpu --max_nodes 8 --idle_time 60 --workspace w --group g",
        "update amlcompute -n cpu --max-nodes 8 --idle-seconds-before-scaledown 60",
    ],
)
def test_update_in_both_forms(capsys: Out, client: FakeClient, words: str) -> None:
    assert call(capsys, "computetarget", *words.split())["name"] == "cpu"
    assert client.sent("PATCH") == [{"max_nodes": 8, "idle_seconds_before_scaledown": 60}]


def test_update_wants_something(capsys: Out) -> None:
    assert call(capsys, "computetarget", "update", "-n", "cpu", code=2) is None


def test_list_show_delete_detach(capsys: Out, client: FakeClient) -> None:
    listed = call(capsys, "computetarget", "list", "-w", "w", "-g", "g")
    assert [(x["name"], x["type"]) for x in listed] == [
        ("cpu", "AmlCompute"), ("lab", "VirtualMachine")
    ]  # fmt: skip
    assert listed[1]["provisioningErrors"] == [PROBLEM]
    shown = call(capsys, "computetarget", "show", "--name", "cpu")
    assert shown["properties"]["scaleSettings"]["maxNodeCount"] == 4
    assert call(capsys, "computetarget", "show", "-n", "lab")["properties"] == {"address": "h"}
    assert call(capsys, "computetarget", "delete", "-n", "lab", code=2) is None
    assert call(capsys, "computetarget", "detach", "-n", "cpu", code=2) is None
    assert client.sent("DELETE") == []
    gone = call(capsys, "computetarget", "detach", "-n", "lab")
    assert gone == {"id": "7", "name": "lab"}
    assert call(capsys, "computetarget", "delete", "-n", "cpu", "-y")["name"] == "cpu"
    assert client.sent("DELETE") == [None, {"force": True}]


def test_attach_remote(capsys: Out, client: FakeClient) -> None:
    seen = {"host_key": "ssh-ed25519 AAAA", "fingerprint": "SHA256:x", "known": False}
    client.answers["POST", "/v1/targets/host-key"] = seen
    client.answers["POST", "/v1/targets"] = LAB
    words = [
        "-n",
        "lab",
        "-a",
        "h",
        "--ssh-port",
        "2222",
        "-u",
        "ana",
        "-p",
        "secret",
        "-w",
        "w",
        "-g",
        "g",
    ]
    assert cli.main(["computetarget", "attach", "remote", *words]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["provisioningState"] == "Failed"
    assert "SHA256:x (accepted)" in err
    assert "It does not answer. Start it." in err
    shown, body = client.sent("POST")
    assert "password" not in shown["config"]
    assert body["config"] == {
        "address": "h", "username": "ana", "port": 2222, "password": "secret",
        "host_key": "ssh-ed25519 AAAA",
    }  # fmt: skip
    assert cli.main(["computetarget", "attach", "remote", *words, "--host-key", "SHA256:y"]) == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        *((f"computetarget attach {k} -n x -i y", v) for k, v in NOT_ATTACHED.items()),
        *((f"computetarget create {k} -n x -i y", v) for k, v in NOT_CREATED.items()),
        *((f"run {k} -c x y.py", v) for k, v in v1_run.ABSENT.items()),
        ("computetarget create cloud", "Argument KIND: invalid choice: 'cloud'"),
        ("computetarget create amlcompute -n x", "required: -s/--vm-size"),
        ("run update -r exp_1_ab", "required: --add-tag"),
    ],
)  # fmt: skip
def test_what_is_not_there(capsys: Out, client: FakeClient, words: str, text: str) -> None:
    assert cli.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("turnout: error: ")
    assert text in err
    assert err.count("\n") == 1
    assert client.asked == []


# -- formats -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (
            "table",
            "Location  Name  ProvisioningState  Type\nlocal     cpu   Succeeded          Aml",
        ),
        ("tsv", "local\tcpu\tSucceeded\tAmlCompute\n"),
        ("none", ""),
        ("yaml", "- location: local\n  name: cpu\n"),
        ("jsonc", '[\n  {\n    "location"'),
    ],
)
def test_formats(capsys: Out, client: FakeClient, output: str, text: str) -> None:
    view = {**CPU, "provisioning_errors": [PROBLEM]}
    client.answers["GET", "/v1/targets"] = {"targets": [view]}
    assert cli.main(["computetarget", "list", "--output", output]) == 0
    assert capsys.readouterr().out.startswith(text)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("[].name", ["cpu", "lab"]),
        ("[0].name", "cpu"),
        ("[-1].provisioningErrors[0].code", "unreachable"),
        ('[0]."type"', "AmlCompute"),
        ("[*].provisioningErrors[].fix", [["Start it."]]),
        ("[7].name", None),
        ("[0].name.no", None),
        ("name[]", None),
    ],
)
def test_query(capsys: Out, query: str, found: Any) -> None:
    assert call(capsys, "computetarget", "list", "--query", query) == found


def test_query_in_tables(capsys: Out) -> None:
    assert cli.main(["computetarget", "list", "--query", "[].name", "-o", "tsv"]) == 0
    assert capsys.readouterr().out == "cpu\nlab\n"
    assert cli.main(["computetarget", "show", "-n", "cpu", "--query", "x", "-o", "tsv"]) == 0
    assert capsys.readouterr().out == "\n"
    assert cli.main(["computetarget", "list", "--query", "[?name=='a']"]) == 2
    assert "only names, indexes and [] are understood" in capsys.readouterr().err


# -- runs --------------------------------------------------------------------------------------


def test_run_list_in_v1s_words(capsys: Out, client: FakeClient) -> None:
    words = "--last 5 --experiment-name exp --status Completed --tags best=1 --ct cpu --minimal"
    words += " -o json -w w -g g"
    found = call(capsys, "run", "list", *words.split())
    assert found[0]["runId"] == "exp_1_ab"
    assert found[0]["experimentName"] == "exp"
    assert found[0]["status"] == "Completed"
    query = client.asked[0][2]
    assert (query["limit"], query["state"], query["tag"]) == (5, "completed", "best=1")
    assert query["target"] == "cpu"
    # Whoever gives an option that only v1 has reads v1's answer; others ours.
    assert call(capsys, "run", "list", "-w", "w", "--query", "[].runId") == ["exp_1_ab"]
    assert cli.main(["run", "list", "-e", "exp", "--target", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("RUN ")
    assert cli.main(["run", "list", "--last", "1", "-o", "table"]) == 0
    assert capsys.readouterr().out.startswith("ExperimentName  RunId")
    assert cli.main(["run", "list", "--status", "Done"]) == 2
    assert "'Done' is none of NotStarted, Starting, " in capsys.readouterr().err


def test_the_run_is_an_option_or_a_word(capsys: Out, client: FakeClient) -> None:
    newest = {**RUN, "id": "exp_2_cd"}
    client.answers["GET", "/v1/runs"] = {"runs": [newest]}
    client.answers["GET", "/v1/runs/exp_2_cd"] = newest
    client.answers["GET", "/v1/runs/exp_2_cd/logs"] = {"logs": []}
    assert call(capsys, "run", "show", "-o", "json")["runId"] == "exp_2_cd"
    for words in (["-r", "exp_1_ab"], ["exp_1_ab"], ["--run", "exp_1_ab"]):
        assert call(capsys, "run", "show", *words, "-o", "json")["runId"] == "exp_1_ab"
    assert call(capsys, "run", "cancel", "-r", "exp_1_ab", "-o", "json")["status"] == "Completed"
    assert call(capsys, "run", "show", "-r", "exp_1_ab", "-e", "exp")["runId"] == "exp_1_ab"
    assert call(capsys, "run", "cancel", "exp_1_ab") is None


def test_update_adds_tags(capsys: Out, client: FakeClient) -> None:
    found = call(capsys, "run", "update", "-r", "exp_1_ab", "--add-tag", "a=1", "--add-tag", "b")
    assert found["runId"] == "exp_1_ab"
    assert client.sent("PATCH") == [{"tags": {"set": {"a": "1", "b": None}, "remove": []}}]


def test_there_are_no_logs_yet(capsys: Out) -> None:
    assert cli.main(["run", "download-logs", "-d", "logs"]) == 2
    assert "has no logs yet. Its state is 'completed'." in capsys.readouterr().err
    assert not Path("logs").exists()


def test_history_is_of_the_folders_experiment(capsys: Out, client: FakeClient) -> None:
    found = call(capsys, "history", "list")[0]
    assert (found["runId"], found["run_id"]) == ("exp_1_ab", "exp_1_ab")
    assert cli.main(["project", "attach", "--experiment-name", "mine", "-o", "none"]) == 0
    call(capsys, "history", "list", "--last", "3")
    assert client.asked[-2][2] == {"experiment": "mine", "limit": 3}
    client.answers["GET", "/v1/runs/exp_1_ab/metrics"] = {"metrics": {"mse": [3, 2], "best": 2}}
    assert cli.main(["history", "last", "--query", "mse", "-o", "TSV"]) == 0
    assert capsys.readouterr().out == "2\n"
    assert call(capsys, "history", "last", "-o", "JSON")["status"] == "Completed"
    client.answers["GET", "/v1/runs"] = {"runs": []}
    assert cli.main(["history", "last"]) == 2
    assert "no such runs yet" in capsys.readouterr().err
    Path("aml_config/project.json").write_text("{}")
    assert cli.main(["history", "list"]) == 2
    assert "'aml_config/project.json' names no experiment" in capsys.readouterr().err


def test_experiments_and_workspaces(capsys: Out) -> None:
    assert call(capsys, "experiment", "list", "-w", "w", "-o", "json")[0]["name"] == "exp"
    assert call(capsys, "workspace", "show", "-w", "w")["name"] == "default"
    assert call(capsys, "workspace", "list")[0]["name"] == "default"
    words = ["-n", "w", "-g", "g", "-l", "westeurope", "--exist-ok", "--yes"]
    assert call(capsys, "workspace", "create", *words)["name"] == "default"


def test_configure(capsys: Out) -> None:
    assert cli.main(["configure", "--defaults", "aml_workspace=w", "group=g"]) == 0
    assert "nothing to configure" in capsys.readouterr().err
    assert cli.main(["configure", "-d", "group"]) == 2


# -- folders -----------------------------------------------------------------------------------


def test_project_attach(capsys: Out) -> None:
    words = ["--experiment-name", "mine", "-w", "w", "-g", "g", "--subscription-id", "s"]
    found = call(capsys, "project", "attach", *words)
    assert found == {
        "Experiment name": "mine", "Project path": str(Path.cwd()), "Resource group": "g",
        "Subscription id": "s", "Workspace name": "w",
    }  # fmt: skip
    names = sorted(p.name for p in Path("aml_config").iterdir())
    assert names == [
        "conda_dependencies.yml", "cpu.runconfig", "docker.runconfig", "lab.runconfig",
        "local.runconfig", "project.json",
    ]  # fmt: skip
    project = json.loads(Path("aml_config/project.json").read_text())
    assert project["Id"] == "mine"
    assert project["Scope"].startswith("/subscriptions/s/resourceGroups/g/providers/")
    assert project["Scope"].endswith("/workspaces/w/projects/mine")
    assert workspaces.Workspace.from_config().name == "w"
    assert RunConfiguration.load(".", "docker").environment.docker.enabled
    cpu = RunConfiguration.load(".", "cpu")
    assert cpu.target == "cpu"
    assert cpu.environment.python.conda_dependencies.pip_packages == ["azureml-defaults"]


def test_folder_attach_keeps_what_is_there(capsys: Out) -> None:
    Path(".amlignore").write_text("mine\n")
    Path(".azureml").mkdir()
    Path(".azureml/local.runconfig").write_text("target: cpu\n")
    found = call(capsys, "folder", "attach", "-w", "w", "-g", "g")
    assert (found["Workspace name"], found["Resource group"]) == ("w", "g")
    assert json.loads(Path(".azureml/config.json").read_text()) == {
        "subscription_id": "", "resource_group": "g", "workspace_name": "w"
    }  # fmt: skip
    assert not Path(".azureml/project.json").exists()
    assert Path(".amlignore").read_text() == "mine\n"
    assert RunConfiguration.load(".", "local").target == "cpu"
    assert cli.main(["folder", "attach", "--path", "new", "-e", "exp"]) == 2
    Path("new").mkdir()
    found = call(capsys, "folder", "attach", "--path", "new", "-e", "exp")
    assert found["Workspace name"] == "default"
    assert ".azureml" in Path("new/.amlignore").read_text()
    assert v1_folder.experiment_of(Path("new")) == "exp"
    assert cli.main(["folder", "attach", "-e", "a/b"]) == 2


# -- submitting --------------------------------------------------------------------------------


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """(experiment, ScriptRunConfig) of each."""
    found: list[tuple[str, Any]] = []

    def submit(client: Any, experiment: str, config: Any, **options: Any) -> dict[str, Any]:
        config.to_spec()
        found.append((experiment, config))
        return RUN

    monkeypatch.setattr(submission, "submit", submit)
    for name in ("train.py", "other.py"):
        Path(name).write_text("")
    return found


def save(name: str, **settings: Any) -> None:
    rc = RunConfiguration("train.py", ["--from-the-file", "1"])
    for key, value in settings.items():
        setattr(rc, key, value)
    rc.save(".", name)


def test_submit_script(capsys: Out, submitted: list[tuple[str, Any]]) -> None:
    save("cpu", target="cpu", node_count=2)
    words = [
        "-c",
        "cpu",
        "-e",
        "exp",
        "--async",
        "-t",
        "run.json",
        "other.py",
        "--alpha",
        "0.1",
        "-e",
        "5",
    ]
    assert call(capsys, "run", "submit-script", *words)["runId"] == "exp_1_ab"
    experiment, config = submitted[0]
    assert (experiment, config.script) == ("exp", "other.py")
    assert config.arguments == ["--alpha", "0.1", "-e", "5"]
    assert (config.run_config.target, config.run_config.node_count) == ("cpu", 2)
    assert json.loads(Path("run.json").read_text())["runId"] == "exp_1_ab"


def test_submit_what_the_file_says(
    capsys: Out, client: FakeClient, submitted: list[tuple[str, Any]]
) -> None:
    cli.main(["project", "attach", "--experiment-name", "mine", "-o", "none"])
    save("gpu", target="gpu")
    Path("list.yml").write_text("dependencies: [numpy]\n")
    call(capsys, "run", "submit", "-c", "gpu", "--ct", "lab", "-d", "list.yml", "--async")
    experiment, config = submitted[0]
    assert experiment == "mine"
    spec = config.to_spec()
    assert (spec.script, spec.arguments) == ("train.py", ("--from-the-file", "1"))
    assert (spec.target, spec.environment.conda) == ("lab", ("numpy",))
    # Without -c it is `local`; without that, the defaults.
    call(capsys, "run", "submit", "--async", "train.py")
    assert submitted[1][1].run_config.environment.python.conda_dependencies_file
    call(
        capsys, "run", "submit-script", "--path", ".", "-c", "aml_config/gpu.runconfig", "--async"
    )
    assert submitted[2][1].run_config.target == "gpu"
    rc = RunConfiguration("train.py")
    rc.target = "cpu"
    rc.save(".", "config/train-aml")
    call(capsys, "run", "submit-script", "-c", "config/train-aml", "--async")
    assert submitted[3][1].run_config.target == "cpu"
    assert call(capsys, "run", "submit", "-c", "gqu", "train.py", code=2) is None


def test_submit_without_a_configuration(capsys: Out, submitted: list[tuple[str, Any]]) -> None:
    call(capsys, "run", "submit-script", "--async", "--", "train.py", "--x")
    experiment, config = submitted[0]
    assert experiment == Path.cwd().name.strip("-_.")
    assert (config.run_config.target, config.arguments) == ("local", ["--x"])


def test_our_submit_takes_a_configuration(
    capsys: Out, client: FakeClient, submitted: list[tuple[str, Any]]
) -> None:
    rc = RunConfiguration("train.py", ["a"])
    rc.target, rc.environment_variables = "lab", {"A": "1", "B": "1"}
    rc.environment.python.conda_dependencies.add_pip_package("pandas")
    rc.save(".", "lab")

    def config(*words: str) -> Any:
        assert cli.main(["submit", "--detach", *words]) == 0
        return submitted[-1][1].to_spec()

    spec = config("--config", "lab")
    assert (spec.target, spec.script, spec.arguments) == ("lab", "train.py", ("a",))
    assert spec.environment.pip == ("pandas",)
    spec = config("-c", "lab", "--target", "cpu", "--env", "A=2", "other.py", "b")
    assert (spec.target, spec.script, spec.arguments) == ("cpu", "other.py", ("b",))
    assert spec.environment.variables == {"A": "2", "B": "1"}
    spec = config("-c", "lab", "--pip", "numpy", "--nodes", "2", "--mpi", "--max-duration", "1h")
    assert (spec.environment.pip, spec.node_count) == (("numpy",), 2)
    assert (spec.distribution.kind, spec.max_run_duration_s) == ("mpi", 3600)
    spec = config("-c", "lab", "--vm-size", "2c4g", "--no-eras", "--restarts", "0")
    assert (spec.target, spec.restarts) == ("amlcompute", 0)
    assert spec.sections["amlcompute"]["vm_size"] == "2c4g"
    assert not spec.environment.eras
    path = Path("elsewhere.runconfig")
    path.write_text(yaml.safe_dump({"script": "other.py", "odd": 1}))
    capsys.readouterr()
    assert config("-c", str(path)).script == "other.py"
    assert "turnout: warning: 'elsewhere.runconfig', line 1: 'odd'" in capsys.readouterr().err
    assert cli.main(["submit", "-c", "lba"]) == 2
    assert "did you mean 'lab'?" in capsys.readouterr().err
