"""`Run` and `ScriptRun` as seen from outside: watch, collect, cancel; log to interactive ones."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from turnout.client import portal, watching
from turnout.client.details import details
from turnout.client.exceptions import (
    ActivityFailedException,
    RunEnvironmentException,
    UserErrorException,
)
from turnout.client.http import Client, segment
from turnout.client.markup import facts, link
from turnout.client.run_files import RunFiles
from turnout.client.sinks import ServiceSink
from turnout.payload import tracking, values

if TYPE_CHECKING:
    from turnout.client.compute import ComputeTarget
    from turnout.client.experiment import Experiment
    from turnout.client.workspace import Workspace

SCRIPT_RUN = "azureml.scriptrun"
FINAL = ("completed", "failed", "canceled")
PAGE = 500
OUTPUTS = "outputs"


class Run(RunFiles):
    """A run of the workspace.

    `Run(experiment, run_id)` gets one that is there; `Experiment.submit` and
    `Experiment.start_logging` make new ones. In a script `Run.get_context()` gives the run around
    it. Raises `NotFoundError` for an id that no run has.

    Example::

        run = experiment.submit(config)
        run.wait_for_completion(show_output=True)
        print(run.get_metrics())
        run.download_file("outputs/model.pkl")
    """

    def __init__(
        self, experiment: Any, run_id: str, outputs: str | None = None, **kwargs: Any
    ) -> None:
        view: dict[str, Any] | None = kwargs.pop("_view", None)
        self._client = experiment.workspace.client
        if view is None:
            if not isinstance(run_id, str) or not run_id:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UserErrorException(f"Run() needs the id of a run, not {run_id!r}.")
            view = self._client.get(f"/v1/runs/{segment(run_id)}")
        assert view is not None
        self._view = view
        super().__init__(
            experiment, view["id"], outputs, _sink=ServiceSink(self._client, view["id"])
        )

    # -- which run ------------------------------------------------------------------------------

    @classmethod
    def get_context(
        cls, allow_offline: bool = True, used_for_context_manager: bool = False, **kwargs: Any
    ) -> tracking.Run:
        """The run around this process, else an offline one whose calls print. Raises
        `RunEnvironmentException` instead with `allow_offline=False`."""
        try:
            return tracking.current_run(allow_offline)
        except values.RunEnvironmentException as e:
            raise RunEnvironmentException(e.message) from None

    @staticmethod
    def get(workspace: Workspace, run_id: str) -> Run:
        """The run with this id, or with the only id that contains it."""
        view = workspace.client.get(f"/v1/runs/{segment(run_id)}")
        return from_view(workspace, view)

    @staticmethod
    def list(
        experiment: Experiment,
        type: str | None = None,
        tags: Any = None,
        properties: Any = None,
        status: str | None = None,
        include_children: bool = False,
        _rehydrate_runs: bool = True,
    ) -> Generator[Run, None, None]:
        """Runs of the experiment, newest first. `tags` and `properties`: a name, or
        `{name: value}`; `status`: v1's name such as "Completed"."""
        query = {"experiment": experiment.name, "type": type, "include_children": include_children}
        return find(experiment.workspace, query, tags, properties, status)

    def refresh(self) -> dict[str, Any]:
        """The run as the service has it now (docs/design/http-api.md)."""
        self._view = self._client.get(self._path)
        return self._view

    @property
    def name(self) -> str:
        return self._view["display_name"]

    @property
    def display_name(self) -> str:
        return self._view["display_name"]

    @display_name.setter
    def display_name(self, value: str) -> None:
        self._write("display_name", value=values.label(value, "A run"))
        self._view["display_name"] = value

    @property
    def description(self) -> str:
        return self._view["description"]

    @description.setter
    def description(self, value: str) -> None:
        self._write("description", value=str(value or ""))
        self._view["description"] = str(value or "")

    @property
    def number(self) -> int:
        return self._view["number"]

    @property
    def attempt(self) -> int:
        """Which try at the run this is, from 1; asked anew."""
        if self._view["state"] not in FINAL:
            self.refresh()
        return self._view["attempt"]

    @property
    def type(self) -> str:
        return self._view["type"]

    @property
    def status(self) -> str:
        """v1's name of the state: "Running", "Completed" and so on, asked anew."""
        if self._view["state"] not in FINAL:
            self.refresh()
        return self._view["status"]

    @property
    def parent(self) -> tracking.Run | None:
        parent = self._view["parent"]
        return None if parent is None else Run.get(self.experiment.workspace, parent)

    def get_tags(self) -> dict[str, str | None]:
        return dict(self.refresh()["tags"])

    def get_properties(self) -> dict[str, str | None]:
        return dict(self.refresh()["properties"])

    def add_properties(self, properties: dict[str, Any]) -> None:
        """Add properties. They never change: another value for a known key is an error."""
        self._write("properties", add=values.texts(properties, "Properties"))

    def get_portal_url(self) -> str:
        """The address of the run's page. A browser is let in by `turnout portal`, once."""
        return portal.address(self._client, "runs", self.id)

    def __repr__(self) -> str:
        return super().__repr__()

    def _repr_html_(self) -> str:
        address = self.get_portal_url()
        page = {"Page": link(address, "open")} if address else {}
        return facts({"Experiment": self.experiment.name, **self._summary(), **page})

    def _summary(self) -> dict[str, object]:
        return {"Id": self.id, "Type": self.type, "Status": self.status}

    # -- watching -------------------------------------------------------------------------------

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
        out: TextIO | None = None,
    ) -> dict[str, Any]:
        """Wait for the end of the run, its outputs collected; return `get_details()`.

        With `show_output` its logs are printed as they grow (to `out`, else stdout). Raises
        `ActivityFailedException` when the run failed, unless `raise_on_error=False`. An interrupt
        (Ctrl-C) ends the waiting, not the run.
        """
        if show_output:
            self._view = watching.show(self._client, self.id, out)
        else:
            self._view = watching.wait(self._client, self.id)
        if shown := sys.modules.get("turnout.client.widgets"):
            shown.settle(self.id)
        found = self._details()
        if raise_on_error and self._view["state"] == "failed":
            error = self._view["error"] or {}
            message = error.get("message") or "The run failed without a reason."
            raise ActivityFailedException(f"Run {self.id} failed: {message}", found)
        return found

    def get_status(self) -> str:
        return self.status

    def get_detailed_status(self) -> dict[str, Any]:
        """`{"status", "details"}`: the state and what is being done or waited for."""
        view = self.refresh()
        return {"status": view["status"], "details": view["message"]}

    def get_details(self) -> dict[str, Any]:
        """v1's dictionary: runId, target, status, times, properties, runDefinition, logFiles, and
        error or warnings if there are any."""
        self.refresh()
        return self._details()

    def _details(self) -> dict[str, Any]:
        logs = self._client.get(f"{self._path}/logs")["logs"]
        return details(
            self._view, {x["name"]: f"{self._path}/logs/{x['name']}" for x in logs if x["size"]}
        )

    def get_details_with_logs(self) -> dict[str, Any]:
        """As `get_details`, with the text of each log in `logFiles`."""
        found = self.get_details()
        for name, path in found["logFiles"].items():
            data = b"".join(self._client.stream(path))
            found["logFiles"][name] = data.decode(errors="replace")
        return found

    def get_metrics(
        self,
        name: str | None = None,
        recursive: bool = False,
        run_type: str | None = None,
        populate: bool = False,
    ) -> dict[str, Any]:
        """`{name: value or list}`; `{run id: {…}}` over all below it with `recursive`."""
        query = {"recursive": True} if recursive else None
        found = values.decode(self._client.get(f"{self._path}/metrics", query)["metrics"])
        if name is None:
            return found
        if recursive:
            return {k: {n: v for n, v in m.items() if n == name} for k, m in found.items()}
        return {n: v for n, v in found.items() if n == name}

    def get_usage(self) -> list[dict[str, Any]]:
        """What the run used over time, oldest first.

        `{"at" (seconds since the epoch), "seconds" (how long the sample stands for), "cpu" (busy
        cores), "memory_mb", "peak_mb" (the most so far), "processes",
        "gpus": [{"index", "use" (%), "memory_mb"}]}`. Empty for a run of less than a second, and
        where its target cannot tell."""
        return self._client.get(f"{self._path}/usage")["samples"]

    @staticmethod
    def list_by_compute(
        compute: ComputeTarget,
        type: str | None = None,
        tags: Any = None,
        properties: Any = None,
        status: str | None = None,
    ) -> Generator[Run, None, None]:
        """Runs on the target that are not over (or in `status`), newest first."""
        query = {"type": type, "include_children": True}
        for run in find(compute.workspace, query, tags, properties, status):
            if run._view["target"] == compute.name and (status or run._view["state"] not in FINAL):
                yield run

    def take_snapshot(self, file_or_folder_path: str | os.PathLike[str]) -> str:
        """Keep a folder with an interactive run, as its snapshot; its id."""
        from turnout.client import submission

        digest = submission.send_folder(self._client, os.fspath(file_or_folder_path))
        self.add_properties({"ContentSnapshotId": digest})
        return digest

    def _register(self, record: dict[str, Any]) -> Any:
        from turnout.client.model import from_run

        return from_run(self.experiment.workspace, self.id, record)

    # -- children -------------------------------------------------------------------------------

    def _begin_child(
        self, name: str | None, run_id: str | None, tags: dict[str, Any]
    ) -> tracking.Run:
        view = start(self._client, self.experiment.name, name, tags, parent=self.id)
        return Run(self.experiment, view["id"], _view=view)

    def submit_child(self, config: Any, tags: dict[str, Any] | None = None, **kwargs: Any) -> Run:
        """Submit a run as a child of this one."""
        return self.experiment.submit(config, tags, parent=self.id, **kwargs)

    def get_children(
        self,
        recursive: bool = False,
        tags: Any = None,
        properties: Any = None,
        type: str | None = None,
        status: str | None = None,
        _rehydrate_runs: bool = True,
    ) -> Any:
        """Child runs, newest first; theirs too with `recursive`."""
        query = {"parent": self.id, "type": type}
        for child in find(self.experiment.workspace, query, tags, properties, status):
            yield child
            if recursive:
                yield from child.get_children(True, tags, properties, type, status)

    # -- states ---------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Ask for the end of the run. It is over when `status` says Canceled."""
        self._view = self._client.post(f"{self._path}/cancel")

    def complete(self, _set_status: bool = True) -> None:
        """End an interactive run; the files of `./outputs` become its outputs."""
        folder = Path(self._outputs or OUTPUTS)
        if self._view["type"] != SCRIPT_RUN and self._view["parent"] is None and folder.is_dir():
            self.upload_folder(OUTPUTS, folder)
        super().complete()
        self.refresh()

    def fail(
        self, error_details: Any = None, error_code: Any = None, _set_status: bool = True
    ) -> None:
        """End an interactive run as failed, with a reason."""
        super().fail(error_details, error_code)
        self.refresh()


