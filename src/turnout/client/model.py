"""`Model`: files that the workspace keeps under a name, each registration another version."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from turnout.client.exceptions import ModelNotFoundException, UserErrorException
from turnout.client.http import segment
from turnout.client.markup import facts
from turnout.client.model_requests import (
    body_of,
    conditions,
    local_files,
    number_of,
    send_file,
    texts,
    top_of,
)
from turnout.client.resource_configuration import ResourceConfiguration
from turnout.payload import models, values
from turnout.spec.errors import ConflictError

if TYPE_CHECKING:
    from turnout.client.run import Run
    from turnout.client.workspace import Workspace

#: Where `get_model_path` keeps what it fetched: a folder for each model and version.
MODELS_DIR = str(Path(os.environ.get("AML_APP_ROOT", "")) / "azureml-models")
DEPLOYMENT = (
    "Turnout trains models and deploys none: serve the files that `Model.download()` gives, for "
    "example with MLflow, BentoML or a web framework."
)


class Framework:
    """v1's names of frameworks, for `model_framework`; any other text will do."""

    CUSTOM = "Custom"
    MULTI = "Multi"
    ONNX = "Onnx"
    PYTORCH = "PyTorch"
    SCIKITLEARN = "ScikitLearn"
    TENSORFLOW = "TensorFlow"
    TFKERAS = "TfKeras"


