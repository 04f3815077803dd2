"""Where a `Run` puts what it is told: the run folder of this process, or the terminal."""

from __future__ import annotations

import os
import time

from turnout.payload import rundir
from turnout.payload.values import TrackingError, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

#: Uploads of a child run lie below this, by the child's id.
CHILDREN = "children"


class Sink:
    """Takes the records and uploads of one run and of its children.

    Records are plain data as in docs/design/run-folder.md, their floats not encoded yet.
    """

    def write(self, record: Dict[str, Any]) -> None:
        raise NotImplementedError

    def put_file(self, name: str, source: Any, child: Optional[str] = None) -> None:
        """Store `source` (a path, or an open file) under a valid run-relative `name`."""
        raise NotImplementedError

    def read_records(self) -> List[Dict[str, Any]]:
        """Every record so far, in order."""
        raise NotImplementedError

    def file_names(self, child: Optional[str] = None) -> List[str]:
        raise NotImplementedError


class FolderSink(Sink):
    """The run folder. Safe to use from threads and forked processes: every record is one write."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def write(self, record: Dict[str, Any]) -> None:
        rundir.append_record(self.folder, encode(record))

    def put_file(self, name: str, source: Any, child: Optional[str] = None) -> None:
        goal = os.path.join(self.files_folder(child), *name.split("/"))
        temporary = os.path.join(
            self.folder, "upload.%d.%d.tmp" % (os.getpid(), time.monotonic_ns())
        )
        try:
            size = copy_into(temporary, source, name)
            try:
                os.makedirs(os.path.dirname(goal), mode=0o700, exist_ok=True)
                os.replace(temporary, goal)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                raise TrackingError(
                    "'%s' cannot be uploaded: part of its name is a file already, or it is a "
                    "folder." % name
                ) from None
        finally:
            rundir.remove_quietly(temporary)
        record: Dict[str, Any] = {"t": "file", "at": time.time(), "name": name, "size": size}
        if child:
            record["run"] = child
        self.write(record)

    def files_folder(self, child: Optional[str]) -> str:
        base = os.path.join(self.folder, rundir.FILES)
        return os.path.join(base, CHILDREN, child) if child else base

    def read_records(self) -> List[Dict[str, Any]]:
        import json

        found: List[Dict[str, Any]] = []
        offset = 0
        path = os.path.join(self.folder, rundir.RECORDS)
        while True:
            lines, end = rundir.read_complete_lines(path, offset)
            for line in lines:
                try:
                    record = json.loads(line.decode())
                except ValueError:
                    # The rest of a record that a full disk cut off.
                    continue
                if isinstance(record, dict):
                    found.append(decode(record))
            if end == offset:
                return found
            offset = end

    def file_names(self, child: Optional[str] = None) -> List[str]:
        base = self.files_folder(child)
        found: List[str] = []
        for folder, folders, files in os.walk(base):
            if folder == base and not child:
                folders[:] = [name for name in folders if name != CHILDREN]
            for file in files:
                path = os.path.relpath(os.path.join(folder, file), base)
                found.append(path.replace(os.sep, "/"))
        return sorted(found)


class FurtherSink(FolderSink):
    """A further process of a run: its files are kept, what it logs is printed. The first process's
    metrics are the run's, as the others would log the same once more. Children that a process
    began are its own, and so are their metrics."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.printed = PrintSink()

    def write(self, record: Dict[str, Any]) -> None:
        if record["t"] in PrintSink.KINDS and "run" not in record:
            self.printed.write(record)
        else:
            super().write(record)


def sink_of(folder: str) -> FolderSink:
    """Where this process of the run of `folder` puts what it is told."""
    further = os.environ.get(rundir.RANK_VARIABLE, "0") != "0"
    return FurtherSink(folder) if further else FolderSink(folder)


def copy_into(path: str, source: Any, name: str) -> int:
    """Write the content of `source` to `path`; return its size in bytes."""
    import shutil

    if hasattr(source, "read"):
        first = source.read(1 << 20)
        with open(path, "wb") as out:
            while first:
                out.write(first.encode() if isinstance(first, str) else first)
                first = source.read(1 << 20)
    else:
        if os.path.isdir(source):
            raise TrackingError(
                "'%s' is a folder; use upload_folder(name, path)." % os.fspath(source)
            )
        try:
            shutil.copyfile(source, path)
        except FileNotFoundError:
            raise TrackingError(
                "There is no file '%s' to upload as '%s'." % (os.fspath(source), name)
            ) from None
    return os.path.getsize(path)


class PrintSink(Sink):
    """Offline: says what would have been logged, and remembers it for `get_metrics`."""

    KINDS = {  # noqa: RUF012
        "metric": "scalar", "list": "list", "row": "row", "table": "table",
        "image": "image", "schema": "structured",
    }  # fmt: skip

    def __init__(self) -> None:
        self.records: List[Dict[str, Any]] = []
        self.names: List[str] = []

    def write(self, record: Dict[str, Any]) -> None:
        self.records.append(record)
        kind = record["t"]
        if kind in self.KINDS:
            value = record["file"] if kind == "image" else record["value"]
            print("Attempted to log %s metric %s:\n%s" % (self.KINDS[kind], record["name"], value))
        elif kind == "tags":
            print("Attempted to set tags:\n%s" % {**record.get("set", {})})
        elif kind == "model":
            print("Attempted to register model %s of %s" % (record["name"], record["path"]))
        elif kind == "properties":
            print("Attempted to add properties:\n%s" % (record["add"],))

    def put_file(self, name: str, source: Any, child: Optional[str] = None) -> None:
        if not hasattr(source, "read") and not os.path.isfile(source):
            raise TrackingError(
                "There is no file '%s' to upload as '%s'." % (os.fspath(source), name)
            )
        self.names.append(name)
        print("Attempted to upload file %s" % name)

    def read_records(self) -> List[Dict[str, Any]]:
        return list(self.records)

    def file_names(self, child: Optional[str] = None) -> List[str]:
        return sorted(set(self.names))
