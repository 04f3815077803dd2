"""MLflow's tracking store over `Runs`. Imported by MLflow alone, so MLflow is there."""

from __future__ import annotations

import inspect
import json
import os
import sys
import threading

from mlflow.entities import (
    Experiment,
    ExperimentTag,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunStatus,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
)
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking.abstract_store import AbstractStore

from turnout.payload.mlflow.datasets import inputs_of, kept
from turnout.payload.mlflow.models import ModelStore, outputs_of
from turnout.payload.mlflow.plugin import AROUND_TAG
from turnout.payload.mlflow.runs import PARAMETER, inside, outside, points

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Optional

    from turnout.payload.mlflow.runs import Runs, View

ARTIFACTS = "turnout://artifacts/"
#: What MLflow keeps in tags and a run has as its own.
NAME, PARENT, NOTE = "mlflow.runName", "mlflow.parentRunId", "mlflow.note.content"
#: MLflow's status of a run's state, and back.
STATUS = {"completed": "FINISHED", "failed": "FAILED", "canceled": "KILLED", "running": "RUNNING"}
STATES = {status: state for state, status in STATUS.items()}
#: Experiment of who names none, with MLflow's id of it.
DEFAULT, DEFAULT_ID = "Default", "0"


class Store(ModelStore, AbstractStore):
    """Metrics become metrics, tags tags, parameters properties, artifacts files, runs runs."""

    def __init__(self, runs: Runs) -> None:
        super().__init__()
        self.runs = runs

    # -- experiments ------------------------------------------------------------------------------

    def search_experiments(
        self, view_type: Any = ViewType.ACTIVE_ONLY, max_results: Any = 1000,
        filter_string: Any = None, order_by: Any = None, page_token: Any = None,
    ) -> Any:  # fmt: skip
        from mlflow.utils.search_utils import SearchExperimentsUtils as Search

        wanted = {ViewType.ACTIVE_ONLY: ("active",), ViewType.DELETED_ONLY: ("deleted",)}
        found = [experiment_of(x) for x in self.runs.experiments()]
        stages = wanted.get(view_type, ("active", "deleted"))
        found = [x for x in found if x.lifecycle_stage in stages]
        found = Search.filter(found, filter_string)
        found = Search.sort(found, order_by or ["creation_time DESC", "experiment_id ASC"])
        page, token = Search.paginate(found, page_token, max_results)
        return PagedList(page, token)

    def list_experiments(
        self,
        view_type: Any = ViewType.ACTIVE_ONLY,
        max_results: Any = None,
        page_token: Any = None,
    ) -> Any:
        """MLflow 1."""
        return self.search_experiments(view_type, max_results or 1000, page_token=page_token)

    def create_experiment(self, name: str, artifact_location: Any = None, tags: Any = None) -> Any:
        if artifact_location:
            raise refusal("Turnout keeps the files of runs itself: leave artifact_location out.")
        if self.runs.experiment(name) is not None:
            raise MlflowException(
                "There is an experiment '%s' already." % name, RESOURCE_ALREADY_EXISTS
            )
        self.change_experiment(name, tags={tag.key: tag.value for tag in tags or ()})
        return id_of(name)

    def get_experiment(self, experiment_id: str) -> Any:
        name = experiment_name(experiment_id)
        found = self.runs.experiment(name)
        if found is None and name == DEFAULT:
            found = {"name": DEFAULT, "created_at": None, "tags": {}, "archived": False}
        if found is None:
            raise MlflowException(
                "There is no experiment '%s'." % experiment_id, RESOURCE_DOES_NOT_EXIST
            )
        return experiment_of(found)

    def get_experiment_by_name(self, experiment_name: str) -> Any:
        found = self.runs.experiment(experiment_name)
        return None if found is None else experiment_of(found)

    def delete_experiment(self, experiment_id: str) -> None:
        self.change_experiment(experiment_name(experiment_id), archived=True)

    def restore_experiment(self, experiment_id: str) -> None:
        self.change_experiment(experiment_name(experiment_id), archived=False)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        raise refusal("An experiment keeps its name. Begin another with mlflow.set_experiment().")

    def set_experiment_tag(self, experiment_id: str, tag: Any) -> None:
        self.change_experiment(experiment_name(experiment_id), tags={tag.key: tag.value})

    def change_experiment(self, name: str, **change: Any) -> None:
        try:
            self.runs.change_experiment(name, **change)
        except ValueError as e:
            raise refusal(str(e)) from None

    # -- runs -------------------------------------------------------------------------------------

    def create_run(
        self, experiment_id: Any, user_id: Any, start_time: Any, tags: Any, run_name: Any = None
    ) -> Any:
        given = {tag.key: tag.value for tag in tags or ()}
        name = run_name or given.get(NAME)
        parent = given.get(PARENT)
        run: Optional[str] = None
        if given.pop(AROUND_TAG, None) and parent is None and take_around():
            run = self.runs.around
            if name:
                given[NAME] = name
        if run is None:
            try:
                experiment = experiment_name(experiment_id)
                run = self.runs.begin(experiment, inside(parent) if parent else None, name)
            except ValueError as e:
                raise refusal(str(e)) from None
            given.pop(NAME, None)
        self.write(run, tags_of(given))
        return self.get_run(outside(run))

    def get_run(self, run_id: str) -> Any:
        return run_of(self.view(run_id))

    def view(self, run_id: str) -> View:
        try:
            return self.runs.view(inside(run_id))
        except KeyError:
            raise MlflowException(
                "There is no run '%s' within reach." % run_id, RESOURCE_DOES_NOT_EXIST
            ) from None

    def update_run_info(
        self, run_id: str, run_status: Any, end_time: Any, run_name: Any = None
    ) -> Any:
        """A script's own run ends with the script; ended as failed, it stays failed."""
        view = self.view(run_id)
        records = [{"t": "display_name", "value": run_name}] if run_name else []
        status = run_status if isinstance(run_status, str) else RunStatus.to_string(run_status)
        own = view.id == self.runs.around
        if status in STATES and STATES[status] != view.state and (not own or status == "FAILED"):
            record: Dict[str, Any] = {"t": "state", "state": STATES[status]}
            if end_time:
                record["at"] = end_time / 1000
            if status == "FAILED":
                record["error"] = {"code": "UserError", "message": reason()}
            records.append(record)
        self.write(view.id, records)
        return run_of(self.runs.view(view.id)).info

    def delete_run(self, run_id: str) -> None:
        raise refusal("Turnout keeps every run: '%s' is not deleted." % run_id)

    def restore_run(self, run_id: str) -> None:
        """Nothing was deleted."""

    def write(self, run: str, records: Any) -> None:
        found = list(records)
        if found:
            self.runs.write(run, found)

    # -- what is logged ---------------------------------------------------------------------------

    def log_batch(self, run_id: str, metrics: Any, params: Any, tags: Any) -> None:
        """Everything or nothing: a parameter that would change is an error before all."""
        params = list(params or ())
        records: List[Dict[str, Any]] = []
        if params:
            records += parameters_of(self.view(run_id), params)
        records += [
            {
                "t": "metric", "at": metric.timestamp / 1000, "name": metric.key,
                "value": float(metric.value), "step": int(metric.step or 0),
            }
            for metric in self.unknown(run_id, list(metrics or ()))
        ]  # fmt: skip
        records += tags_of({tag.key: tag.value for tag in tags or ()})
        self.write(inside(run_id), records)

    def unknown(self, run_id: str, metrics: List[Any]) -> List[Any]:
        """Without those that MLflow 3 logs once more to say which model they are of."""
        if not any(getattr(metric, "model_id", None) for metric in metrics):
            return metrics
        known = {
            (name, point["value"], point["step"], milliseconds(point))
            for name, series in points(self.view(run_id).metrics).items()
            for point in series
        }
        return [
            x for x in metrics
            if not x.model_id or (x.key, float(x.value), x.step, x.timestamp) not in known
        ]  # fmt: skip

    def delete_tag(self, run_id: str, key: str) -> None:
        if key not in self.view(run_id).tags:
            raise MlflowException(
                "Run '%s' has no tag '%s'." % (run_id, key), RESOURCE_DOES_NOT_EXIST
            )
        self.write(inside(run_id), [{"t": "tags", "remove": [key]}])

    def log_inputs(self, run_id: str, datasets: Any = None, models: Any = None) -> None:
        known = self.view(run_id).properties
        added = {k: v for k, v in kept(datasets or ()).items() if k not in known}
        self.write(inside(run_id), [{"t": "properties", "add": added}] if added else [])

    def log_outputs(self, run_id: str, models: Any) -> None:
        """Models are files of the run: `create_logged_model` said so already."""

    def record_logged_model(self, run_id: str, mlflow_model: Any) -> None:
        history = "mlflow.log-model.history"
        before: List[Any] = json.loads(self.view(run_id).tags.get(history) or "[]")
        about = mlflow_model.to_dict() if hasattr(mlflow_model, "to_dict") else mlflow_model
        text = json.dumps([*before, about], default=str)
        self.write(inside(run_id), [{"t": "tags", "set": {history: text}}])

    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: Any = None, page_token: Any = None
    ) -> Any:
        series = points(self.view(run_id).metrics).get(metric_key, [])
        found = [metric_of(metric_key, point) for point in series]
        if max_results is None:
            return PagedList(found, None)
        from mlflow.utils.search_utils import SearchUtils

        page, token = SearchUtils.paginate(found, page_token, max_results)
        return PagedList(page, token)

    def _search_runs(
        self, experiment_ids: Any, filter_string: Any, run_view_type: Any, max_results: Any,
        order_by: Any, page_token: Any,
    ) -> Any:  # fmt: skip
        # Late: in MLflow 1 it needs a package that not everybody has who only logs.
        from mlflow.utils.search_utils import SearchUtils

        found: List[Any] = []
        if run_view_type != ViewType.DELETED_ONLY:
            for name in experiment_names(self.runs, experiment_ids):
                found += [run_of(view) for view in self.runs.views(name)]
        found = SearchUtils.sort(SearchUtils.filter(found, filter_string), order_by)
        return SearchUtils.paginate(found, page_token, max_results)

    def list_run_infos(
        self,
        experiment_id: Any,
        run_view_type: Any,
        max_results: Any = None,
        page_token: Any = None,
    ) -> Any:
        """MLflow 1."""
        found, token = self._search_runs(
            [experiment_id], "", run_view_type, max_results or 1000, None, page_token
        )
        return PagedList([run.info for run in found], token)


