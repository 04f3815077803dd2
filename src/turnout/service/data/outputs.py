"""After a run: what its outputs hold goes into the datastores, and is registered if asked."""

from __future__ import annotations

import asyncio
from typing import Any

from turnout.payload.data import OUTPUTS
from turnout.service.data import logic
from turnout.service.data.stores import DataStores
from turnout.service.db import Database
from turnout.service.runs.folders import FILES, RunFolders
from turnout.service.runs.tables import RunRow
from turnout.spec.data import DataOutput, DataSource
from turnout.spec.errors import TurnoutError
from turnout.spec.records import to_dict
from turnout.spec.runs import RunSpec


async def take_in(
    db: Database, stores: DataStores, folders: RunFolders, row: RunRow, spec: RunSpec
) -> list[str]:
    """Everything here may be repeated. What could not be done, for the run's warnings."""
    notes: list[str] = []
    for output in spec.outputs:
        source = folders.folder(row.id, FILES) / OUTPUTS / output.name
        try:
            if source.is_dir():
                await take_in_one(db, stores, row, output, source)
            else:
                notes.append(f"The output '{output.name}' is empty.")
        except (TurnoutError, OSError) as e:
            notes.append(f"The output '{output.name}' could not be kept: {e}")
    return notes


async def take_in_one(
    db: Database, stores: DataStores, row: RunRow, output: DataOutput, source: Any
) -> None:
    store = output.datastore or await logic.default_store(db)
    folder = place_of(output, row.id)
    await asyncio.to_thread(stores.take_in, store, folder, source, overwrite=output.overwrite)
    if not output.register_name:
        return
    new = logic.NewDataset(
        key=f"{row.id}/{output.name}",
        name=output.register_name,
        kind="tabular" if output.definition else "file",
        sources=[to_dict(DataSource(store, pattern_of(folder, output)))],
        definition=dict(output.definition),
        description=output.description,
        tags=output.tags,
        create_new_version=True,
    )
    await logic.register(db, stores, new)


def place_of(output: DataOutput, run: str) -> str:
    return output.path.replace("{run-id}", run).replace("{output-name}", output.name).strip("/")


def pattern_of(folder: str, output: DataOutput) -> str:
    inner = output.definition.get("path_glob")
    return f"{folder}/{inner}" if inner else folder