class ScriptRun(Run):
    """A run of a script on a target."""

    RUN_TYPE = SCRIPT_RUN

    def __init__(
        self, experiment: Any, run_id: str, directory: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(experiment, run_id, **kwargs)


def get_run(
    experiment: Experiment, run_id: str, rehydrate: bool = True, clean_up: bool = True
) -> Run:
    """The run with this id."""
    return Run.get(experiment.workspace, run_id)


def from_view(workspace: Workspace, view: dict[str, Any]) -> Run:
    """The object of the class that fits the run's type."""
    from turnout.client.experiment import Experiment

    kind = ScriptRun if view["type"] == SCRIPT_RUN else Run
    return kind(Experiment(workspace, view["experiment"]), view["id"], _view=view)


def find(
    workspace: Workspace, query: dict[str, Any], tags: Any, properties: Any, status: str | None
) -> Generator[Run, None, None]:
    """Pages through the runs that match."""
    before: int | None = None
    query = {**query, "tag": first(tags), "property": first(properties), "limit": PAGE}
    while True:
        page = workspace.client.get("/v1/runs", {**query, "before": before})["runs"]
        for view in page:
            fits = tracking.has_all(view["tags"], tags)
            fits = fits and tracking.has_all(view["properties"], properties)
            if fits and status in (None, view["status"]):
                yield from_view(workspace, view)
        if len(page) < PAGE:
            return
        before = page[-1]["number"]


def first(wanted: Any) -> str | None:
    """The one condition that the service is asked for; the rest is looked at here."""
    if wanted is None or isinstance(wanted, str):
        return wanted
    for name, value in wanted.items():
        return name if value is None else f"{name}={value}"
    return None


def start(
    client: Client,
    experiment: str,
    display_name: str | None,
    tags: dict[str, Any],
    *,
    parent: str | None = None,
    properties: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Begin an interactive run."""
    body = {
        "key": os.urandom(16).hex(),
        "experiment": experiment,
        "display_name": display_name,
        "tags": values.texts(tags, "Tags"),
        "properties": properties or {},
        "interactive": True,
        "parent": parent,
    }
    return client.post("/v1/runs", json.loads(json.dumps(body)))
