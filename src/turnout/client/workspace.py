"""`Workspace`: what one service keeps: experiments, runs and targets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.client import embedded
from turnout.client.exceptions import ProjectSystemException, WorkspaceException
from turnout.client.markup import Named, facts

if TYPE_CHECKING:
    from turnout.client.compute import ComputeTarget
    from turnout.client.datastore import Datastore
    from turnout.client.environment import Environment
    from turnout.client.experiment import Experiment
    from turnout.client.http import Client
    from turnout.client.keyvault import Keyvault
    from turnout.client.model import Model
    from turnout.client.run import Run

FOLDERS = ("aml_config", ".azureml")
CONFIG_FILE = "config.json"


class Workspace:
    """The workspace of this user's embedded service, or of the one that `TURNOUT_URL` names.

    v1's subscription, resource group and authentication are taken and kept as plain data; the
    service is found by the environment alone. It is started with the first request.

    Example::

        ws = Workspace.from_config()
        exp = Experiment(workspace=ws, name="my_experiment")
    """

    DEFAULT_CPU_CLUSTER_NAME = "cpu-cluster"
    DEFAULT_GPU_CLUSTER_NAME = "gpu-cluster"

    def __init__(
        self,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        workspace_name: str | None = None,
        auth: object = None,
        *,
        name: str | None = None,
        sku: str = "basic",
        tags: dict[str, str] | None = None,
        **ignored: Any,
    ) -> None:
        unknown = [key for key in ignored if not key.startswith("_")]
        if unknown:
            raise WorkspaceException(f"Workspace() has no argument '{unknown[0]}'.")
        self._name = workspace_name or name
        self.subscription_id = subscription_id or ""
        self.resource_group = resource_group or ""
        self.sku = sku
        self.tags = dict(tags or {})
        self.location = "local"

    @property
    def client(self) -> Client:
        """The HTTP client; nothing is sent by getting it."""
        return embedded.default_client()

    @property
    def name(self) -> str:
        if self._name is None:
            self._name = str(self.client.get("/v1/workspace")["name"])
        return self._name

    def __repr__(self) -> str:
        return (
            f"Workspace.create(name={self.name!r}, subscription_id={self.subscription_id!r}, "
            f"resource_group={self.resource_group!r})"
        )

    def _repr_html_(self) -> str:
        shown = {
            "Name": self.name,
            "Resource group": self.resource_group,
            "Subscription": self.subscription_id,
            "Location": self.location,
        }
        return facts({k: v for k, v in shown.items() if v})

    # -- finding --------------------------------------------------------------------------------

    @staticmethod
    def from_config(
        path: str | os.PathLike[str] | None = None,
        auth: object = None,
        _logger: object = None,
        _file_name: str | None = None,
    ) -> Workspace:
        """The workspace that a `config.json` names.

        Looked for in `aml_config/` and `.azureml/` (project.json, then config.json) and in the
        folder itself, from `path` (the current folder) upwards. With none found anywhere it is
        this user's default workspace: there is nothing to configure, so that is no error. A `path`
        that names a file must exist. Raises `ProjectSystemException` for a file that is damaged.
        """
        start = Path(path or ".").absolute()
        if path is not None and not start.exists():
            raise ProjectSystemException(f"There is no configuration at '{path}'.")
        found = start if start.is_file() else find_config(start, _file_name or CONFIG_FILE)
        return Workspace() if found is None else Workspace(**read_config(found))

    @staticmethod
    def create(
        name: str,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        create_resource_group: bool = True,
        sku: str = "basic",
        tags: dict[str, str] | None = None,
        exist_ok: bool = False,
        show_output: bool = True,
        **options: Any,
    ) -> Workspace:
        """The workspace under this name. A service keeps one workspace, which is there always;
        v1's other options are taken and have no effect."""
        return Workspace(subscription_id, resource_group, name, auth, sku=sku, tags=tags)

    @staticmethod
    def get(
        name: str,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        **options: Any,
    ) -> Workspace:
        """As `create`."""
        return Workspace(subscription_id, resource_group, name, auth)

    @staticmethod
    def setup() -> Workspace:
        return Workspace.from_config()

    def write_config(
        self, path: str | os.PathLike[str] | None = None, file_name: str | None = None
    ) -> None:
        """Write `.azureml/config.json` below `path` (the current folder)."""
        folder = Path(path or ".") / ".azureml"
        folder.mkdir(parents=True, exist_ok=True)
        values = {
            "subscription_id": self.subscription_id,
            "resource_group": self.resource_group,
            "workspace_name": self.name,
        }
        (folder / (file_name or CONFIG_FILE)).write_text(json.dumps(values, indent=4) + "\n")

    @staticmethod
    def list(
        subscription_id: str | None = None,
        auth: object = None,
        resource_group: str | None = None,
    ) -> dict[str, list[Workspace]]:
        """`{name: [workspace]}`: the one that the service keeps."""
        found = Workspace(subscription_id, resource_group)
        return {found.name: [found]}

    # -- what it holds --------------------------------------------------------------------------

    @property
    def compute_targets(self) -> dict[str, ComputeTarget]:
        """Targets by name, those that every workspace has (`local`) left out."""
        from turnout.client.compute import ComputeTarget

        return Named({target.name: target for target in ComputeTarget.list(self)})

    @property
    def experiments(self) -> dict[str, Experiment]:
        from turnout.client.experiment import Experiment

        return Named({found.name: found for found in Experiment.list(self)})

    @property
    def environments(self) -> dict[str, Environment]:
        """The newest version of each named environment, and the curated ones."""
        from turnout.client.environment import Environment

        return Environment.list(self)

    @property
    def models(self) -> dict[str, Model]:
        """The newest version of each registered model, by name."""
        from turnout.client.model import Model

        return Named({model.name: model for model in Model.list(self, latest=True)})

    @property
    def webservices(self) -> dict[str, Any]:
        """Empty: Turnout deploys nothing."""
        return {}

    @property
    def images(self) -> dict[str, Any]:
        """Empty: Turnout deploys nothing."""
        return {}

    def get_default_compute_target(self, type: str) -> ComputeTarget | None:
        """The cluster of v1's name for the type ("CPU": cpu-cluster, "GPU": gpu-cluster), if
        there is one."""
        names = {"CPU": self.DEFAULT_CPU_CLUSTER_NAME, "GPU": self.DEFAULT_GPU_CLUSTER_NAME}
        return self.compute_targets.get(names.get(type.upper(), ""))

    @property
    def datastores(self) -> dict[str, Datastore]:
        from turnout.client.datastore import Datastore

        views = self.client.get("/v1/datastores")["datastores"]
        return Named({view["name"]: Datastore(self, view["name"]) for view in views})

    def get_default_datastore(self) -> Datastore:
        from turnout.client.datastore import Datastore

        return Datastore(self)

    def set_default_datastore(self, name: str) -> None:
        """Make the datastore the default one. Raises `NotFoundError`."""
        from turnout.client.datastore import Datastore

        Datastore(self, name).set_as_default()

    @property
    def datasets(self) -> dict[str, Any]:
        """The newest version of each registered dataset, by name."""
        from turnout.client.dataset_factories import Dataset

        return Dataset.get_all(self)

    def get_default_keyvault(self) -> Keyvault:
        """The workspace's secrets."""
        from turnout.client.keyvault import Keyvault

        return Keyvault(self)

    def get_mlflow_tracking_uri(self, **ignored: Any) -> str:
        """What `mlflow.set_tracking_uri` takes, so that MLflow logs to this workspace."""
        return "turnout://workspace"

    def get_run(self, run_id: str) -> Run:
        from turnout.client.run import Run

        return Run.get(self, run_id)

    def get_details(self) -> dict[str, Any]:
        """What v1 gave, as far as it has a meaning here: id, name, location, tags; the service's
        version and home."""
        found = self.client.get("/v1/workspace")
        return {
            "id": f"/workspaces/{self.name}",
            "name": self.name,
            "location": self.location,
            "type": "Turnout",
            "tags": self.tags,
            "sku": self.sku,
            "version": found["version"],
            "home": found["home"],
        }


