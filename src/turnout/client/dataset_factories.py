"""How datasets are made: `Dataset.Tabular`, `Dataset.File`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.client.dataset_definitions import DataType, delimited, json_lines, parquet
from turnout.client.datasets import AbstractDataset, FileDataset, TabularDataset
from turnout.client.datastore import DataPath, DataReference, Datastore
from turnout.client.exceptions import UserErrorException
from turnout.payload.tables import pandas
from turnout.spec.data import WEB, DataSource

if TYPE_CHECKING:
    from turnout.client.workspace import Workspace


class TabularDatasetFactory:
    """`Dataset.Tabular`."""

    @staticmethod
    def from_delimited_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        infer_column_types: bool = True,
        set_column_types: dict[str, DataType] | None = None,
        separator: str = ",",
        header: Any = True,
        partition_format: str | None = None,
        support_multi_line: bool = False,
        empty_as_string: bool = False,
        encoding: str = "utf8",
    ) -> TabularDataset:
        """From files of separated values. `path`: a `(datastore, path)`, `datastore.path(…)`, an
        address of the web, or a list of them; a path may be a folder or a pattern (`*`, `**`)."""
        made = delimited(
            separator, header, encoding=encoding, include_path=include_path,
            infer_column_types=infer_column_types, empty_as_string=empty_as_string,
            set_column_types=set_column_types, partition_format=partition_format,
        )  # fmt: skip
        return tabular(path, made, validate)

    @staticmethod
    def from_parquet_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: dict[str, DataType] | None = None,
        partition_format: str | None = None,
    ) -> TabularDataset:
        """As `from_delimited_files`, from Parquet files."""
        return tabular(path, parquet(include_path, set_column_types, partition_format), validate)

    @staticmethod
    def from_json_lines_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: dict[str, DataType] | None = None,
        partition_format: str | None = None,
        invalid_lines: str = "error",
        encoding: str = "utf8",
    ) -> TabularDataset:
        """As `from_delimited_files`, from files with a JSON object on each line."""
        if invalid_lines != "error":
            raise UserErrorException("invalid_lines must be 'error' in this version.")
        made = json_lines(include_path, set_column_types, partition_format, encoding)
        return tabular(path, made, validate)

    @staticmethod
    def from_sql_query(query: Any, *args: Any, **kwargs: Any) -> TabularDataset:
        raise UserErrorException(
            "from_sql_query() is not there: read the query with pandas and register its result "
            "with Dataset.Tabular.register_pandas_dataframe()."
        )

    @staticmethod
    def register_pandas_dataframe(
        dataframe: Any,
        target: Any,
        name: str,
        description: str | None = None,
        tags: dict[str, str] | None = None,
        show_progress: bool = True,
        row_group_size: int | None = None,
        make_target_path_unique: bool = True,
    ) -> TabularDataset:
        """Write a DataFrame to `target` (a datastore, or a place in one) as Parquet, and register
        it as the next version of the dataset `name`."""
        pandas()
        store, folder = place_of(target)
        if make_target_path_unique:
            folder = f"{folder}/{os.urandom(8).hex()}".lstrip("/")
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / "part-00000.parquet"
            try:
                dataframe.to_parquet(file)
            except ImportError:
                raise UserErrorException(
                    "Writing a DataFrame needs pyarrow: pip install 'turnout[data]'."
                ) from None
            store.upload(temporary, folder, overwrite=True, show_progress=show_progress)
        made = tabular((store, folder), parquet(), validate=False)
        return made.register(store.workspace, name, description, tags, create_new_version=True)


class FileDatasetFactory:
    """`Dataset.File`."""

    @staticmethod
    def from_files(
        path: Any,
        validate: bool = True,
        partition_format: str | None = None,
        is_file: bool = False,
    ) -> FileDataset:
        """From files as they are; `path` as for `Dataset.Tabular.from_delimited_files`."""
        if partition_format is not None:
            raise UserErrorException("partition_format is not there in this version.")
        sources, workspace = sources_of(path)
        found = FileDataset(sources, None, workspace)
        if validate:
            found._found()
        return found

    @staticmethod
    def upload_directory(
        src_dir: str | os.PathLike[str],
        target: Any,
        pattern: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> FileDataset:
        """Copy the files of a folder of this machine to `target`, and a dataset of them."""
        store, folder = place_of(target)
        base = Path(src_dir).expanduser()
        if pattern is None:
            store.upload(base, folder, overwrite=overwrite, show_progress=show_progress)
        else:
            files = sorted(p for p in base.glob(pattern) if p.is_file())
            store.upload_files(files, base, folder, overwrite, show_progress)
        return FileDatasetFactory.from_files((store, folder))


def tabular(path: Any, definition: dict[str, Any], validate: bool) -> TabularDataset:
    sources, workspace = sources_of(path)
    found = TabularDataset(sources, definition, workspace)
    if validate:
        found._found()
    return found


def sources_of(path: Any) -> tuple[list[DataSource], Workspace | None]:
    """What a `path` argument means, and the workspace of its datastores."""
    given = path if isinstance(path, list) else [path]
    sources: list[DataSource] = []
    workspace: Workspace | None = None
    for item in given:
        if isinstance(item, str):
            if not item.startswith(WEB):
                raise UserErrorException(
                    f"'{item}' is a path of this machine, which runs elsewhere cannot read. "
                    "Upload it first, ws.get_default_datastore().upload(…): (datastore, path)."
                )
            sources.append(DataSource("", item))
            continue
        store, inner = place_of(item)
        workspace = store.workspace
        sources.append(DataSource(store.name, inner))
    if not sources:
        raise UserErrorException("A dataset needs at least one path.")
    return sources, workspace


def place_of(item: Any) -> tuple[Datastore, str]:
    """(datastore, path there) of a datastore, a pair, a `DataReference` or a `DataPath`."""
    if isinstance(item, Datastore):
        return item, ""
    if isinstance(item, DataPath) and item._datastore is not None:
        return item._datastore, (item.path_on_datastore or "").strip("/")
    if isinstance(item, DataReference):
        return item.datastore, (item.path_on_datastore or "").strip("/")
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Datastore):
        return item[0], str(item[1]).strip("/")
    raise UserErrorException(
        f"A path of a dataset is (datastore, path), datastore.path(…) or an address of the web, "
        f"not {item!r}."
    )


class Dataset(AbstractDataset):
    """Where datasets are made and found: `Dataset.Tabular`, `Dataset.File`, `get_by_name`."""

    Tabular = TabularDatasetFactory
    File = FileDatasetFactory
