"""`Dataset`: files of datastores or of the web, as files or as a table; kept under a name."""

from __future__ import annotations

import copy
import io
import os
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from turnout.client.dataset_inputs import DatasetConsumptionConfig
from turnout.client.exceptions import UserErrorException
from turnout.client.http import segment
from turnout.client.markup import Named
from turnout.payload import inputs
from turnout.payload.inputs import LocalMount
from turnout.payload.tables import Table, fraction, seed_of
from turnout.payload.values import inner_path
from turnout.spec.data import DataSource
from turnout.spec.errors import NotFoundError
from turnout.spec.records import from_dict, to_dict

if TYPE_CHECKING:
    from turnout.client.workspace import Workspace

D = TypeVar("D", bound="AbstractDataset")
WEB_TIMEOUT_S = 60.0


class AbstractDataset:
    """What file and tabular datasets share."""

    kind: ClassVar[str] = ""

    def __init__(
        self,
        sources: list[DataSource],
        definition: Mapping[str, Any] | None = None,
        workspace: Workspace | None = None,
    ) -> None:
        self.sources = sources
        self._definition: dict[str, Any] = dict(definition or {})
        self._workspace = workspace
        self.id: str | None = None
        self.name: str | None = None
        self.version: int | None = None
        self.description: str | None = None
        self.tags: dict[str, str] = {}

    @property
    def definition(self) -> dict[str, Any]:
        """How it is read: plain data."""
        return self._definition

    @property
    def workspace(self) -> Workspace:
        if self._workspace is None:
            from turnout.client.workspace import Workspace

            self._workspace = Workspace()
        return self._workspace

    def __repr__(self) -> str:
        if self.name:
            return f"{type(self).__name__}(name={self.name!r}, version={self.version})"
        shown = [source.path for source in self.sources]
        return f"{type(self).__name__}({shown!r})"

    def _summary(self) -> dict[str, object]:
        return {
            "Name": self.name,
            "Version": self.version,
            "Kind": type(self).__name__,
            "Description": self.description,
        }

    # -- kept under a name ----------------------------------------------------------------------

    @staticmethod
    def get_by_name(
        workspace: Workspace, name: str, version: int | str = "latest", **kwargs: Any
    ) -> Any:
        """The dataset of this name: the newest version, or the one asked for. Raises
        `NotFoundError` with the nearest name."""
        wanted = None if version == "latest" else int(version)
        path = f"/v1/datasets/{segment(name)}"
        return from_view(workspace, workspace.client.get(path, {"version": wanted}))

    @staticmethod
    def get_by_id(workspace: Workspace, id: str, **kwargs: Any) -> Any:
        """The registered dataset with this id; in a script also an input of its run."""
        given = inputs.load(os.environ.get("TURNOUT_RUN_FOLDER", ""))["inputs"]
        if any(id in (row.get("dataset_id"), name) for name, row in given.items()):
            return inputs.ScriptDataset.get_by_id(workspace, id)
        return from_view(workspace, workspace.client.get(f"/v1/datasets/{segment(id)}"))

    @staticmethod
    def get_all(workspace: Workspace) -> dict[str, Any]:
        """The newest version of each registered dataset, by name."""
        found = workspace.client.get("/v1/datasets")["datasets"]
        return Named({view["name"]: from_view(workspace, view) for view in found})

    def register(
        self: D,
        workspace: Workspace,
        name: str,
        description: str | None = None,
        tags: dict[str, str] | None = None,
        create_new_version: bool = False,
    ) -> D:
        """Keep it under `name`. The version that is there when that says the same; another is an
        error without `create_new_version`. The registered dataset."""
        body = {
            "key": os.urandom(16).hex(),
            "name": name,
            "kind": self.kind,
            "sources": [to_dict(source) for source in self.sources],
            "definition": self._definition,
            "description": description or "",
            "tags": tags or {},
            "create_new_version": create_new_version,
        }
        found: D = from_view(workspace, workspace.client.post("/v1/datasets", body))
        return found

    def update(self, description: str | None = None, tags: dict[str, str] | None = None) -> Any:
        """Change what is said of it; tags replace those that are there."""
        if self.name is None:
            raise UserErrorException("The dataset is not registered.")
        path = f"/v1/datasets/{segment(self.name)}"
        body = {"description": description, "tags": tags}
        view = self.workspace.client.request("PATCH", path, body)
        self.description, self.tags = view["description"], view["tags"]
        return self

    def add_tags(self, tags: dict[str, str] | None = None) -> Any:
        return self.update(tags={**self.tags, **(tags or {})})

    def remove_tags(self, tags: list[str] | None = None) -> Any:
        return self.update(tags={k: v for k, v in self.tags.items() if k not in (tags or [])})

    def unregister_all_versions(self) -> None:
        """Forget the name; the files stay where they are."""
        if self.name is None:
            raise UserErrorException("The dataset is not registered.")
        self.workspace.client.request("DELETE", f"/v1/datasets/{segment(self.name)}")

    # -- given to a run -------------------------------------------------------------------------

    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        """It, under the name by which the script asks for it."""
        return DatasetConsumptionConfig(name, self)

    def to_run_data(self) -> Any:
        return self._unnamed().to_run_data()

    def __str__(self) -> str:
        return str(self._unnamed())

    def _unnamed(self) -> DatasetConsumptionConfig:
        """It in arguments, without a name of its own."""
        name = f"input_{self.name}" if self.name else f"input_{id(self):x}"
        plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
        return DatasetConsumptionConfig(plain, self)

    # -- its files ------------------------------------------------------------------------------

    def _found(self) -> list[dict[str, str]]:
        """`{"name", "datastore", "path"}` of each file."""
        body = {"sources": [to_dict(source) for source in self.sources]}
        return self.workspace.client.post("/v1/datasets/files", body)["files"]

    def _read(self, file: dict[str, str]) -> bytes:
        if not file["datastore"]:
            try:
                with urllib.request.urlopen(file["path"], timeout=WEB_TIMEOUT_S) as answer:  # noqa: S310
                    return answer.read()
            except (OSError, ValueError) as e:
                raise UserErrorException(f"'{file['path']}' cannot be fetched: {e}.") from None
        path = f"/v1/datastores/{segment(file['datastore'])}/files/{segment(file['path'])}"
        return b"".join(self.workspace.client.stream(path))


