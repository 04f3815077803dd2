"""A bundle back into a folder: `run restore`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from turnout.spec.errors import ConflictError, SnapshotError


def restore(chunks: Iterable[bytes], into: Path) -> int:
    """Lay the snapshot in the bundle `chunks` out as the new folder `into`; how many files.

    `into` must not exist, or be an empty folder. It appears whole or not at all.
    Raises `ConflictError` when there is something already, `SnapshotError` on a damaged bundle.
    """
    # Late: the store brings sqlite3, tempfile brings random; a submission needs neither.
    import tempfile  # noqa: PLC0415

    from turnout.payload import trees  # noqa: PLC0415
    from turnout.payload.store import Store, StoreError  # noqa: PLC0415

    into = into.absolute()
    if into.is_symlink() or (into.exists() and not is_empty_folder(into)):
        raise ConflictError(f"'{into}' exists already. Name a new or an empty folder.")
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        # Beside the goal, so that the last step is a rename within one file system.
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=into.parent) as name:
            folder = Path(name)
            store = Store(folder / "store")
            try:
                ingest = store.ingest()
                for chunk in chunks:
                    ingest.feed(chunk)
                taken = ingest.finish()
                if taken.digest is None:
                    raise SnapshotError("The bundle holds no snapshot.")
                work, record = str(folder / "work"), str(folder / "record")
                trees.lay_out(store, taken.digest, work, record, str(folder / "trees"))
            finally:
                store.close()
            (folder / "work").replace(into)
            return taken.files
    except StoreError as error:
        raise SnapshotError(f"The snapshot cannot be restored: {error}") from error
    except OSError as error:
        raise SnapshotError(f"Cannot write to '{into}': {error.strerror}.") from error


def is_empty_folder(path: Path) -> bool:
    return path.is_dir() and next(path.iterdir(), None) is None
