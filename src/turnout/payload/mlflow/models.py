"""Models that MLflow 3 keeps as things of their own: here files of the run that made them.

What MLflow knows of one is a tag of that run, `mlflow.model.<id>`; its files lie where MLflow 2
puts them, below the model's name.
"""

from __future__ import annotations

import json
import os
import time

from turnout.payload.mlflow.runs import inside, outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List

    from turnout.payload.mlflow.runs import Runs, View

#: Beginning of the tag that keeps a model.
MODEL = "mlflow.model."
#: What its run's id and its own part have between them.
BETWEEN = "-"


class ModelStore:
    """The part of the tracking store that MLflow 3 asks for models."""

    runs: Runs

    def create_logged_model(
        self, experiment_id: str = "0", name: Any = None, source_run_id: Any = None,
        tags: Any = None, params: Any = None, model_type: Any = None,
    ) -> Any:  # fmt: skip
        from mlflow.entities import LoggedModelStatus

        from turnout.payload.mlflow.store import experiment_name

        run = inside(source_run_id) if source_run_id else self.runs.around
        if run is None:
            # Files are always those of a run: one that is made for them, and over at once.
            run = self.runs.begin(experiment_name(experiment_id), None, name)
            self.runs.write(run, [{"t": "state", "state": "completed"}])
        mark = os.urandom(4).hex()
        name = name or "model"
        taken = any(file.startswith(name + "/") for file in self.runs.files(run))
        now = int(time.time() * 1000)
        fields: Dict[str, Any] = {
            "model_id": "m-%s%s%s" % (outside(run), BETWEEN, mark),
            "name": name,
            "folder": "%s-%s" % (name, mark) if taken else name,
            "creation_timestamp": now,
            "last_updated_timestamp": now,
            "model_type": model_type,
            "status": LoggedModelStatus.PENDING.to_int(),
            "tags": {tag.key: tag.value for tag in tags or ()},
            "params": {param.key: param.value for param in params or ()},
        }
        self.keep_model(run, fields)
        return model_of(self.runs.view(run), fields)

    def keep_model(self, run: str, fields: Dict[str, Any]) -> None:
        tag = {MODEL + fields["model_id"]: json.dumps(fields)}
        self.runs.write(run, [{"t": "tags", "set": tag}])

    def find_model(self, model_id: str) -> Any:
        """(view of its run, fields)."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

        try:
            view = self.runs.view(inside(model_id[len("m-") :].rpartition(BETWEEN)[0]))
            return view, json.loads(view.tags[MODEL + model_id] or "")
        except KeyError:
            raise MlflowException(
                "There is no model '%s' within reach." % model_id, RESOURCE_DOES_NOT_EXIST
            ) from None

    def change_model(self, model_id: str, **change: Any) -> Any:
        view, fields = self.find_model(model_id)
        fields.update(change, last_updated_timestamp=int(time.time() * 1000))
        self.keep_model(view.id, fields)
        return model_of(view, fields)

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> Any:
        return model_of(*self.find_model(model_id))

    def finalize_logged_model(self, model_id: str, status: Any) -> Any:
        return self.change_model(model_id, status=status.to_int())

    def log_logged_model_params(self, model_id: str, params: Any) -> None:
        _, fields = self.find_model(model_id)
        new = {param.key: param.value for param in params}
        self.change_model(model_id, params={**fields["params"], **new})

    def set_logged_model_tags(self, model_id: str, tags: Any) -> None:
        _, fields = self.find_model(model_id)
        new = {tag.key: tag.value for tag in tags}
        self.change_model(model_id, tags={**fields["tags"], **new})

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        _, fields = self.find_model(model_id)
        self.change_model(model_id, tags={k: v for k, v in fields["tags"].items() if k != key})

    def delete_logged_model(self, model_id: str) -> None:
        from turnout.payload.mlflow.store import refusal

        raise refusal("Turnout keeps the files of runs: model '%s' is not deleted." % model_id)

    def search_logged_models(
        self, experiment_ids: Any, filter_string: Any = None, datasets: Any = None,
        max_results: Any = None, order_by: Any = None, page_token: Any = None,
    ) -> Any:  # fmt: skip
        from mlflow.store.entities.paged_list import PagedList
        from mlflow.utils.search_utils import SearchLoggedModelsUtils as Search

        from turnout.payload.mlflow.store import experiment_names

        found: List[Any] = []
        for name in experiment_names(self.runs, experiment_ids):
            for view in self.runs.views(name):
                found += [model_of(view, fields) for fields in models_of(view)]
        # MLflow 3.0 does not know `datasets`.
        more = (datasets,) if datasets else ()
        found = Search.sort(Search.filter_logged_models(found, filter_string, *more), order_by)
        page, token = Search.paginate(found, page_token, max_results or 100)
        return PagedList(page, token)


def models_of(view: View) -> List[Dict[str, Any]]:
    """What is kept of each model of the run."""
    return [json.loads(v or "{}") for k, v in view.tags.items() if k.startswith(MODEL)]


def model_of(view: View, fields: Dict[str, Any]) -> Any:
    from mlflow.entities import LoggedModel

    from turnout.payload.mlflow.store import ARTIFACTS, id_of

    known = {k: v for k, v in fields.items() if k != "folder"}
    run = outside(view.id)
    return LoggedModel(
        experiment_id=id_of(view.experiment),
        artifact_location="%s%s/%s" % (ARTIFACTS, run, fields["folder"]),
        source_run_id=run,
        **known,
    )


def outputs_of(view: View) -> Any:
    """MLflow's `RunOutputs`; None where this MLflow has none."""
    found = models_of(view)
    if not found:
        return None
    from mlflow.entities import LoggedModelOutput, RunOutputs

    return RunOutputs([LoggedModelOutput(fields["model_id"], 0) for fields in found])
