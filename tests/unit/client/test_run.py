"""Runs from outside: watching, collecting, logging to interactive ones."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_service import FakeService, error, event, log_event, run_view

from turnout import Experiment, Run, ScriptRun, Workspace
from turnout.client import watching
from turnout.client.events import NOTHING
from turnout.client.exceptions import (
    ActivityFailedException,
    AzureMLException,
    RunEnvironmentException,
    UserErrorException,
)
from turnout.payload import tracking
from turnout.payload.values import TrackingError
from turnout.spec.errors import ConflictError, NotFoundError

pytestmark = pytest.mark.usefixtures("client")
DRIVER = "azureml-logs/70_driver_log.txt"
BUILD = "azureml-logs/20_image_build_log.txt"
BASE = "/v1/runs/exp_1_ab"


@pytest.fixture
def experiment() -> Experiment:
    return Experiment(Workspace(name="w"), "exp")


@pytest.fixture
def run(service: FakeService, experiment: Experiment) -> ScriptRun:
    service("GET", BASE, run_view())
    service(
        "GET", f"{BASE}/logs", {"logs": [{"name": DRIVER, "size": 4}, {"name": BUILD, "size": 0}]}
    )
    files = [
        {"name": n, "size": 1, "sha256": ""} for n in ("outputs/m.pkl", "outputs/b/x", "up.txt")
    ]
    service("GET", f"{BASE}/files", {"files": files})
    return ScriptRun(experiment, "exp_1_ab", _view=run_view())


def test_the_attempt_is_asked_anew(service: FakeService, run: ScriptRun) -> None:
    assert run.attempt == 1
    service("GET", BASE, run_view(attempt=2))
    assert run.attempt == 2


# -- watching ----------------------------------------------------------------------------------


def test_output_is_shown_as_v1_does(
    service: FakeService, run: ScriptRun, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run_view(state="completed", status="Completed", warnings=["odd"])
    service("GET", f"{BASE}/events", lambda query, body: iter([
        event("run", run_view(state="preparing")),
        log_event(BUILD, 0, "building\n"),
        log_event(DRIVER, 0, "one\nhalf "),
        log_event(DRIVER, 9, "line é"),
        event("run", done),
        event("end", done),
    ]))  # fmt: skip
    found = run.wait_for_completion(show_output=True)
    assert (
        capsys.readouterr().out
        == f"""RunId: exp_1_ab

Streaming {BUILD}
{"=" * (10 + len(BUILD))}

building
Streaming {DRIVER}
{"=" * (10 + len(DRIVER))}

one
half line é

Execution Summary
=================
RunId: exp_1_ab

