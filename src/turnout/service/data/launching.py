"""What a target is told of a run's data: places where it sees our files, else a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turnout.payload import bundles, rundir
from turnout.payload.store import Store
from turnout.service.data.stores import DataStores, Found
from turnout.spec.data import DataInput, DataSource
from turnout.spec.records import to_dict
from turnout.spec.runs import RunSpec
from turnout.targets.base import Progress

Stamp = tuple[int, int, int]
#: Files stored at once: between them, progress is told.
BATCH_BYTES = 64 << 20


class DataLauncher:
    """Makes the "data" of tickets; remembers which files the store has already."""

    def __init__(self, stores: DataStores, store: Path) -> None:
        self.stores = stores
        self.store = store
        #: By path: its size, time and inode when it was stored, and its hash.
        self.stored: dict[str, tuple[Stamp, str]] = {}

    async def prepare(self, spec: RunSpec, *, is_here: bool, progress: Progress) -> dict[str, Any]:
        """The "data" of `ticket.json`; empty when the run has none. `is_here`: the script sees
        our files."""
        if not spec.inputs and not spec.outputs:
            return {}
        inside = spec.environment.container is not None
        rows: list[dict[str, Any]] = []
        for item in spec.inputs:
            await progress(f"Finding the data of '{item.name}'")
            rows.append(await self.row(item, is_here=is_here and not inside, progress=progress))
        outputs = [{"name": output.name, "source": output.source} for output in spec.outputs]
        return {"inputs": rows, "outputs": outputs, "inside": inside}

    async def row(self, item: DataInput, *, is_here: bool, progress: Progress) -> dict[str, Any]:
        found = await asyncio.to_thread(self.files, item)
        row = {k: v for k, v in to_dict(item).items() if k != "sources"}
        row["files"] = [file.name for file in found]
        source = item.sources[0] if len(item.sources) == 1 else None
        place = None
        if source is not None and source.datastore and item.kind == "reference":
            place = self.stores.path(source.datastore, source.path)
            if place.is_file():
                row["single"] = place.name
        elif item.kind == "file" and item.mode != "direct" and self.is_file(source):
            # As in v1: what was made of one file's path is that file, not a folder with it.
            row["single"] = found[0].name
        if not is_here:
            return {**row, "snapshot": await self.snapshot(found, progress)}
        here = [[file.name, str(file.path)] for file in found]
        if place is not None and not place.is_file():
            place.mkdir(parents=True, exist_ok=True)
            return {**row, "place": str(place), "here": here}
        return {**row, "here": here}

    def files(self, item: DataInput) -> list[Found]:
        if item.kind != "reference":
            return self.stores.find(item.sources)
        source = item.sources[0]
        place = self.stores.path(source.datastore, source.path)
        return self.stores.find(item.sources) if place.exists() and has_files(place) else []

    def is_file(self, source: DataSource | None) -> bool:
        """Whether the source names a file, and not a folder or a pattern."""
        if source is None:
            return False
        if not source.datastore:
            return True
        path = source.path
        return "*" not in path and "?" not in path and (
            self.stores.path(source.datastore, path).is_file()
        )  # fmt: skip

    async def snapshot(self, found: Sequence[Found], progress: Progress) -> str:
        """Store the files and a manifest of them; its digest."""
        files: list[list[Any]] = []
        todo: list[Found] = []
        size = 0
        for file in found:
            todo.append(file)
            size += file.path.stat().st_size
            if size >= BATCH_BYTES:
                await progress(f"Storing the data: {len(files)} of {len(found)} files")
                files += await asyncio.to_thread(self.keep, todo)
                todo, size = [], 0
        files += await asyncio.to_thread(self.keep, todo)
        manifest = {"files": sorted(files), "folders": [], "links": []}
        bundles.check_manifest(manifest)
        canonical = bundles.canonical_bytes(manifest)
        digest = bundles.manifest_digest(canonical)
        store = Store(str(self.store))
        rundir.write_file(store.manifest_path(digest), canonical)
        store.close()
        return digest

    def keep(self, found: Sequence[Found]) -> list[list[Any]]:
        """Rows of a manifest for the files, which are in the store then."""
        store = Store(str(self.store))
        try:
            stamps = {str(f.path): stamp_of(f.path) for f in found}
            known = {
                path: kept[1]
                for path, stamp in stamps.items()
                if (kept := self.stored.get(path)) and kept[0] == stamp
            }
            gone = set(store.missing(list(known.values())))
            new = [p for p in stamps if p not in known or known[p] in gone]
            for path, (sha, _) in zip(new, store.add_files(new) if new else [], strict=True):
                known[path] = sha
                if stamp_of(Path(path)) == stamps[path]:
                    self.stored[path] = (stamps[path], sha)
            return [
                [f.name, 0, store.size_of(known[str(f.path)]), known[str(f.path)]] for f in found
            ]
        finally:
            store.close()


def stamp_of(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def has_files(place: Path) -> bool:
    return place.is_file() or any(p.is_file() for p in place.rglob("*"))
