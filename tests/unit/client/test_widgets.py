"""`RunDetails` in a kernel that is not one, against a service that is not one."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from fake_service import FakeService, event, log_event, run_view

from turnout import Experiment, RunDetails, ScriptRun, Workspace
from turnout.client import widgets
from turnout.testing.waiting import wait_until

pytestmark = pytest.mark.usefixtures("client")
DRIVER = "azureml-logs/70_driver_log.txt"
BASE = "/v1/runs/exp_1_ab"


class Notebook:
    """Keeps what is published, as a frontend does: one picture for each display."""

    def __init__(self) -> None:
        self.shown: dict[str, list[str]] = {}
        self.hooks: list[Any] = []
        self.kernel = object()
        self.display_pub = self
        self.events = SimpleNamespace(register=lambda name, hook: self.hooks.append(hook))

    def publish(self, data: Any, transient: Any, update: bool) -> None:
        pictures = self.shown.setdefault(transient["display_id"], [])
        assert update == bool(pictures)
        assert data["text/plain"]
        pictures.append(data["text/html"])

    @property
    def last(self) -> list[str]:
        return [pictures[-1] for pictures in self.shown.values()]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    made = Notebook()
    fake = SimpleNamespace(get_ipython=lambda: made)
    monkeypatch.setitem(sys.modules, "IPython", fake)  # type: ignore[arg-type]
    yield made
    widgets.stop_all()
    wait_until(lambda: not widgets._live, "nothing is watched any more")


@pytest.fixture
def run(service: FakeService) -> ScriptRun:
    service("GET", BASE, run_view())
    service("GET", "/v1/runs", {"runs": []})
    service("GET", f"{BASE}/metrics", {"metrics": {"mse": [1, {"$float": "NaN"}]}})
    service("GET", f"{BASE}/logs", {"logs": []})
    return ScriptRun(Experiment(Workspace(name="w"), "exp"), "exp_1_ab", _view=run_view())


class Stream:
    """The events of a run, told one by one by the test."""

    def __init__(self, service: FakeService) -> None:
        self.parts: list[bytes] = []
        self.told = threading.Condition()
        service("GET", f"{BASE}/events", lambda query, body: self.serve())

    def serve(self) -> Iterator[bytes]:
        for place in itertools.count():
            with self.told:
                assert self.told.wait_for(partial(self.has, place), 60)
                part = self.parts[place]
            if part == b"":
                return
            yield part

    def has(self, place: int) -> bool:
        return len(self.parts) > place

    def tell(self, *parts: bytes) -> None:
        with self.told:
            self.parts.extend(parts)
            self.told.notify_all()


def test_the_picture_changes_until_the_run_ends(
    service: FakeService, run: ScriptRun, notebook: Notebook
) -> None:
    stream = Stream(service)
    RunDetails(run).show()
    assert len(notebook.shown) == 1
    assert "Running" in notebook.last[0]
    stream.tell(event("run", run_view(message="Building")), log_event("b.txt", 0, "step 1\n"))
    wait_until(lambda: "step 1" in notebook.last[0], "the log is shown")
    assert "Building" in notebook.last[0]
    stream.tell(log_event(DRIVER, 0, "epoch <1>\n"), log_event("b.txt", 7, "step 2\n"))
    wait_until(lambda: "epoch &lt;1&gt;" in notebook.last[0], "the script's output is shown")
    assert "step 2" not in notebook.last[0]
    service("GET", f"{BASE}/metrics", {"metrics": {"acc": [0.5, 0.75]}})
    wait_until(lambda: "last 0.75" in notebook.last[0], "metrics are shown, though not pushed")
    done = run_view(state="completed", status="Completed")
    stream.tell(event("run", done), event("end", done), b"")
    widgets.settle(run.id)
    assert "Completed" in notebook.last[0]
    assert widgets._live == {}


def test_shown_in_two_cells(service: FakeService, run: ScriptRun, notebook: Notebook) -> None:
    stream = Stream(service)
    RunDetails(run).show()
    RunDetails(run).show(render_lib=None, widget_settings={})
    assert len(notebook.shown) == 2
    done = run_view(state="failed", status="Failed", error={"code": "x", "message": "no luck"})
    stream.tell(event("end", done), b"")
    widgets.settle(run.id)
    assert all("no luck" in picture for picture in notebook.last)
    assert len(service.sent("GET", f"{BASE}/events")) == 1


def test_an_interrupt_ends_the_watching(
    service: FakeService, run: ScriptRun, notebook: Notebook
) -> None:
    stream = Stream(service)
    RunDetails(run).show()
    RunDetails(run).show()
    (hook,) = notebook.hooks
    hook(SimpleNamespace(error_in_exec=None))
    assert run.id in widgets._live
    hook(SimpleNamespace(error_in_exec=KeyboardInterrupt()))
    wait_until(lambda: not widgets._live, "it is watched no more")
    assert all("Not watched any more" in picture for picture in notebook.last)
    RunDetails(run).show()
    assert run.id in widgets._live
    stream.tell(event("end", run_view(state="canceled", status="Canceled")), b"")
    widgets.settle(run.id)
    assert "Canceled" in notebook.last[-1]


def test_a_stream_that_fails_is_said(
    service: FakeService, run: ScriptRun, notebook: Notebook
) -> None:
    service("GET", f"{BASE}/events", (404, {"error": {"code": "not_found", "message": "gone"}}))
    RunDetails(run).show()
    widgets.settle(run.id)
    assert "Not watched any more: gone" in notebook.last[0]


def test_a_run_that_is_over_is_shown_once(
    service: FakeService, run: ScriptRun, notebook: Notebook
) -> None:
    service("GET", BASE, run_view(state="completed", status="Completed"))
    service("GET", f"{BASE}/logs", {"logs": [
        {"name": "azureml-logs/20_image_build_log.txt", "size": 9}, {"name": DRIVER, "size": 4},
        {"name": "azureml-logs/80_usage.jsonl", "size": 5},
    ]})  # fmt: skip
    service("GET", f"{BASE}/logs/{DRIVER}", b"hi\xff\n")
    RunDetails(run).show()
    assert widgets._live == {}
    assert "hi\ufffd" in notebook.last[0]
    assert [len(pictures) for pictures in notebook.shown.values()] == [1]


def test_the_end_of_a_long_log_is_fetched(service: FakeService, run: ScriptRun) -> None:
    asked: list[Any] = []
    service("GET", f"{BASE}/logs", {"logs": [{"name": DRIVER, "size": 1 << 20}]})
    service("GET", f"{BASE}/logs/{DRIVER}", lambda query, body: asked.append(query) or b"end")
    assert widgets.log_tail(run) == (DRIVER, "end")
    assert asked == [{"offset": [str((1 << 20) - widgets.TAIL)]}]


@pytest.mark.parametrize("shell", [None, SimpleNamespace(kernel=None)])
def test_without_a_kernel_it_is_text(
    run: ScriptRun, monkeypatch: pytest.MonkeyPatch, shell: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    fake = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", fake)  # type: ignore[arg-type]
    RunDetails(run).show()
    assert capsys.readouterr().out.startswith("Run exp_1_ab · Running")
    assert widgets._live == {}


def test_what_it_is_made_of(service: FakeService, run: ScriptRun) -> None:
    service("GET", "/v1/runs", {"runs": [run_view(id="c", display_name="n")]})
    service("GET", f"{BASE}/logs/{DRIVER}", b"text")
    found = RunDetails(run).get_widget_data()
    assert found["status"] == "Running"
    assert found["child_runs"] == [{"run_id": "c", "run_name": "n", "status": "Running"}]
    assert found["run_metrics"][0]["name"] == "mse"
    assert found["run_logs"] == "text"


def test_only_runs_can_be_shown() -> None:
    with pytest.raises(TypeError, match=r"takes a run of the workspace.*not str"):
        RunDetails("exp_1_ab")