Warnings:
[
  "odd"
]
"""
    )
    assert (found["status"], found["warnings"]) == ("Completed", [{"message": "odd"}])
    assert run.status == "Completed"


def test_without_output_no_log_travels(service: FakeService, run: ScriptRun) -> None:
    asked: list[Any] = []

    def answer(query: Any, body: Any) -> Iterator[bytes]:
        asked.extend(query["offset"])
        return iter([event("end", run_view(state="completed", status="Completed"))])

    service("GET", f"{BASE}/events", answer)
    assert run.wait_for_completion()["runId"] == run.id
    assert set(asked) == {f"{name}:{NOTHING}" for name in watching.LOGS}


def test_a_failed_run_raises_its_reason(service: FakeService, run: ScriptRun) -> None:
    reason = {"code": "script_failed", "message": "The script exited with code 3.", "exit_code": 3}
    failed = run_view(state="failed", status="Failed", error=reason)
    service("GET", f"{BASE}/events", lambda query, body: iter([event("end", failed)]))
    with pytest.raises(ActivityFailedException, match="code 3") as caught:
        run.wait_for_completion()
    assert caught.value.details["error"]["exitCode"] == 3  # type: ignore[index]
    assert isinstance(caught.value, AzureMLException)
    out = io.StringIO()
    found = run.wait_for_completion(show_output=True, raise_on_error=False, out=out)
    assert found["status"] == "Failed"
    assert '"exit_code": 3' in out.getvalue()


def test_a_terminal_that_cannot_show_everything_shows_what_it_can() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    watching.say(out, "é\n")
    assert raw.getvalue() == b"?\n"


def test_details_are_v1s_dictionary(service: FakeService, run: ScriptRun) -> None:
    found = run.get_details()
    assert found["runId"] == "exp_1_ab"
    assert found["runDefinition"]["arguments"] == ["--alpha", "0.1"]
    assert found["runDefinition"]["environment"]["python"]["userManagedDependencies"] is False
    assert found["logFiles"] == {DRIVER: f"{BASE}/logs/{DRIVER}"}
    assert "endTimeUtc" not in found
    assert "error" not in found
    service("GET", f"{BASE}/logs/{DRIVER}", b"t\xffxt")
    assert run.get_details_with_logs()["logFiles"] == {DRIVER: "t\ufffdxt"}
    service("GET", BASE, run_view(message="Installing 3 packages"))
    assert run.get_detailed_status() == {"status": "Running", "details": "Installing 3 packages"}


def test_shown_in_a_notebook(service: FakeService, experiment: Experiment) -> None:
    service("GET", BASE, run_view(display_name="<b>"))
    run = Run.get(experiment.workspace, "exp_1_ab")
    assert isinstance(run, ScriptRun)
    assert ">exp_1_ab</td>" in run._repr_html_()
    assert ">w</td>" in experiment._repr_html_()
    assert repr(run).startswith("Run(Experiment: exp,\nId: exp_1_ab")


# -- metrics and files -------------------------------------------------------------------------


def test_metrics_are_decoded(service: FakeService, run: ScriptRun) -> None:
    found = {"mse": [1, {"$float": "NaN"}], "r": {"a": [{"$float": "-Infinity"}]}}
    service("GET", f"{BASE}/metrics", lambda query, body: {
        "metrics": {"exp_1_ab": found, "c": {}} if query else found
    })  # fmt: skip
    metrics = run.get_metrics()
    assert math.isnan(metrics["mse"][1])
    assert metrics["r"] == {"a": [-math.inf]}
    assert run.get_metrics("r") == {"r": {"a": [-math.inf]}}
    assert run.get_metrics("r", recursive=True)["c"] == {}


def test_files_and_logs_are_listed_and_fetched(
    service: FakeService, run: ScriptRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    service("GET", f"{BASE}/files/outputs/m.pkl", b"model")
    service("GET", f"{BASE}/files/outputs/b/x", b"x")
    service("GET", f"{BASE}/files/up.txt", b"up")
    log = b"line\n" * 3
    service("GET", f"{BASE}/logs/{DRIVER}", lambda q, b: log[int(q["offset"][0]) :][:7] or b"")
    assert run.get_file_names() == [DRIVER, "outputs/b/x", "outputs/m.pkl", "up.txt"]
    run.download_file("outputs/m.pkl")
    assert Path("m.pkl").read_bytes() == b"model"
    run.download_file("outputs/m.pkl", "new/folder/other.pkl")
    assert Path("new/folder/other.pkl").read_bytes() == b"model"
    run.download_file("up.txt", "new")
    assert Path("new/up.txt").read_bytes() == b"up"
    run.download_file(DRIVER, "log.txt")
    assert Path("log.txt").read_bytes() == log
    run.download_files(output_directory="all")
    assert Path("all", DRIVER).read_bytes() == log
    assert Path("all/outputs/b/x").read_bytes() == b"x"
    run.download_files("outputs/", "short", append_prefix=False)
    assert sorted(p.name for p in Path("short").rglob("*")) == ["b", "m.pkl", "x"]
    run.download_files("up", output_paths=["given"])
    assert Path("given").read_bytes() == b"up"
    assert run.get_all_logs("logs") == [f"logs/{DRIVER}"]
    with pytest.raises(UserErrorException, match="2 entries for 1 files"):
        run.download_files("up", output_paths=["a", "b"])
    with pytest.raises(NotFoundError, match=r"no file 'outputs/m\.pk' \(did you mean"):
        run.download_file("outputs/m.pk")
    with pytest.raises(UserErrorException, match="cannot be written"):
        run.download_file("up.txt", "m.pkl/inside")


@pytest.mark.parametrize("name", ["../escape", "/abs", "a/../../b"])
def test_names_from_elsewhere_never_lead_out(
    service: FakeService, run: ScriptRun, tmp_path: Path, name: str
) -> None:
    service("GET", f"{BASE}/files", {"files": [{"name": name, "size": 1}]})
    with pytest.raises(TrackingError):
        run.download_files(output_directory=tmp_path / "in")
    assert [p.name for p in tmp_path.iterdir() if p.name != "s"] == []


# -- changing ----------------------------------------------------------------------------------


def test_tags_and_properties_go_to_the_service(service: FakeService, run: ScriptRun) -> None:
    service("PATCH", BASE, {})
    run.tag("Competition Rank", 1)
    run.remove_tags(["a"])
    run.add_properties({"p": 2})
    run.display_name = "nice"
    assert service.sent("PATCH", BASE) == [
        {"tags": {"set": {"Competition Rank": "1"}, "remove": []}},
        {"tags": {"set": {}, "remove": ["a"]}},
        {"properties": {"p": "2"}},
        {"display_name": "nice"},
    ]
    assert run.display_name == "nice"
    service("PATCH", BASE, (409, error("conflict", "'p' is '2' already")))
    with pytest.raises(ConflictError, match="already"):
        run.add_properties({"p": 3})
    service("POST", f"{BASE}/cancel", run_view(status="CancelRequested"))
    run.cancel()
    service("GET", BASE, run_view(tags={"x": None}, properties={"p": "2"}))
    assert (run.tags, run.properties) == ({"x": None}, {"p": "2"})


def test_interactive_runs(
    service: FakeService,
    experiment: Experiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs/sub").mkdir(parents=True)
    (tmp_path / "outputs/sub/m.txt").write_text("model")
    records: list[Any] = []

    def take(query: Any, body: Any) -> Any:
        records.extend(body["records"])
        return {}

    view = run_view(type="sdk", target="sdk", spec={})
    service("POST", "/v1/runs", lambda query, body: (201, {**view, "parent": body["parent"]}))
    service("GET", BASE, {**view, "state": "completed", "status": "Completed"})
    service("POST", f"{BASE}/records", take)
    for name in ("outputs/sub/m.txt", "a.bin", "text"):
        service("PUT", f"{BASE}/files/{name}", {})
    with experiment.start_logging(display_name="d") as run:
        assert (type(run), run.type) == (Run, "sdk")
        run.log("a", math.inf)
        run.log_row("r", x=1)
        kept = run.upload_file("a.bin", io.BytesIO(b"\0"))
        assert kept.serialize()["artifacts"]["a.bin"]["container"] == "dcid.exp_1_ab"
        run.upload_file("text", io.StringIO("é"))
        child = run.child_run("kid")
        assert isinstance(child, Run)
        with pytest.raises(TrackingError, match="no file"):
            run.upload_file("x", "none.txt")
        with pytest.raises(TrackingError, match="upload_folder"):
            run.upload_file("x", tmp_path)
    assert run.status == "Completed"
    begun, kid = service.sent("POST", "/v1/runs")
    assert (begun["interactive"], begun["display_name"], begun["parent"]) == (True, "d", None)
    assert (kid["parent"], kid["display_name"]) == ("exp_1_ab", "kid")
    for record in records:
        record.pop("at")
    assert records == [
        {"t": "metric", "name": "a", "value": {"$float": "Infinity"}},
        {"t": "row", "name": "r", "value": {"x": 1}},
        {"t": "state", "state": "completed"},
    ]
    assert service.sent("PUT", f"{BASE}/files/outputs/sub/m.txt") == [b"model"]
    assert service.sent("PUT", f"{BASE}/files/text") == ["é".encode()]
    with pytest.raises(ZeroDivisionError), experiment.start_logging():
        _ = 1 / 0
    assert records[-1]["error"]["message"] == "ZeroDivisionError: division by zero"
    with pytest.raises(UserErrorException, match="'snapshot_dir'"):
        experiment.start_logging(snapshot_dir=".")


def test_a_folder_for_outputs_is_made(
    service: FakeService,
    experiment: Experiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Notebooks write into it at once."""
    monkeypatch.chdir(tmp_path)
    service("POST", "/v1/runs", run_view(type="sdk", target="sdk", spec={}))
    experiment.start_logging()
    experiment.start_logging(outputs="other/place")
    assert (tmp_path / "outputs").is_dir()
    assert (tmp_path / "other/place").is_dir()
    (tmp_path / "file").touch()
    experiment.start_logging(outputs="file/below")