class TabularDataset(Table, AbstractDataset):
    """Files that are read into a table.

    Example::

        table = Dataset.Tabular.from_delimited_files((store, "iris/*.csv"))
        table.take(5).to_pandas_dataframe()
        train, test = table.random_split(0.8, seed=1)
    """

    kind: ClassVar[str] = "tabular"

    def __init__(
        self,
        sources: list[DataSource],
        definition: Mapping[str, Any],
        workspace: Workspace | None = None,
    ) -> None:
        AbstractDataset.__init__(self, sources, definition, workspace)

    def _files(self) -> list[tuple[str, Any]]:
        return [(file["name"], io.BytesIO(self._read(file))) for file in self._found()]

    def _with(self: Any, step: list[Any]) -> Any:
        made = super()._with(step)
        # Another table than the registered one.
        made.id = made.name = made.version = None
        return made


class FileDataset(AbstractDataset):
    """Files as they are.

    Example::

        files = Dataset.File.from_files((store, "mnist"))
        ScriptRunConfig(".", "train.py", arguments=["--data", files.as_mount()])
    """

    kind: ClassVar[str] = "file"

    def to_path(self) -> list[str]:
        """Names of the files, each with a leading slash as in v1."""
        return [f"/{file['name']}" for file in self._found()]

    def download(
        self,
        target_path: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        ignore_not_found: bool = False,
    ) -> list[str]:
        """Copy the files below `target_path` (a new folder); their paths. Raises
        `UserErrorException` for one that is there, without `overwrite`."""
        base = Path(target_path or tempfile.mkdtemp(prefix="dataset-"))
        found: list[str] = []
        for file in self._found():
            # The name comes from elsewhere: it must not lead out of the folder.
            goal = base / inner_path(file["name"])
            if goal.exists() and not overwrite:
                raise UserErrorException(f"'{goal}' is there already: say overwrite=True.")
            goal.parent.mkdir(parents=True, exist_ok=True)
            goal.write_bytes(self._read(file))
            found.append(str(goal))
        return found

    def mount(self, mount_point: str | None = None, **kwargs: Any) -> LocalMount:
        """The files in a folder of this machine, for reading: a copy of them."""
        goal = mount_point or tempfile.mkdtemp(prefix="dataset-")
        self.download(goal, overwrite=True)
        return LocalMount(goal)

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        return self._unnamed().as_mount(path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        return self._unnamed().as_download(path_on_compute)

    def as_hdfs(self) -> DatasetConsumptionConfig:
        return self._unnamed().as_hdfs()

    def take(self, count: int) -> FileDataset:
        """The first `count` files."""
        return self._of(self._found()[:count])

    def skip(self, count: int) -> FileDataset:
        """All but the first `count` files."""
        return self._of(self._found()[count:])

    def random_split(
        self, percentage: float, seed: int | None = None
    ) -> tuple[FileDataset, FileDataset]:
        """Two datasets that together have every file: about `percentage` (0 to 1), the rest."""
        import random

        numbers = random.Random(seed_of(seed))  # noqa: S311 - not a secret
        part = fraction(percentage)
        marked = [(numbers.random() < part, file) for file in self._found()]
        return self._of([f for m, f in marked if m]), self._of([f for m, f in marked if not m])

    def _of(self, files: list[dict[str, str]]) -> FileDataset:
        sources = [DataSource(file["datastore"], file["path"]) for file in files]
        return FileDataset(sources, None, self._workspace)


def from_view(workspace: Workspace, view: dict[str, Any]) -> Any:
    """The dataset that the service shows (docs/design/http-api.md)."""
    sources = [from_dict(DataSource, source, "The dataset") for source in view["sources"]]
    found: AbstractDataset
    if view["kind"] == "tabular":
        found = TabularDataset(sources, view["definition"], workspace)
    elif view["kind"] == "file":
        found = FileDataset(sources, view["definition"], workspace)
    else:
        raise NotFoundError(f"The dataset '{view['name']}' is of the unknown kind {view['kind']}.")
    found.id, found.name, found.version = view["id"], view["name"], view["version"]
    found.description, found.tags = view["description"], dict(view["tags"])
    return copy.copy(found)