class Taken:
    """Whether this process began the run around it already: the next one is its child."""

    lock = threading.Lock()
    pid = 0


def take_around() -> bool:
    """True once in each process."""
    with Taken.lock:
        first = Taken.pid != os.getpid()
        Taken.pid = os.getpid()
        return first


def refusal(text: str) -> Any:
    return MlflowException(text, INVALID_PARAMETER_VALUE)


def reason() -> str:
    """Why a run is being ended as failed: mostly by an exception on its way through a `with`."""
    error = sys.exc_info()[1]
    if error is None:
        return "The script ended the run as FAILED in MLflow."
    return "%s: %s" % (type(error).__name__, error)


def tags_of(given: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The records that say what these tags say."""
    records: List[Dict[str, Any]] = []
    plain: Dict[str, Optional[str]] = {}
    for key, value in given.items():
        if key == NAME and value:
            records.append({"t": "display_name", "value": str(value)})
        elif key == NOTE:
            records.append({"t": "description", "value": str(value or "")})
        elif key != PARENT:
            plain[key] = None if value is None else str(value)
    return [*records, {"t": "tags", "set": plain}] if plain else records


def parameters_of(view: View, params: List[Any]) -> List[Dict[str, Any]]:
    """The record of parameters that are new; one that would change is an error."""
    added: Dict[str, str] = {}
    for param in params:
        key, value = PARAMETER + param.key, str(param.value)
        held = view.properties.get(key, added.get(key, value))
        if held != value:
            raise refusal(
                "The parameter '%s' of run '%s' is '%s' and cannot be changed to '%s'. Log what "
                "changes as a metric or a tag." % (param.key, view.id, held, value)
            )
        if key not in view.properties:
            added[key] = value
    return [{"t": "properties", "add": added}] if added else []


def experiment_name(experiment_id: Any) -> str:
    text = DEFAULT_ID if experiment_id is None else str(experiment_id)
    return DEFAULT if text == DEFAULT_ID else inside(text)


def experiment_names(runs: Runs, ids: Iterable[Any]) -> List[str]:
    """Each once; in a script all ids mean the one experiment that there is."""
    names: Dict[str, None] = {}
    for name in (experiment_name(x) for x in ids):
        found = runs.experiment(name)
        names[name if found is None else found["name"]] = None
    return list(names)


def id_of(name: str) -> str:
    return DEFAULT_ID if name == DEFAULT else outside(name)


def experiment_of(found: Dict[str, Any]) -> Any:
    name = found["name"]
    stage = "deleted" if found["archived"] else "active"
    tags = [ExperimentTag(k, v or "") for k, v in found["tags"].items()]
    at = found["created_at"] or 0
    return made(
        Experiment, experiment_id=id_of(name), name=name, artifact_location=ARTIFACTS.rstrip("/"),
        lifecycle_stage=stage, tags=tags, creation_time=at, last_update_time=at,
    )  # fmt: skip


def run_of(view: View) -> Any:
    identity = outside(view.id)
    info = made(
        RunInfo, run_uuid=identity, run_id=identity, experiment_id=id_of(view.experiment),
        user_id=view.user, status=STATUS.get(view.state, "SCHEDULED"), start_time=view.started,
        end_time=view.ended, lifecycle_stage="active", artifact_uri=ARTIFACTS + identity,
        run_name=view.name,
    )  # fmt: skip
    tags = {k: v or "" for k, v in view.tags.items()}
    tags[NAME] = view.name
    if view.parent:
        tags[PARENT] = outside(view.parent)
    if view.description:
        tags[NOTE] = view.description
    params = {
        key[len(PARAMETER) :]: value or ""
        for key, value in view.properties.items()
        if key.startswith(PARAMETER)
    }
    latest = {
        name: max(series, key=lambda x: (x["step"], x["at"]))
        for name, series in points(view.metrics).items()
    }
    data = RunData(
        metrics=[metric_of(name, point) for name, point in latest.items()],
        params=[Param(k, v) for k, v in params.items()],
        tags=[RunTag(k, v) for k, v in tags.items()],
    )
    inputs, outputs = inputs_of(view.properties), outputs_of(view)
    return made(Run, run_info=info, run_data=data, run_inputs=inputs, run_outputs=outputs)


def metric_of(name: str, point: Dict[str, Any]) -> Any:
    return Metric(name, point["value"], milliseconds(point), point["step"])


def milliseconds(point: Dict[str, Any]) -> int:
    return int(point["at"] * 1000 + 0.5)


def made(kind: Any, **fields: Any) -> Any:
    """One of MLflow's entities, whose fields differ between versions."""
    names = inspect.signature(kind.__init__).parameters
    return kind(**{name: value for name, value in fields.items() if name in names})