# -- finding -----------------------------------------------------------------------------------


def test_lists_page_and_filter(service: FakeService, experiment: Experiment) -> None:
    everything = [
        run_view(id=f"exp_{n}", number=n, tags={"a": str(n % 2)}, status="Completed")
        for n in range(1200, 0, -1)
    ]

    def answer(query: dict[str, list[str]], body: Any) -> Any:
        before = int(query.get("before", ["999999"])[0])
        assert query["tag"] == ["a=1"]
        fitting = [v for v in everything if v["number"] < before]
        return {"runs": fitting[: int(query["limit"][0])]}

    service("GET", "/v1/runs", answer)
    found = list(experiment.get_runs(tags={"a": 1}))
    assert [r.number for r in found] == list(range(1199, 0, -2))
    assert len(service.requests) == 3
    assert list(Run.list(experiment, tags={"a": 1}, status="Failed")) == []


def test_children_of_children(service: FakeService, run: ScriptRun) -> None:
    tree = {
        "exp_1_ab": [run_view(id="c", number=2, type="sdk", parent="exp_1_ab")],
        "c": [run_view(id="cc", number=3, type="sdk", parent="c")],
    }
    service("GET", "/v1/runs", lambda q, b: {"runs": tree.get(q["parent"][0], [])})
    assert [r.id for r in run.get_children()] == ["c"]
    assert [r.id for r in run.get_children(recursive=True)] == ["c", "cc"]


def test_a_run_that_is_not_there(service: FakeService, experiment: Experiment) -> None:
    service("GET", "/v1/runs/none", (404, error("not_found", "There is no run 'none'.")))
    for nothing in (None, ""):
        with pytest.raises(UserErrorException, match="needs the id of a run"):
            Run(experiment, nothing)  # type: ignore[arg-type]
    for get in (lambda: Run(experiment, "none"), lambda: Run.get(experiment.workspace, "none")):
        with pytest.raises(NotFoundError, match="no run 'none'"):
            get()


def test_context_outside_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_current", {})
    assert Run.get_context().id.startswith("OfflineRun_")
    assert issubclass(Run, tracking.Run)
    with pytest.raises(RunEnvironmentException) as caught:
        Run.get_context(allow_offline=False)
    assert isinstance(caught.value, AzureMLException)
