"""MLflow's registry of models over the workspace's. Imported by MLflow alone, so MLflow is there.

Each version is a model's version of ours. What a script registers is versions of this run until
it is over: then the service has the files, and counts.
"""

from __future__ import annotations

from mlflow.entities.model_registry import ModelVersion, ModelVersionTag, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.abstract_store import AbstractStore

from turnout.payload.mlflow.runs import inside, outside
from turnout.payload.mlflow.store import ARTIFACTS, Store, made, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

    from turnout.payload.mlflow.runs import Runs

#: Tags in which a version keeps what MLflow says of it beside its tags.
STAGE, ALIAS = "mlflow.stage", "mlflow.alias."
RUNS, MODELS = "runs:/", "models:/"


class Registry(AbstractStore):
    """Models by name and version."""

    def __init__(self, runs: Runs) -> None:
        super().__init__()
        self.runs = runs

    # -- names ------------------------------------------------------------------------------------

    def create_registered_model(
        self, name: str, tags: Any = None, description: Any = None, deployment_job_id: Any = None
    ) -> Any:
        """A name comes to be with its first version."""
        if self.runs.models(name):
            raise MlflowException("There is a model '%s' already." % name, RESOURCE_ALREADY_EXISTS)
        if tags:
            raise self.only_versions()
        return made(RegisteredModel, name=name, description=description, latest_versions=[])

    def get_registered_model(self, name: str) -> Any:
        return registered(name, self.versions(name))

    def search_registered_models(
        self, filter_string: Any = None, max_results: Any = 100, order_by: Any = None,
        page_token: Any = None,
    ) -> Any:  # fmt: skip
        from mlflow.utils.search_utils import SearchModelUtils as Search

        names: Dict[str, List[Dict[str, Any]]] = {}
        for model in self.runs.models(None):
            names.setdefault(model["name"], []).append(model)
        found = [registered(name, versions) for name, versions in names.items()]
        found = Search.sort(Search.filter(found, filter_string), order_by)
        page, token = Search.paginate(found, page_token, max_results or 100)
        return PagedList(page, token)

    def list_registered_models(self, max_results: Any = None, page_token: Any = None) -> Any:
        """MLflow 1."""
        return self.search_registered_models(None, max_results, None, page_token)

    def update_registered_model(
        self, name: str, description: Any, deployment_job_id: Any = None
    ) -> Any:
        raise self.only_versions()

    def rename_registered_model(self, name: str, new_name: str) -> Any:
        raise refusal("A model keeps its name: register it once more under another.")

    def delete_registered_model(self, name: str) -> None:
        for model in self.versions(name):
            self.delete_model_version(name, model["version"])

    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        raise self.only_versions()

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        raise self.only_versions()

    def only_versions(self) -> Any:
        return refusal(
            "In Turnout each version of a model has its own tags and description: set those of "
            "the version."
        )

    # -- versions ---------------------------------------------------------------------------------

    def versions(self, name: str) -> List[Dict[str, Any]]:
        """The newest first. One at least."""
        found = self.runs.models(name)
        if not found:
            raise MlflowException(
                "There is no model '%s' within reach." % name, RESOURCE_DOES_NOT_EXIST
            )
        return found

    def version(self, name: str, version: Any) -> Dict[str, Any]:
        for model in self.versions(name):
            if str(model["version"]) == str(version):
                return model
        raise MlflowException(
            "Model '%s' has no version %s within reach." % (name, version), RESOURCE_DOES_NOT_EXIST
        )

    def create_model_version(
        self, name: str, source: str, run_id: Any = None, tags: Any = None, run_link: Any = None,
        description: Any = None, local_model_path: Any = None, model_id: Any = None,
    ) -> Any:  # fmt: skip
        run, path = self.source_of(source)
        given = {tag.key: tag.value for tag in tags or ()}
        try:
            return version_of(self.runs.add_model(name, run, path, given, description))
        except ValueError as e:
            raise refusal(str(e)) from None

    def source_of(self, source: str) -> Tuple[str, str]:
        """(run, folder or file of it) that an address of MLflow's means."""
        address = source
        if address.startswith(MODELS + "m-"):
            address = Store(self.runs).get_logged_model(address[len(MODELS) :]).artifact_location
        for start in (ARTIFACTS, RUNS):
            run, _, path = address[len(start) :].strip("/").partition("/")
            if address.startswith(start) and run and path:
                return inside(run), path
        raise refusal(
            "'%s' cannot be registered: a model's files are those of a run. Log it first "
            "(log_model), then register runs:/<run id>/<path>." % source
        )

    def update_model_version(self, name: str, version: Any, description: Any) -> Any:
        return self.change(name, version, description=description)

    def change(self, name: str, version: Any, **change: Any) -> Any:
        model = self.version(name, version)
        self.runs.change_model(model, **change)
        return version_of(self.version(name, version))

    def delete_model_version(self, name: str, version: Any) -> None:
        try:
            self.runs.delete_model(self.version(name, version))
        except ValueError as e:
            raise refusal(str(e)) from None

    def get_model_version(self, name: str, version: Any) -> Any:
        return version_of(self.version(name, version))

    def get_model_version_download_uri(self, name: str, version: Any) -> Any:
        return self.version(name, version)["uri"]

    def search_model_versions(
        self, filter_string: Any = None, max_results: Any = None, order_by: Any = None,
        page_token: Any = None,
    ) -> Any:  # fmt: skip
        from mlflow.utils import search_utils

        found = [version_of(model) for model in self.runs.models(None)]
        search = getattr(search_utils, "SearchModelVersionUtils", None)
        if search is None:  # MLflow 1 asks by name or by run.
            key, _, value = (filter_string or "").partition("=")
            key, value = key.strip(), value.strip().strip("'\"")
            if key:
                found = [x for x in found if str(getattr(x, key, None)) == value]
            return PagedList(found, None)
        found = search.sort(search.filter(found, filter_string), order_by)
        page, token = search.paginate(found, page_token, max_results or 1000)
        return PagedList(page, token)

    def get_latest_versions(self, name: str, stages: Any = None) -> Any:
        """The newest in each stage."""
        newest: Dict[str, Any] = {}
        for model in self.versions(name):
            newest.setdefault(stage_of(model), model)
        wanted = [stage.lower() for stage in stages or ()]
        return [
            version_of(model)
            for stage, model in newest.items()
            if not wanted or stage.lower() in wanted
        ]

    def set_model_version_tag(self, name: str, version: Any, tag: Any) -> None:
        self.change(name, version, set={tag.key: tag.value})

    def delete_model_version_tag(self, name: str, version: Any, key: str) -> None:
        self.change(name, version, remove=[key])

    # -- stages and aliases -----------------------------------------------------------------------

    def transition_model_version_stage(
        self, name: str, version: Any, stage: str, archive_existing_versions: bool
    ) -> Any:
        wanted = stage.strip().capitalize()
        if wanted not in ("None", "Staging", "Production", "Archived"):
            raise refusal("'%s' is no stage: use None, Staging, Production or Archived." % stage)
        for model in self.versions(name) if archive_existing_versions else ():
            if str(model["version"]) != str(version) and stage_of(model) == wanted:
                self.runs.change_model(model, set={STAGE: "Archived"})
        return self.change(name, version, set={STAGE: wanted})

    def set_registered_model_alias(self, name: str, alias: str, version: Any) -> None:
        self.change(name, version, set={ALIAS + alias: ""})
        for model in self.versions(name):
            if str(model["version"]) != str(version) and ALIAS + alias in model["tags"]:
                self.runs.change_model(model, remove=[ALIAS + alias])

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        for model in self.versions(name):
            if ALIAS + alias in model["tags"]:
                self.runs.change_model(model, remove=[ALIAS + alias])

    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        for model in self.versions(name):
            if ALIAS + alias in model["tags"]:
                return version_of(model)
        raise MlflowException(
            "Model '%s' has no alias '%s'." % (name, alias), RESOURCE_DOES_NOT_EXIST
        )


