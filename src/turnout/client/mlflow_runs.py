"""The workspace's runs as MLflow sees them from a notebook."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from turnout.client import embedded
from turnout.client.http import Client, segment
from turnout.client.run import PAGE, start
from turnout.client.sinks import ServiceSink
from turnout.payload import models, values
from turnout.payload.mlflow.runs import Runs, View
from turnout.spec.errors import NotFoundError, UserError
from turnout.spec.runs import check_name

#: Sent as changes of the run's row, which a record cannot make of a run that is over.
CHANGES = ("tags", "properties", "display_name", "description")
#: Records in one request.
BATCH = 1000


class ServiceRuns(Runs):
    """Interactive runs of the workspace's service; others can be read."""

    def __init__(self) -> None:
        #: What was read of runs that are asked for by their ids, and up to where.
        self.read: dict[str, tuple[list[dict[str, Any]], int]] = {}

    @property
    def client(self) -> Client:
        return embedded.default_client()

    # -- experiments ----------------------------------------------------------------------------

    def experiments(self) -> list[dict[str, Any]]:
        return [
            {
                "name": found["name"],
                "created_at": milliseconds(found["created_at"]),
                "tags": found["tags"],
                "archived": found["archived_at"] is not None,
            }
            for found in self.client.get("/v1/experiments")["experiments"]
        ]

    def experiment(self, name: str) -> dict[str, Any] | None:
        return next((x for x in self.experiments() if x["name"] == name), None)

    def change_experiment(self, name: str, **change: Any) -> None:
        body = dict(change)
        if "tags" in body:
            body["tags"] = {"set": values.texts(body["tags"], "Tags")}
        path = f"/v1/experiments/{segment(check_name('an experiment', name))}"
        self.client.request("PATCH", path, body)

    # -- runs -----------------------------------------------------------------------------------

    def begin(self, experiment: str, parent: str | None, name: str | None) -> str:
        return start(self.client, experiment, name, {}, parent=parent)["id"]

    def view(self, run: str) -> View:
        try:
            found = self.client.get(f"/v1/runs/{segment(run)}")
        except NotFoundError:
            raise KeyError(run) from None
        if found["id"] != run:
            raise KeyError(run)
        known, after = self.read.get(run, ([], 0))
        more, after = records_after(self.client, run, after)
        self.read[run] = known + more, after
        return self.view_of(found, known + more)

    def views(self, experiment: str) -> list[View]:
        found: list[View] = []
        query: dict[str, Any] = {"experiment": experiment, "include_children": True}
        before: int | None = None
        while True:
            page = self.client.get("/v1/runs", {**query, "limit": PAGE, "before": before})["runs"]
            found += [self.view_of(x, records_after(self.client, x["id"], 0)[0]) for x in page]
            if len(page) < PAGE:
                return found
            before = page[-1]["number"]

    def view_of(self, found: dict[str, Any], records: list[dict[str, Any]]) -> View:
        view = View(found["id"], found["experiment"], found["display_name"], found["parent"])
        view.description = found["description"]
        view.state = found["state"]
        view.started = milliseconds(found["started_at"] or found["created_at"])
        view.ended = milliseconds(found["ended_at"])
        view.tags, view.properties = found["tags"], found["properties"]
        view.user = view.tags.get("mlflow.user") or ""
        view.metrics = [x for x in records if x["t"] == "metric"]
        return view

    def write(self, run: str, records: Iterable[dict[str, Any]]) -> None:
        sink = ServiceSink(self.client, run)
        logged: list[dict[str, Any]] = []
        for record in records:
            if record["t"] in CHANGES:
                sink.write(record)
            else:
                logged.append(values.encode(record))
        for first in range(0, len(logged), BATCH):
            body = {"records": logged[first : first + BATCH], "key": os.urandom(16).hex()}
            self.client.post(f"{sink.path}/records", body)

    # -- files ----------------------------------------------------------------------------------

    def files(self, run: str) -> dict[str, int]:
        try:
            if "/" in run:
                name, _, version = run.partition("/")
                found = self.client.get(f"/v1/models/{segment(name)}", {"version": version})
            else:
                found = self.client.get(f"/v1/runs/{segment(run)}/files")
        except NotFoundError:
            raise KeyError(run) from None
        found = found["files"]
        return {file["name"]: file["size"] for file in found}

    def put_file(self, run: str, name: str, path: str) -> None:
        ServiceSink(self.client, run).put_file(values.file_name(name), path)

    def fetch(self, run: str, name: str, path: str) -> None:
        area = "models" if "/" in run else "runs"
        try:
            self.client.download(f"/v1/{area}/{segment(run)}/files/{segment(name)}", Path(path))
        except NotFoundError:
            raise KeyError(name) from None

    # -- models ---------------------------------------------------------------------------------

    def models(self, name: str | None) -> list[dict[str, Any]]:
        found = self.client.get("/v1/models", {"name": name})["models"]
        return [model_of(view) for view in found]

    def add_model(
        self, name: str, run: str, path: str, tags: dict[str, Any], description: str | None
    ) -> dict[str, Any]:
        said = models.asked(name, path, tags, None, None, None, description, {})
        body = {"key": os.urandom(16).hex(), "run": run, **said}
        try:
            return model_of(self.client.post("/v1/models", body))
        except UserError as e:
            raise values.TrackingError(e.message) from None

    def change_model(
        self,
        model: dict[str, Any],
        set: dict[str, Any] | None = None,
        remove: Iterable[str] = (),
        description: str | None = None,
    ) -> None:
        body: dict[str, Any] = {
            "tags": {"set": values.texts(set or {}, "Tags"), "remove": list(remove)}
        }
        if description is not None:
            body["description"] = description
        self.client.request("PATCH", address_of(model), body)

    def delete_model(self, model: dict[str, Any]) -> None:
        self.client.request("DELETE", address_of(model))


def address_of(model: dict[str, Any]) -> str:
    return f"/v1/models/{segment(model['name'])}/{model['version']}"


def model_of(view: dict[str, Any]) -> dict[str, Any]:
    """A model's version as `Runs` has it; MLflow looks for its files in the folder that it is."""
    tops = {file["name"].partition("/") for file in view["files"]}
    folders = {top for top, slash, _ in tops if slash}
    folder = f"/{folders.pop()}" if len(folders) == len({top for top, _, _ in tops}) == 1 else ""
    return {
        "name": view["name"],
        "version": view["version"],
        "run": view["run"],
        "uri": f"turnout://models/{view['name']}/{view['version']}{folder}",
        "tags": view["tags"],
        "description": view["description"],
        "at": milliseconds(view["created_at"]),
    }


def records_after(client: Client, run: str, after: int) -> tuple[list[dict[str, Any]], int]:
    """What the run logged behind `after` (0: from the beginning), and where that ends."""
    found: list[dict[str, Any]] = []
    while True:
        page = client.get(f"/v1/runs/{segment(run)}/records", {"after": after})
        if not page["records"]:
            return values.decode(found), after
        found += page["records"]
        after = page["next"]


def milliseconds(at: str | None) -> int | None:
    return None if at is None else int(datetime.fromisoformat(at).timestamp() * 1000)
