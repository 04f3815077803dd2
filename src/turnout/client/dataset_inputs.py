"""How datasets are given to a run, and how what it writes becomes one."""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any

from turnout.client.dataset_definitions import delimited, parquet
from turnout.client.exceptions import UserErrorException
from turnout.spec.data import VARIABLE, DataInput, DataOutput

if TYPE_CHECKING:
    from turnout.client.datasets import AbstractDataset
    from turnout.client.datastore import Datastore


class DatasetConsumptionConfig:
    """A dataset under the name by which a script asks for it: `run.input_datasets[name]`.

    In arguments it stands for the path of its files on the target; for a tabular dataset, for its
    id, which `Dataset.get_by_id` of the script takes.
    """

    def __init__(
        self,
        name: str,
        dataset: AbstractDataset,
        mode: str = "direct",
        path_on_compute: str | None = None,
    ) -> None:
        self.name = name
        self.dataset = dataset
        self.mode = mode
        self.path_on_compute = path_on_compute

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """The files where they can be read, without a copy for each run."""
        return self._as("mount", path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """A copy of the files for the run alone."""
        return self._as("download", path_on_compute)

    def as_hdfs(self) -> DatasetConsumptionConfig:
        raise UserErrorException("as_hdfs() is not there: use as_mount() or as_download().")

    def _as(self, mode: str, path_on_compute: str | None) -> DatasetConsumptionConfig:
        if self.dataset.kind != "file":
            raise UserErrorException(
                "A tabular dataset is not mounted or downloaded: the script reads it with "
                f"run.input_datasets['{self.name}'].to_pandas_dataframe()."
            )
        self.mode, self.path_on_compute = mode, path_on_compute
        return self

    def to_run_data(self) -> DataInput:
        """What a run is told of it."""
        given = self.dataset
        return DataInput(
            name=self.name,
            kind=given.kind,
            mode=self.mode,
            sources=tuple(given.sources),
            path_on_compute=self.path_on_compute or "",
            definition=given.definition,
            dataset_id=given.id or "",
            dataset_name=given.name or "",
            dataset_version=given.version or 0,
        )

    def __str__(self) -> str:
        return f"${VARIABLE}{self.name}"

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig({self.name!r}, {self.dataset!r}, {self.mode!r})"


class OutputDatasetConfig:
    """Base of v1's outputs."""


class OutputFileDatasetConfig(OutputDatasetConfig):
    """A folder that a script writes to, and that goes into a datastore at its end.

    In arguments it stands for the path of that folder on the target. `destination`: (datastore,
    path there), in which `{run-id}` and `{output-name}` are replaced; default
    `dataset/{run-id}/{output-name}` of the default datastore. `source`: the folder, relative to
    the script's working folder, that the script writes to by itself.

    Example::

        out = OutputFileDatasetConfig("model", destination=(store, "models/{run-id}"))
        out = out.register_on_complete("digits-model")
        ScriptRunConfig(".", "train.py", arguments=["--out", out])
    """

    def __init__(
        self,
        name: str | None = None,
        destination: tuple[Datastore, str] | None = None,
        source: str | os.PathLike[str] | None = None,
        partition_format: str | None = None,
    ) -> None:
        if partition_format is not None:
            raise UserErrorException("partition_format is not there in this version.")
        self.name = name or f"output_{os.urandom(4).hex()}"
        self.destination = destination
        self.source = None if source is None else os.fspath(source)
        self.mode = "mount"
        self.overwrite = True
        self._registered: dict[str, Any] = {}
        self._definition: dict[str, Any] = {}

    def as_mount(self, disable_metadata_cache: bool = False) -> OutputFileDatasetConfig:
        found = copy.copy(self)
        found.mode = "mount"
        return found

    def as_upload(
        self, overwrite: bool = False, source_globs: Any = None
    ) -> OutputFileDatasetConfig:
        """As `as_mount`; files that are there already stay, unless `overwrite`."""
        if source_globs is not None:
            raise UserErrorException("source_globs is not there in this version: leave it out.")
        found = copy.copy(self)
        found.mode, found.overwrite = "upload", overwrite
        return found

    def register_on_complete(
        self, name: str, description: str | None = None, tags: dict[str, str] | None = None
    ) -> OutputFileDatasetConfig:
        """Register what was written as the next version of the dataset `name`."""
        found = copy.copy(self)
        found._registered = {"name": name, "description": description, "tags": tags}
        return found

    def read_delimited_files(
        self,
        include_path: bool = False,
        separator: str = ",",
        header: Any = True,
        partition_format: str | None = None,
        path_glob: str | None = None,
        set_column_types: dict[str, Any] | None = None,
    ) -> OutputFileDatasetConfig:
        """Let what is registered be a tabular dataset of the delimited files in the folder."""
        made = delimited(
            separator, header, include_path=include_path, set_column_types=set_column_types,
            partition_format=partition_format,
        )  # fmt: skip
        return self._read(made, path_glob)

    def read_parquet_files(
        self,
        include_path: bool = False,
        partition_format: str | None = None,
        path_glob: str | None = None,
        set_column_types: dict[str, Any] | None = None,
    ) -> OutputFileDatasetConfig:
        """As `read_delimited_files`, of Parquet files."""
        return self._read(parquet(include_path, set_column_types, partition_format), path_glob)

    def _read(self, definition: dict[str, Any], path_glob: str | None) -> OutputFileDatasetConfig:
        found = copy.copy(self)
        found._definition = {**definition, **({"path_glob": path_glob} if path_glob else {})}
        return found

    def as_input(self, name: str | None = None) -> Any:
        raise UserErrorException(
            "as_input() joins the steps of a pipeline, which this version does not have. Register "
            "the output, and give the dataset to the next run."
        )

    def to_run_data(self) -> DataOutput:
        """What a run is told of it."""
        more: dict[str, Any] = {}
        if self.destination is not None:
            store, path = self.destination
            more = {"datastore": store.name, "path": path.strip("/")}
        said = self._registered
        return DataOutput(
            name=self.name,
            source=self.source or "",
            overwrite=self.overwrite,
            register_name=said.get("name") or "",
            description=said.get("description") or "",
            tags=said.get("tags") or {},
            definition=self._definition,
            **more,
        )

    def __str__(self) -> str:
        return f"${VARIABLE}{self.name}"

    def __repr__(self) -> str:
        return f"OutputFileDatasetConfig({self.name!r})"