def project_experiment(path: str | os.PathLike[str]) -> str:
    """The experiment that a project folder was attached to. Raises `ProjectSystemException`."""
    for sub in FOLDERS:
        file = Path(path) / sub / "project.json"
        try:
            return str(json.loads(file.read_text())["Id"])
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, KeyError) as e:
            raise ProjectSystemException(f"'{file}' names no experiment ({e!r}).") from None
    raise ProjectSystemException(f"'{path}' is no project folder: it has no project.json.")


def find_config(start: Path, file_name: str) -> Path | None:
    for folder in (start, *start.parents):
        for candidate in (
            *(folder / sub / file for sub in FOLDERS for file in ("project.json", file_name)),
            folder / file_name,
        ):
            # Any program may keep a config.json; ours names a workspace.
            if candidate.is_file() and (candidate.parent != folder or is_ours(candidate)):
                return candidate
    return None


def is_ours(path: Path) -> bool:
    try:
        return "workspace_name" in json.loads(path.read_text())
    except (OSError, ValueError, TypeError):
        return False


def read_config(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
        if "Scope" in found:
            parts = [p for p in str(found["Scope"]).split("/") if p]
            scope = dict(zip(parts[::2], parts[1::2], strict=False))
            return {
                "subscription_id": scope.get("subscriptions"),
                "resource_group": scope.get("resourceGroups"),
                "workspace_name": scope.get("workspaces"),
            }
        return {
            "subscription_id": found.get("subscription_id"),
            "resource_group": found.get("resource_group"),
            "workspace_name": found["workspace_name"],
        }
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as e:
        raise ProjectSystemException(
            f"'{path}' is no workspace configuration ({e!r}); it needs 'workspace_name'. Mend it "
            "or remove it."
        ) from None