class Model:
    """A registered model: by `id` ("name:version"), by name and `version`, or the newest of the
    name. `tags`, `properties`, `run_id` and `model_framework` narrow the choice.

    Example::

        model = Model.register(ws, model_path="outputs/model.pkl", model_name="ridge")
        print(model.name, model.version)
        Model(ws, "ridge").download(target_dir="models")

    Raises `ModelNotFoundException` when there is none.
    """

    Framework = Framework

    def __init__(
        self,
        workspace: Workspace,
        name: str | None = None,
        id: str | None = None,
        tags: Any = None,
        properties: Any = None,
        version: int | str | None = None,
        run_id: str | None = None,
        model_framework: str | None = None,
        expand: bool = True,
        **kwargs: Any,
    ) -> None:
        view: dict[str, Any] | None = kwargs.pop("_view", None)
        if view is None:
            view = find(workspace, name, id, tags, properties, version, run_id, model_framework)
        self.workspace = workspace
        self._view = view

    # -- which ----------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self._view["id"]

    @property
    def name(self) -> str:
        return self._view["name"]

    @property
    def version(self) -> int:
        return self._view["version"]

    @property
    def description(self) -> str:
        return self._view["description"]

    @property
    def tags(self) -> dict[str, str | None]:
        return self._view["tags"]

    @property
    def properties(self) -> dict[str, str | None]:
        return self._view["properties"]

    @property
    def created_time(self) -> datetime:
        return datetime.fromisoformat(self._view["created_at"])

    @property
    def model_framework(self) -> str | None:
        return self._view["framework"]

    @property
    def model_framework_version(self) -> str | None:
        return self._view["framework_version"]

    @property
    def run_id(self) -> str | None:
        return self._view["run"]

    @property
    def run(self) -> Run | None:
        """The run that it is of."""
        from turnout.client.run import Run

        return None if self.run_id is None else Run.get(self.workspace, self.run_id)

    @property
    def experiment_name(self) -> str | None:
        return self._view["experiment"]

    @property
    def files(self) -> dict[str, int]:
        """Bytes by name, as `download` writes them."""
        return {file["name"]: file["size"] for file in self._view["files"]}

    @property
    def url(self) -> str:
        """How v1's and MLflow's programs name it."""
        return f"models:/{self.name}/{self.version}"

    @property
    def datasets(self) -> dict[str, list[str]]:
        """Names of datasets by what they were for."""
        found: dict[str, list[str]] = {}
        for purpose, reference in self._view["details"].get("datasets", []):
            found.setdefault(purpose, []).append(reference)
        return found

    @property
    def sample_input_dataset(self) -> str | None:
        return self._view["details"].get("sample_input_dataset")

    @property
    def sample_output_dataset(self) -> str | None:
        return self._view["details"].get("sample_output_dataset")

    @property
    def resource_configuration(self) -> ResourceConfiguration | None:
        found = self._view["details"].get("resource_configuration")
        return ResourceConfiguration.deserialize(found)

    # v1's; every model here is plain files of nobody in particular.
    created_by: dict[str, str] | None = None
    mime_type = "application/octet-stream"
    unpack = False
    parent_id: str | None = None

    @property
    def derived_model_ids(self) -> list[str]:
        return []

    def __repr__(self) -> str:
        return (
            f"Model(workspace={self.workspace!r}, name={self.name}, id={self.id}, "
            f"version={self.version}, tags={self.tags}, properties={self.properties})"
        )

    def _repr_html_(self) -> str:
        return facts({**self._summary(), "Description": self.description, "Run": self.run_id})

    def _summary(self) -> dict[str, object]:
        tags = ", ".join(k if v is None else f"{k}={v}" for k, v in self.tags.items())
        return {"Name": self.name, "Version": self.version, "Tags": tags}

    # -- registering ----------------------------------------------------------------------------

    @staticmethod
    def register(
        workspace: Workspace,
        model_path: str | os.PathLike[str],
        model_name: str,
        tags: Any = None,
        properties: Any = None,
        description: str | None = None,
        datasets: Any = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        child_paths: Iterable[str] | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: ResourceConfiguration | None = None,
        **kwargs: Any,
    ) -> Model:
        """Send a file, or a folder (of it only `child_paths`, if given), and keep it as the next
        version of the name. Raises `UserErrorException` for a path that is not there."""
        print(f"Registering model {model_name}")
        return Model.send(
            workspace,
            model_path,
            model_name,
            child_paths,
            tags=tags,
            properties=properties,
            framework=model_framework,
            framework_version=model_framework_version,
            description=description,
            details={
                "datasets": datasets,
                "sample_input_dataset": sample_input_dataset,
                "sample_output_dataset": sample_output_dataset,
                "resource_configuration": resource_configuration,
            },
        )

    @staticmethod
    def send(
        workspace: Workspace,
        path: str | os.PathLike[str],
        name: str,
        child_paths: Iterable[str] | None = None,
        **said: Any,
    ) -> Model:
        """`register` without a word."""
        found = local_files(Path(path), child_paths)
        body = {"key": os.urandom(16).hex(), **body_of(name, None, **said)}
        for inner, file in found.items():
            send_file(workspace.client, f"/v1/model-files/{body['key']}/{segment(inner)}", file)
        return Model(workspace, _view=workspace.client.post("/v1/models", body))

    @staticmethod
    def list(
        workspace: Workspace,
        name: str | None = None,
        tags: Any = None,
        properties: Any = None,
        run_id: str | None = None,
        latest: bool = False,
        dataset_id: str | None = None,
        expand: bool = True,
        page_count: int = 255,
        model_framework: str | None = None,
    ) -> list[Model]:
        """Models, newest first. `tags`: a name, names, `[name, value]` pairs among them, or a
        mapping; all must hold. `latest`: the newest version of each name alone."""
        query: list[tuple[str, str]] = [("latest", str(latest).lower())]
        for key, value in (("name", name), ("run", run_id), ("framework", model_framework)):
            query += [(key, value)] if value is not None else []
        query += [("tag", text) for text in conditions(tags)]
        query += [("property", text) for text in conditions(properties)]
        found = workspace.client.get("/v1/models", query)["models"]
        every = [Model(workspace, _view=view) for view in found]
        if dataset_id is None:
            return every
        return [m for m in every if any(dataset_id in ids for ids in m.datasets.values())]

    # -- its files ------------------------------------------------------------------------------

    def download(
        self,
        target_dir: str | os.PathLike[str] = ".",
        exist_ok: bool = False,
        exists_ok: bool | None = None,
    ) -> str:
        """Write its files below `target_dir`; the path of the file, or of the folder that it is.
        Raises `ConflictError` for what is there already, unless `exist_ok`."""
        may_replace = exist_ok if exists_ok is None else exists_ok
        base = Path(target_dir)
        # The names come from elsewhere: they must not lead out of the folder.
        goals = {name: base / values.inner_path(name) for name in self.files}
        for goal in goals.values():
            if goal.exists() and not may_replace:
                raise ConflictError(
                    f"'{goal}' is there already. Remove it, or set exist_ok to True to replace it."
                )
        path = f"/v1/models/{segment(self.name)}/{self.version}/files"
        for name, goal in goals.items():
            try:
                goal.parent.mkdir(parents=True, exist_ok=True)
                self.workspace.client.download(f"{path}/{segment(name)}", goal)
            except OSError as e:
                raise UserErrorException(
                    f"'{goal}' cannot be written: {e.strerror or e}."
                ) from None
        return str(base / top_of(goals))

    @staticmethod
    def get_model_path(
        model_name: str,
        version: int | str | None = None,
        _workspace: Workspace | None = None,
    ) -> str:
        """A path of the model on this machine: fetched below `azureml-models` if need be. With no
        such model in the workspace, a file or folder of that name here will do, as in v1. Raises
        `ModelNotFoundException`."""
        from turnout.client.workspace import Workspace

        try:
            found = Model(_workspace or Workspace.from_config(), model_name, version=version)
        except ModelNotFoundException:
            if version is None and Path(model_name).exists():
                return model_name
            raise
        folder = Path(MODELS_DIR) / found.name / str(found.version)
        have = {n: (folder / values.inner_path(n)) for n in found.files}
        if all(p.is_file() and p.stat().st_size == found.files[n] for n, p in have.items()):
            return str(folder / top_of(have))
        return found.download(folder, exist_ok=True)

    def get_sas_urls(self) -> dict[str, str]:
        """Where the files are on the service, by name; they need its token."""
        path = f"/v1/models/{segment(self.name)}/{self.version}/files"
        return {name: f"{path}/{segment(name)}" for name in self.files}

    # -- changes --------------------------------------------------------------------------------

    def _change(self, **body: Any) -> None:
        path = f"/v1/models/{segment(self.name)}/{self.version}"
        self._view = self.workspace.client.request("PATCH", path, body)

    def update(
        self,
        tags: Any = None,
        description: str | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: ResourceConfiguration | None = None,
    ) -> None:
        """Replace its tags, its description and what is said of its data, each if given."""
        body: dict[str, Any] = {}
        if tags is not None:
            wanted = texts(tags, "Tags")
            gone = [key for key in self.tags if key not in wanted]
            body["tags"] = {"set": wanted, "remove": gone}
        if description is not None:
            body["description"] = str(description)
        details = models.kept(
            {
                "sample_input_dataset": sample_input_dataset,
                "sample_output_dataset": sample_output_dataset,
                "resource_configuration": resource_configuration,
            }
        )
        self._change(**body, **({"details": details} if details else {}))

    def update_tags_properties(
        self, add_tags: Any = None, remove_tags: Any = None, add_properties: Any = None
    ) -> None:
        """Properties never change: another value for a known key raises `ConflictError`."""
        gone = [remove_tags] if isinstance(remove_tags, str) else [*(remove_tags or ())]
        self._change(
            tags={"set": texts(add_tags or {}, "Tags"), "remove": gone},
            properties=texts(add_properties or {}, "Properties"),
        )

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        self.update_tags_properties(add_tags=tags)

    def remove_tags(self, tags: Any) -> None:
        """Remove a tag, or several by a list of their keys."""
        self.update_tags_properties(remove_tags=tags)

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        self.update_tags_properties(add_properties=properties)

    def add_dataset_references(self, datasets: Iterable[tuple[str, Any]]) -> None:
        """Note datasets with what they were for: `[("training", dataset)]`."""
        more = models.kept({"datasets": datasets})["datasets"]
        known = self._view["details"].get("datasets", [])
        self._change(details={"datasets": [*known, *(d for d in more if d not in known)]})

    def delete(self) -> None:
        """Delete this version. Its number is not used again."""
        path = f"/v1/models/{segment(self.name)}/{self.version}"
        # Asked twice, when an answer got lost: it is gone.
        with contextlib.suppress(ModelNotFoundException):
            self.workspace.client.request("DELETE", path)

    # -- as data --------------------------------------------------------------------------------

    def serialize(self) -> dict[str, Any]:
        """Plain data, in v1's words."""
        view = self._view
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "createdTime": view["created_at"],
            "description": self.description,
            "framework": self.model_framework,
            "frameworkVersion": self.model_framework_version,
            "tags": self.tags,
            "properties": self.properties,
            "runId": self.run_id,
            "experimentName": self.experiment_name,
            "url": self.url,
            "mimeType": self.mime_type,
            "unpack": self.unpack,
            "datasets": view["details"].get("datasets", []),
            "sampleInputDatasetId": self.sample_input_dataset,
            "sampleOutputDatasetId": self.sample_output_dataset,
            "resourceConfiguration": view["details"].get("resource_configuration"),
            "files": self.files,
        }

    @staticmethod
    def deserialize(workspace: Workspace, model_payload: Mapping[str, Any]) -> Model:
        """The model that `serialize` gave the data of, asked anew."""
        return Model(workspace, id=model_payload["id"])

    # -- what is not here -----------------------------------------------------------------------

    @staticmethod
    def deploy(*args: Any, **kwargs: Any) -> NoReturn:
        """Raises `UserErrorException`, as the following do: deployment is outside of Turnout."""
        raise UserErrorException(DEPLOYMENT)

    package = profile = print_configuration = deploy


