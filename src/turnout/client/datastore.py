"""`Datastore`: files of the workspace, with the service; references to places in it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.client.exceptions import UserErrorException
from turnout.client.http import PART, segment
from turnout.payload.values import inner_path
from turnout.spec.data import VARIABLE, DataInput, DataOutput, DataSource
from turnout.spec.errors import NotFoundError
from turnout.spec.records import nearest

if TYPE_CHECKING:
    from turnout.client.workspace import Workspace

#: What v1 calls the storage behind a datastore; scripts print it.
ACCOUNT = "turnout"


class AbstractDatastore:
    """Base of v1's datastores."""


class Datastore(AbstractDatastore):
    """`Datastore(workspace, name)` or `Datastore.get` gives one that is there, `get_default` the
    default one. Raises `NotFoundError` with the nearest name.

    Example::

        store = ws.get_default_datastore()
        store.upload("data", target_path="digits")
        reference = store.path("digits").as_mount()
    """

    def __new__(cls, workspace: Workspace, name: str | None = None) -> Datastore:
        views = workspace.client.get("/v1/datastores")["datastores"]
        wanted = name or next(v["name"] for v in views if v["default"])
        for view in views:
            if view["name"] == wanted:
                found = object.__new__(CLASSES.get(view["type"], AzureBlobDatastore))
                found._take(workspace, view)
                return found
        known = [view["name"] for view in views]
        raise NotFoundError(
            f"There is no datastore '{wanted}'{nearest(wanted, known)}. There is "
            f"{', '.join(known)}; those of Azure cannot be registered here."
        )

    workspace: Workspace
    name: str
    datastore_type: str
    account_name: str
    container_name: str
    is_default: bool

    def _take(self, workspace: Workspace, view: dict[str, Any]) -> None:
        self.workspace = workspace
        self.name = view["name"]
        self.datastore_type = view["type"]
        self.account_name = ACCOUNT
        self.container_name = view["name"]
        self.is_default = view["default"]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of type {self.datastore_type}>"

    def _summary(self) -> dict[str, object]:
        default = "yes" if self.is_default else ""
        return {"Name": self.name, "Type": self.datastore_type, "Default": default}

    @staticmethod
    def get(workspace: Workspace, datastore_name: str) -> Datastore:
        return Datastore(workspace, datastore_name)

    @staticmethod
    def get_default(workspace: Workspace) -> Datastore:
        return Datastore(workspace)

    def set_as_default(self) -> None:
        """Make it what `ws.get_default_datastore()` gives."""
        path = "/v1/config/data.default_datastore"
        self.workspace.client.request("PUT", path, {"value": self.name})
        self.is_default = True

    # -- places ---------------------------------------------------------------------------------

    def path(
        self, path: str | None = None, data_reference_name: str | None = None
    ) -> DataReference:
        """A file, a folder or (for datasets) a pattern of it, for a run to read or write."""
        return DataReference(self, data_reference_name, path)

    def as_mount(self) -> DataReference:
        return self.path().as_mount()

    def as_download(self, path_on_compute: str | None = None) -> DataReference:
        return self.path().as_download(path_on_compute)

    def as_upload(self, path_on_compute: str | None = None) -> DataReference:
        return self.path().as_upload(path_on_compute)

    # -- files ----------------------------------------------------------------------------------

    @property
    def _files(self) -> str:
        return f"/v1/datastores/{segment(self.name)}/files"

    def names(self, prefix: str | None = None) -> list[str]:
        """Names of the files that begin with `prefix`."""
        found = self.workspace.client.get(self._files, {"prefix": prefix or ""})["files"]
        return [file["name"] for file in found]

    def upload(
        self,
        src_dir: str | os.PathLike[str],
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Copy the files below a folder of this machine to `target_path`; the reference to it."""
        base = Path(src_dir).expanduser()
        if not base.is_dir():
            raise UserErrorException(f"There is no folder '{src_dir}' to upload.")
        files = sorted(path for path in base.rglob("*") if path.is_file())
        return self._send(files, base, target_path, overwrite, show_progress)

    def upload_files(
        self,
        files: Iterable[str | os.PathLike[str]],
        relative_root: str | os.PathLike[str] | None = None,
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Copy files to `target_path`, by their names below `relative_root`, else by their own."""
        paths = [Path(file).expanduser() for file in files]
        for path in paths:
            if not path.is_file():
                raise UserErrorException(f"There is no file '{path}' to upload.")
        root = None if relative_root is None else Path(relative_root).expanduser()
        return self._send(paths, root, target_path, overwrite, show_progress)

    def _send(
        self,
        paths: list[Path],
        base: Path | None,
        target: str | None,
        overwrite: bool,
        show_progress: bool,
    ) -> DataReference:
        folder = (target or "").strip("/")
        there = set() if overwrite else set(self.names(folder))
        for i, path in enumerate(paths):
            relative = path.name if base is None else below(path, base)
            name = f"{folder}/{relative}".lstrip("/")
            if name in there:
                say(show_progress, f"Target already exists. Skipping upload for {name}")
                continue
            say(show_progress, f"Uploading {path}")
            self.workspace.client.request(
                "PUT", f"{self._files}/{segment(name)}", lambda path=path: parts(path)
            )
            say(show_progress, f"Uploaded {path}, {i + 1} files out of {len(paths)}")
        return self.path(folder or None)

    def download(
        self,
        target_path: str | os.PathLike[str],
        prefix: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> int:
        """Copy the files whose name begins with `prefix` below `target_path`, by their names
        there; how many were copied."""
        count = 0
        for name in self.names(prefix):
            # The name comes from elsewhere: it must not lead out of the folder.
            goal = Path(target_path) / inner_path(name)
            if goal.exists() and not overwrite:
                say(show_progress, f"Path already exists. Skipping download for {goal}")
                continue
            say(show_progress, f"Downloading {name}")
            self.fetch(name, goal)
            count += 1
        return count

    def fetch(self, name: str, goal: Path) -> None:
        """Copy one file to `goal`."""
        goal.parent.mkdir(parents=True, exist_ok=True)
        self.workspace.client.download(f"{self._files}/{segment(name)}", goal)

    # -- v1's other kinds -----------------------------------------------------------------------

    @staticmethod
    def _refuse(*args: Any, **kwargs: Any) -> Any:
        raise UserErrorException(
            "Only the workspace's own datastores are there in this version: copy the files into "
            "ws.get_default_datastore() (upload), or read them with a library of that service."
        )

    register_azure_blob_container = _refuse
    register_azure_file_share = _refuse
    register_azure_data_lake = _refuse
    register_azure_data_lake_gen2 = _refuse
    register_azure_sql_database = _refuse
    register_azure_postgre_sql = _refuse
    register_azure_my_sql = _refuse
    register_dbfs = _refuse
    register_hdfs = _refuse


class AzureBlobDatastore(Datastore):
    """The default datastore; its name is v1's, its files lie with the service."""


class AzureFileDatastore(Datastore):
    """As the default one, apart from it."""


AbstractAzureStorageDatastore = Datastore
CLASSES: dict[str, type[Datastore]] = {
    "AzureBlob": AzureBlobDatastore,
    "AzureFile": AzureFileDatastore,
}


class DataReference:
    """A place in a datastore, as a run is given it.

    In arguments `str(reference)` stands for the path that it has on the target; the script finds
    that in the variable `AZUREML_DATAREFERENCE_<name>` too. `as_mount`: the place itself where the
    target sees the service's files, else a copy that is only read; `as_download`: a copy of the
    run's own; `as_upload`: what the script left at `path_on_compute` goes there at its end.
    """

    def __init__(
        self,
        datastore: Datastore,
        data_reference_name: str | None = None,
        path_on_datastore: str | None = None,
        mode: str = "mount",
        path_on_compute: str | None = None,
        overwrite: bool = False,
    ) -> None:
        self.datastore = datastore
        self.data_reference_name = data_reference_name or name_of(datastore, path_on_datastore)
        self.path_on_datastore = path_on_datastore
        self.mode = mode
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite

    @staticmethod
    def create(
        data_reference_name: str | None = None,
        datapath: DataPath | None = None,
        datapath_compute_binding: DataPathComputeBinding | None = None,
    ) -> DataReference:
        if datapath is None:
            raise UserErrorException("DataReference.create() needs a datapath.")
        return datapath.create_data_reference(data_reference_name, datapath_compute_binding)

    def _as(
        self, mode: str, path_on_compute: str | None, overwrite: bool = False
    ) -> DataReference:
        return DataReference(
            self.datastore, self.data_reference_name, self.path_on_datastore, mode,
            path_on_compute, overwrite,
        )  # fmt: skip

    def as_mount(self) -> DataReference:
        return self._as("mount", self.path_on_compute)

    def as_download(
        self, path_on_compute: str | None = None, overwrite: bool = False
    ) -> DataReference:
        return self._as("download", path_on_compute, overwrite)

    def as_upload(
        self, path_on_compute: str | None = None, overwrite: bool = False
    ) -> DataReference:
        return self._as("upload", path_on_compute, overwrite)

    def path(
        self, path: str | None = None, data_reference_name: str | None = None
    ) -> DataReference:
        """A place below this one."""
        joined = "/".join(p.strip("/") for p in (self.path_on_datastore, path) if p)
        return DataReference(self.datastore, data_reference_name, joined, self.mode)

    def to_config(self) -> Any:
        """What `RunConfiguration.data_references` takes."""
        from turnout.client.run_config import DataReferenceConfiguration

        return DataReferenceConfiguration(
            datastore_name=self.datastore.name,
            mode=self.mode,
            path_on_datastore=self.path_on_datastore,
            path_on_compute=self.path_on_compute,
            overwrite=self.overwrite,
        )

    def to_run_data(self) -> DataInput | DataOutput:
        """What a run is told of it."""
        return to_spec(
            self.data_reference_name, self.datastore.name, self.path_on_datastore, self.mode,
            self.path_on_compute, self.overwrite,
        )  # fmt: skip

    def __str__(self) -> str:
        return f"${VARIABLE}{self.data_reference_name}"

    def __repr__(self) -> str:
        return f"DataReference({self.data_reference_name}, {self.datastore.name}, {self.mode})"


class DataPath:
    """A place in a datastore, without a way of giving it to a run."""

    def __init__(
        self,
        datastore: Datastore | None = None,
        path_on_datastore: str | None = None,
        name: str | None = None,
    ) -> None:
        self._datastore = datastore
        self.path_on_datastore = path_on_datastore
        self.name = name

    @property
    def datastore_name(self) -> str | None:
        return None if self._datastore is None else self._datastore.name

    def create_data_reference(
        self,
        data_reference_name: str | None = None,
        datapath_compute_binding: DataPathComputeBinding | None = None,
    ) -> DataReference:
        if self._datastore is None:
            raise UserErrorException("The DataPath has no datastore.")
        how = datapath_compute_binding or DataPathComputeBinding()
        return DataReference(
            self._datastore, data_reference_name or self.name, self.path_on_datastore, how.mode,
            how.path_on_compute, how.overwrite,
        )  # fmt: skip

    @staticmethod
    def create_from_data_reference(data_reference: DataReference) -> DataPath:
        return DataPath(
            data_reference.datastore,
            data_reference.path_on_datastore,
            data_reference.data_reference_name,
        )


class DataPathComputeBinding:
    """How a `DataPath` is given to a run."""

    def __init__(
        self, mode: str = "mount", path_on_compute: str | None = None, overwrite: bool = False
    ) -> None:
        self.mode = mode
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite


def to_spec(
    name: str, store: str, path: str | None, mode: str, on_compute: str | None, overwrite: bool
) -> DataInput | DataOutput:
    """What a run is told of a reference. Raises `UserErrorException` for an unknown mode."""
    if mode == "upload":
        if not on_compute:
            raise UserErrorException(
                f"The reference '{name}' is uploaded: say where the script leaves it, with "
                "as_upload(path_on_compute=…)."
            )
        return DataOutput(name, store, path or "", source=on_compute, overwrite=overwrite)
    if mode not in ("mount", "download"):
        raise UserErrorException(
            f"The reference '{name}' has the mode '{mode}': it is mount, download or upload."
        )
    source = DataSource(store, (path or "").strip("/"))
    return DataInput(name, "reference", mode, (source,), on_compute or "")


def name_of(datastore: Datastore, path: str | None) -> str:
    """v1 made names up from random letters; ours say what is meant and stay the same."""
    text = f"{datastore.name}_{path}" if path else datastore.name
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in text)
    if len(plain) <= 100:
        return plain
    return f"{plain[:91]}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def below(path: Path, base: Path) -> str:
    try:
        return path.relative_to(base).as_posix()
    except ValueError:
        raise UserErrorException(f"The file '{path}' does not lie below '{base}'.") from None


def parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(PART):
            yield part


def say(aloud: bool, text: str) -> None:
    if aloud:
        print(text)
