"""Data that a run reads and writes: where it lies, and how the script is given it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout.spec.errors import UserError

#: v1's rule; the name is an environment variable of the script.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
#: What a registered dataset may be called; v1 takes spaces within it.
DATASET_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _.-]{0,126}[A-Za-z0-9_.-])?")
MODES = ("mount", "download", "direct")
KINDS = ("reference", "file", "tabular")
WEB = ("http://", "https://")
#: v1's name of the variable that holds the path of an input or output; "$" and it is what stands
#: for the path in arguments.
VARIABLE = "AZUREML_DATAREFERENCE_"


def check_dataset_name(name: str) -> str:
    """Return `name` if a dataset may be registered under it; raise `UserError` otherwise."""
    if not DATASET_NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot name a dataset: use letters, digits, '-', '_', '.' and spaces "
            "within, start with a letter or digit, at most 128 characters."
        )
    return name


@dataclass(frozen=True)
class DataSource:
    """Files of a datastore, or one of the web."""

    #: Name of the datastore; "" for the web.
    datastore: str = ""
    #: A file, a folder, or a pattern with `*` and `?` in it, relative to the datastore; or an
    #: address of the web.
    path: str = ""


@dataclass(frozen=True)
class DataInput:
    """What a script is given to read, under a name."""

    name: str
    #: "reference": a place of a datastore, as it is; "file": a dataset's files; "tabular": a
    #: dataset that is read into a table.
    kind: str = "file"
    mode: str = "mount"
    sources: tuple[DataSource, ...] = ()
    #: Where the script wants the files; "" for a place of our choice.
    path_on_compute: str = ""
    #: How a table is read, and which of its rows and columns; `turnout.payload.tables`.
    definition: Mapping[str, object] = field(default_factory=dict[str, object])
    #: Of a registered dataset.
    dataset_id: str = ""
    dataset_name: str = ""
    dataset_version: int = 0


@dataclass(frozen=True)
class DataOutput:
    """A folder that goes into a datastore when the script has ended."""

    name: str
    datastore: str = ""
    #: The folder there; `{run-id}` and `{output-name}` are replaced.
    path: str = "dataset/{run-id}/{output-name}"
    #: Where the script writes, relative to its working folder; "" for a place of our choice.
    source: str = ""
    #: Files that are there already are replaced.
    overwrite: bool = True
    #: Register what was written, under this name.
    register_name: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    #: As of a tabular dataset; none: files.
    definition: Mapping[str, object] = field(default_factory=dict[str, object])


def check(inputs: tuple[DataInput, ...], outputs: tuple[DataOutput, ...]) -> None:
    """Raise `UserError` for names and paths that cannot be."""
    seen: set[str] = set()
    for item in (*inputs, *outputs):
        if not NAME.fullmatch(item.name):
            raise UserError(
                f"'{item.name}' cannot name an input or output: use letters, digits and '_'."
            )
        if item.name in seen:
            raise UserError(f"Two inputs or outputs of the run are called '{item.name}'.")
        seen.add(item.name)
    for given in inputs:
        if given.mode not in MODES or given.kind not in KINDS:
            raise UserError(f"The input '{given.name}' has the unknown mode '{given.mode}'.")
        for source in given.sources:
            if source.datastore or not source.path.startswith(WEB):
                check_path(source.path)
    for output in outputs:
        check_path(output.path)
        check_path(output.source)


def check_path(path: str) -> str:
    """`path` if it stays inside the folder that it is relative to; `UserError` otherwise."""
    if "\0" in path or path.startswith("/") or ".." in path.split("/"):
        raise UserError(f"The path '{path}' must be relative and without '..'.")
    return path