def stage_of(model: Dict[str, Any]) -> str:
    return model["tags"].get(STAGE) or "None"


def version_of(model: Dict[str, Any]) -> Any:
    tags: Dict[str, Optional[str]] = model["tags"]
    shown = {k: v or "" for k, v in tags.items() if k != STAGE and not k.startswith(ALIAS)}
    return made(
        ModelVersion, name=model["name"], version=str(model["version"]),
        creation_timestamp=model["at"], last_updated_timestamp=model["at"],
        description=model["description"] or None, current_stage=stage_of(model),
        source=model["uri"], run_id=outside(model["run"]) if model["run"] else None,
        tags=[ModelVersionTag(k, v) for k, v in shown.items()],
        aliases=[k[len(ALIAS) :] for k in tags if k.startswith(ALIAS)],
    )  # fmt: skip


def registered(name: str, versions: List[Dict[str, Any]]) -> Any:
    """`versions`: the newest first."""
    newest: Dict[str, Any] = {}
    for model in versions:
        newest.setdefault(stage_of(model), model)
    found: Any = made(
        RegisteredModel, name=name, creation_timestamp=versions[-1]["at"],
        last_updated_timestamp=versions[0]["at"], description=versions[0]["description"] or None,
        latest_versions=[version_of(model) for model in newest.values()],
    )  # fmt: skip
    for model in versions if hasattr(found, "_add_alias") else ():
        from mlflow.entities.model_registry import RegisteredModelAlias

        for key in model["tags"]:
            if key.startswith(ALIAS):
                alias = RegisteredModelAlias(key[len(ALIAS) :], str(model["version"]))
                found._add_alias(alias)
    return found
