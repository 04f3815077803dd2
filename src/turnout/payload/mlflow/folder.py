"""The run around a script and its children, read from the run folder; no service is asked."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import threading
import time

from turnout.payload import rundir
from turnout.payload.mlflow.runs import NUMBERS, PARAMETER, Runs, View, outside
from turnout.payload.models import asked
from turnout.payload.sinks import CHILDREN, sink_of
from turnout.payload.tracking import current_run
from turnout.payload.values import TrackingError, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Optional, Tuple

OUTPUTS = "outputs"


class FolderRuns(Runs):
    """Reads `records.jsonl` as it grows. Threads and forked processes may share it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.around = os.environ[rundir.RUN_ID_VARIABLE]
        self.name = os.environ.get(rundir.EXPERIMENT_VARIABLE) or "default"
        self.sink = sink_of(folder)
        self.forget()

    def forget(self) -> None:
        self.pid = os.getpid()
        # After a fork the parent's lock may be held, and for ever.
        self.lock = threading.Lock()
        self.offset = 0
        run = current_run(True)
        view = View(run.id, self.name, run.name, None)
        view.tags = run.get_tags()
        # Parameters of the attempt before must not stop this one, where they may be others.
        given = run.get_properties().items()
        view.properties = {k: v for k, v in given if not k.startswith(PARAMETER)}
        view.user = user_name()
        status = rundir.read_mapping(os.path.join(self.folder, rundir.STATUS))
        view.started = int(1000 * (status.get("started_at") or time.time()))
        self.known = {run.id: view}
        #: What is to be registered when the run is over, by run, name and path.
        self.asked: Dict[Tuple[str, str, str], Dict[str, Any]] = {}

    def look(self) -> Dict[str, View]:
        """All runs, with what was written by now."""
        if self.pid != os.getpid():
            self.forget()
        with self.lock:
            path = os.path.join(self.folder, rundir.RECORDS)
            while True:
                lines, end = rundir.read_complete_lines(path, self.offset)
                for line in lines:
                    self.take(line)
                if end == self.offset:
                    return dict(self.known)
                self.offset = end

    def take(self, line: bytes) -> None:
        try:
            record = decode(json.loads(line.decode()))
            view = self.known[record.get("run") or str(self.around)]
            if record["t"] == "child":
                self.add_child(view, record)
            elif record["t"] == "model":
                self.add_asked(view.id, record)
            else:
                apply(view, record, view.id != self.around)
        except (ValueError, KeyError, TypeError, AttributeError):
            # The rest of a record that a full disk cut off, or one of another's making.
            return

    def add_child(self, parent: View, record: Dict[str, Any]) -> None:
        child = View(record["id"], self.name, record.get("name") or record["id"], parent.id)
        child.started = int(1000 * record["at"])
        child.user = parent.user
        child.tags = dict(record.get("tags") or {})
        self.known.setdefault(child.id, child)

    def add_asked(self, run: str, record: Dict[str, Any]) -> None:
        """Asked for again, it is the same one: so the service takes it, too."""
        key = (run, record["name"], record["path"])
        same = [k for k in self.asked if k[1] == key[1]]
        self.asked[key] = {
            "name": record["name"],
            "version": self.asked[key]["version"] if key in self.asked else len(same) + 1,
            "run": run,
            "path": record["path"],
            "uri": "turnout://artifacts/%s/%s" % (outside(run), record["path"]),
            "tags": record.get("tags") or {},
            "description": record.get("description") or "",
            "at": int(1000 * record["at"]),
        }

    # -- experiments: a script has one ------------------------------------------------------------

    def experiments(self) -> List[Dict[str, Any]]:
        return [{"name": self.name, "created_at": None, "tags": {}, "archived": False}]

    def experiment(self, name: str) -> Optional[Dict[str, Any]]:
        return self.experiments()[0]

    def change_experiment(self, name: str, **change: Any) -> None:
        raise TrackingError(
            "A script logs to the experiment that its run is part of ('%s') and cannot change it."
            % self.name
        )

    # -- runs -------------------------------------------------------------------------------------

    def begin(self, experiment: str, parent: Optional[str], name: Optional[str]) -> str:
        above = parent if parent in self.look() else str(self.around)
        child = "%s_%s" % (above, os.urandom(4).hex())
        self.write(str(above), [{"t": "child", "id": child, "name": name or child}])
        return child

    def view(self, run: str) -> View:
        return self.look()[run]

    def views(self, experiment: str) -> List[View]:
        return list(self.look().values()) if experiment == self.name else []

    def write(self, run: str, records: Iterable[Dict[str, Any]]) -> None:
        for record in records:
            record = {"at": time.time(), **record}
            if run != self.around:
                record["run"] = run
            self.sink.write(record)
            if run == self.around:
                remember(record)

    # -- files ------------------------------------------------------------------------------------

    def places(self, run: str) -> Dict[str, str]:
        """Folders by the beginning of the names of their files."""
        base = self.sink.files_folder(None if run == self.around else run)
        outputs = os.path.join(self.folder, rundir.WORK, OUTPUTS)
        return {"": base, OUTPUTS + "/": outputs} if run == self.around else {"": base}

    def files(self, run: str) -> Dict[str, int]:
        found: Dict[str, int] = {}
        for prefix, base in reversed(list(self.places(run).items())):
            for folder, folders, names in os.walk(base):
                if folder == base and not prefix and run == self.around:
                    folders[:] = [name for name in folders if name != CHILDREN]
                for name in names:
                    path = os.path.join(folder, name)
                    if os.path.isfile(path):
                        inner = os.path.relpath(path, base).replace(os.sep, "/")
                        found[prefix + inner] = os.path.getsize(path)
        return found

    # -- models -----------------------------------------------------------------------------------

    def models(self, name: Optional[str]) -> List[Dict[str, Any]]:
        self.look()
        found = [dict(x) for x in self.asked.values() if name in (None, x["name"])]
        return sorted(found, key=lambda x: -x["version"])

    def add_model(
        self, name: str, run: str, path: str, tags: Dict[str, Any], description: Optional[str]
    ) -> Dict[str, Any]:
        files = self.files(run)
        if path not in files and not any(file.startswith(path + "/") for file in files):
            raise TrackingError("Run '%s' has no file or folder '%s' to register." % (run, path))
        self.ask(run, name, path, tags, description)
        return next(x for x in self.models(name) if (x["run"], x["path"]) == (run, path))

    def ask(
        self, run: str, name: str, path: str, tags: Dict[str, Any], description: Optional[str]
    ) -> None:
        record = asked(name, path, tags, None, None, None, description, {})
        self.write(run, [{"t": "model", **record}])

    def change_model(
        self, model: Dict[str, Any], set: Optional[Dict[str, Any]] = None,
        remove: Iterable[str] = (), description: Optional[str] = None,
    ) -> None:  # fmt: skip
        tags = {k: v for k, v in model["tags"].items() if k not in remove}
        said = model["description"] if description is None else description
        self.ask(model["run"], model["name"], model["path"], {**tags, **(set or {})}, said)

    def delete_model(self, model: Dict[str, Any]) -> None:
        raise TrackingError(
            "The model '%s' is registered when the run is over; delete it then." % model["name"]
        )

    def put_file(self, run: str, name: str, path: str) -> None:
        self.sink.put_file(name, path, None if run == self.around else run)

    def fetch(self, run: str, name: str, path: str) -> None:
        for prefix, base in self.places(run).items():
            there = os.path.join(base, *name[len(prefix) :].split("/"))
            if name.startswith(prefix) and os.path.isfile(there):
                shutil.copyfile(there, path)
                return
        raise KeyError(name)


def apply(view: View, record: Dict[str, Any], is_child: bool) -> None:
    """One record, as the service will take it in."""
    kind = record["t"]
    if kind == "metric" and isinstance(record["value"], NUMBERS):
        view.metrics.append(record)
    elif kind == "tags":
        for name in record.get("remove") or ():
            view.tags.pop(name, None)
        view.tags.update(record.get("set") or {})
    elif kind == "properties":
        view.properties = {**(record.get("add") or {}), **view.properties}
    elif kind == "display_name":
        view.name = record["value"]
    elif kind == "description":
        view.description = record["value"]
    elif kind == "state" and is_child and view.ended is None:
        view.state = record["state"]
        if view.state in ("completed", "failed", "canceled"):
            view.ended = int(1000 * record["at"])


def remember(record: Dict[str, Any]) -> None:
    """Let the script's `Run` know what MLflow wrote to it."""
    run = current_run(True)
    run._tags.update(record.get("set") or {})
    for name in record.get("remove") or ():
        run._tags.pop(name, None)
    run._properties.update(record.get("add") or {})


def user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""  # A container without a name for its user.
