"""What a script reads and writes: `run.input_datasets`, `run.output_datasets`."""

from __future__ import annotations

import os

from turnout.payload import rundir
from turnout.payload.tables import DataError, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Tuple

#: Of the run folder: {"inputs": {name: …}, "outputs": {name: path}}, docs/design/run-folder.md.
INDEX = "data.json"


def load(folder: str) -> Dict[str, Any]:
    return rundir.read_json(os.path.join(folder, INDEX)) or {"inputs": {}, "outputs": {}}


class LocalTable(Table):
    """A tabular dataset whose files lie here."""

    def __init__(self, name: str, row: Dict[str, Any]) -> None:
        super().__init__(row["definition"])
        self.name = row.get("dataset_name") or name
        self.version = row.get("dataset_version") or None
        self.id = row.get("dataset_id") or ""
        self._row = row

    def _files(self) -> List[Tuple[str, Any]]:
        base = self._row["path"]
        return [(name, os.path.join(base, *name.split("/"))) for name in self._row["files"]]


class LocalFiles:
    """A dataset of files that lie here."""

    def __init__(self, name: str, row: Dict[str, Any]) -> None:
        self.name = row.get("dataset_name") or name
        self.version = row.get("dataset_version") or None
        self.id = row.get("dataset_id") or ""
        self._row = row

    def __fspath__(self) -> str:
        return str(self._row["path"])

    def __str__(self) -> str:
        return str(self._row["path"])

    def to_path(self) -> List[str]:
        """Names of the files, relative to the dataset, each with a leading slash as in v1."""
        return ["/" + name for name in self._row["files"]]

    def download(
        self, target_path: Any = None, overwrite: bool = False, ignore_not_found: bool = False
    ) -> List[str]:
        """Copy the files below `target_path` (a new folder); their paths."""
        import shutil
        import tempfile

        base = os.fspath(target_path) if target_path else tempfile.mkdtemp()
        found: List[str] = []
        for name in self._row["files"]:
            goal = os.path.join(base, *name.split("/"))
            if os.path.exists(goal) and not overwrite:
                raise DataError("'%s' is there already: say overwrite=True." % goal)
            os.makedirs(os.path.dirname(goal), exist_ok=True)
            shutil.copyfile(os.path.join(self._row["path"], *name.split("/")), goal)
            found.append(goal)
        return found

    def mount(self, mount_point: Any = None, **options: Any) -> LocalMount:
        """The folder that holds the files; nothing needs to be mounted here."""
        return LocalMount(str(self._row["path"]))


class LocalMount:
    """What `mount` gives: `with dataset.mount() as context: open(context.mount_point + "/x")`."""

    def __init__(self, mount_point: str) -> None:
        self.mount_point = mount_point

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def __enter__(self) -> LocalMount:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass


def input_of(name: str, row: Dict[str, Any]) -> Any:
    """v1: a path for files that are mounted or downloaded, else the dataset itself."""
    if row["kind"] == "tabular":
        return LocalTable(name, row)
    return LocalFiles(name, row) if row["mode"] == "direct" else row["path"]


class InputDatasets:
    """The run's inputs by name: `run.input_datasets["digits"]`, or as an attribute."""

    def __init__(self, rows: Dict[str, Any]) -> None:
        self._rows = {n: row for n, row in rows.items() if row["kind"] != "reference"}

    def __getitem__(self, name: str) -> Any:
        if name not in self._rows:
            there = ", ".join(sorted(self._rows)) or "none"
            raise KeyError("The run has no input '%s'; it has: %s." % (name, there))
        return input_of(name, self._rows[name])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._rows:
            raise AttributeError(name)
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self._rows else default

    def keys(self) -> List[str]:
        return list(self._rows)

    def values(self) -> List[Any]:
        return [self[name] for name in self._rows]

    def items(self) -> List[Tuple[str, Any]]:
        return [(name, self[name]) for name in self._rows]


class ScriptDataset:
    """v1's `Dataset` in a script that cannot reach the workspace: what the run was given."""

    @staticmethod
    def get_by_id(workspace: Any, id: str, **options: Any) -> Any:
        """The input of the run that is this dataset."""
        return find("id", "dataset_id", id)

    @staticmethod
    def get_by_name(workspace: Any, name: str, version: Any = "latest", **options: Any) -> Any:
        """The input of the run that is the dataset of this name."""
        return find("name", "dataset_name", name)


def find(what: str, key: str, wanted: str) -> Any:
    rows = load(os.environ.get(rundir.RUN_FOLDER_VARIABLE, ""))["inputs"]
    for name, row in rows.items():
        if row["kind"] != "reference" and wanted in (row.get(key), name):
            return LocalTable(name, row) if row["kind"] == "tabular" else LocalFiles(name, row)
    raise DataError(
        "The run was not given the dataset with the %s '%s': pass it with as_named_input() where "
        "the run is submitted." % (what, wanted)
    )