def find(
    workspace: Workspace,
    name: str | None,
    identity: str | None,
    tags: Any,
    properties: Any,
    version: int | str | None,
    run_id: str | None,
    framework: str | None,
) -> dict[str, Any]:
    if identity is not None:
        name, _, number = identity.rpartition(":")
        if not name:
            raise UserErrorException(f"'{identity}' is no model's id: write 'name:version'.")
        version = number
    elif name is not None and ":" in name and version is None:
        name, _, version = name.rpartition(":")
    if name is not None and not (tags or properties or run_id or framework):
        query = {"version": None if version is None else number_of(version)}
        return workspace.client.get(f"/v1/models/{segment(name)}", query)
    if not (name or tags or properties or run_id or framework):
        raise UserErrorException("Model() needs a name or an id.")
    found = Model.list(workspace, name, tags, properties, run_id, model_framework=framework)
    if version is not None:
        found = [model for model in found if model.version == number_of(version)]
    if not found:
        asked = {
            "name": name,
            "version": version,
            "tags": tags,
            "properties": properties,
            "run_id": run_id,
            "model_framework": framework,
        }
        said = ", ".join(f"{key}={value!r}" for key, value in asked.items() if value)
        raise ModelNotFoundException(f"ModelNotFound: no model of the workspace has {said}.")
    return found[0]._view


def from_run(workspace: Workspace, run_id: str, record: Mapping[str, Any]) -> Model:
    """Make a model of what a run left; the service copies. The key is made here: asked twice, it
    is one version."""
    body = {"key": os.urandom(16).hex(), "run": run_id, **record}
    return Model(workspace, _view=workspace.client.post("/v1/models", body))
