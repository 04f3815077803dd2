"""`Run` as a script sees it: the live run around this process, or an offline one that prints.

Standard library only; docs/design/run-folder.md says what is written where.
"""

from __future__ import annotations

import json
import os
import time

from turnout.payload import rundir
from turnout.payload.metrics import MetricLog, fold_metrics
from turnout.payload.outside import ScriptExperiment
from turnout.payload.sinks import FolderSink, PrintSink, Sink, sink_of
from turnout.payload.values import (
    RunEnvironmentException,
    TrackingError,
    file_name,
    label,
    texts,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Sequence

    from turnout.payload.inputs import InputDatasets

__all__ = ["Run", "RunEnvironmentException", "TrackingError"]

#: JSON that the service may add for the script: tags, properties, display_name, number.
INFO_VARIABLE = "TURNOUT_RUN_INFO"


class Run(MetricLog):
    """The run that this script is part of.

    Example::

        from turnout import Run

        run = Run.get_context()
        run.log("mse", 0.3)
        run.upload_file("outputs/model.pkl", "model.pkl")

    Raises `TrackingError` (a ValueError) for what cannot be logged; nothing is then written.
    Methods may be called from threads and forked processes. Without a run around, calls print.
    """

    def __init__(
        self, experiment: Any, run_id: str, outputs: Optional[str] = None, **kwargs: Any
    ) -> None:
        super().__init__()
        self._experiment = experiment
        self._id = run_id
        self._sink: Optional[Sink] = kwargs.pop("_sink", None)
        #: None for the run itself, its id for a child: what `run` in its records says.
        self._child: Optional[str] = run_id if kwargs.pop("_is_child", False) else None
        self._parent: Optional[Run] = kwargs.pop("_parent", None)
        self._name: str = kwargs.pop("_name", None) or run_id
        self._description = ""
        self._number = 0
        self._attempt = 1
        self._status = "Running"
        self._tags: Dict[str, Optional[str]] = {}
        self._properties: Dict[str, Optional[str]] = {}
        self._children: List[Run] = []
        self._outputs = outputs

    # -- which run ------------------------------------------------------------------------------

    @classmethod
    def get_context(
        cls, allow_offline: bool = True, used_for_context_manager: bool = False, **kwargs: Any
    ) -> Run:
        """The run around this process; the same object at every call.

        Without one, an offline run whose calls print. Raises `RunEnvironmentException` instead
        with `allow_offline=False`, and when the run's folder is out of reach.
        """
        return current_run(allow_offline)

    @classmethod
    def get_submitted_run(cls, **kwargs: Any) -> Run:
        """Old name of `get_context`."""
        return current_run(True)

    @property
    def id(self) -> str:
        return self._id

    @property
    def _run_id(self) -> str:
        # Private in v1, and used.
        return self._id

    @property
    def name(self) -> str:
        return self._name

    @property
    def display_name(self) -> str:
        return self._name

    @display_name.setter
    def display_name(self, value: str) -> None:
        self._name = label(value, "A run")
        self._write("display_name", value=self._name)

    @property
    def description(self) -> str:
        return self._description

    @description.setter
    def description(self, value: str) -> None:
        self._description = str(value or "")
        self._write("description", value=self._description)

    @property
    def number(self) -> int:
        return self._number

    @property
    def attempt(self) -> int:
        """Which try at the run this is, from 1. What the one before left in `outputs` is there."""
        return self._attempt

    @property
    def type(self) -> str:
        return "azureml.scriptrun" if self._child is None else "sdk"

    @property
    def experiment(self) -> Any:
        return self._experiment

    @property
    def status(self) -> str:
        return self._status

    @property
    def parent(self) -> Optional[Run]:
        return self._parent

    @property
    def tags(self) -> Dict[str, Optional[str]]:
        return self.get_tags()

    @property
    def properties(self) -> Dict[str, Optional[str]]:
        return self.get_properties()

    def get_status(self) -> str:
        return self.status

    def get_details(self) -> Dict[str, Any]:
        """What is known in the script: runId, status, properties, tags."""
        return {
            "runId": self.id,
            "status": self.status,
            "properties": self.get_properties(),
            "tags": self.get_tags(),
        }

    def __repr__(self) -> str:
        return "Run(Experiment: %s,\nId: %s,\nType: %s,\nStatus: %s)" % (
            self.experiment.name, self.id, self.type, self.status,
        )  # fmt: skip

    def get_metrics(
        self, name: Optional[str] = None, recursive: bool = False,
        run_type: Optional[str] = None, populate: bool = False,
    ) -> Dict[str, Any]:  # fmt: skip
        """What was logged so far: `{name: value or list}`; by run id with `recursive`."""
        records = self._need_sink().read_records()
        whose = [self, *self.get_children(recursive=True)] if recursive else [self]
        found = {run.id: fold_metrics(records, run._child) for run in whose}
        if name is not None:
            found = {k: {n: v for n, v in m.items() if n == name} for k, m in found.items()}
        return found if recursive else found[self.id]

    def get_secret(self, name: str) -> Optional[str]:
        """A secret of the workspace, on the machine of the service; None when there is none."""
        return self.experiment.workspace.get_default_keyvault().get_secret(name)

    def get_secrets(self, secrets: Sequence[str]) -> Dict[str, Optional[str]]:
        return {name: self.get_secret(name) for name in secrets}

    @property
    def input_datasets(self) -> InputDatasets:
        """What the run was given to read, by name: a path, or a table."""
        from turnout.payload.inputs import InputDatasets

        return InputDatasets(self._data()["inputs"])

    @property
    def output_datasets(self) -> Dict[str, str]:
        """Folders that the run writes to, by name."""
        return dict(self._data()["outputs"])

    def _data(self) -> Dict[str, Any]:
        from turnout.payload.inputs import load

        return load(getattr(self._sink, "folder", ""))

    # -- files ----------------------------------------------------------------------------------

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: Any = None) -> Any:
        """Keep a file with the run under `name`, such as "outputs/model.pkl".

        `path_or_stream` is a path or an open file. A file of that name is replaced.
        """
        self._need_sink().put_file(file_name(name), path_or_stream, self._child)

    def upload_files(
        self, names: Sequence[str], paths: Sequence[Any], return_artifacts: bool = False,
        timeout_seconds: Optional[int] = None, datastore_name: Any = None,
    ) -> None:  # fmt: skip
        """`upload_file` for each pair."""
        if len(names) != len(paths):
            raise TrackingError(
                "upload_files() needs as many names as paths: %d and %d."
                % (len(names), len(paths))
            )
        for name, path in zip(names, paths):
            self.upload_file(name, path)

    def upload_folder(self, name: str, path: Any, datastore_name: Any = None) -> None:
        """`upload_file` for every file below `path`, named `name`/…"""
        name = file_name(str(name).rstrip("/"))
        if not os.path.isdir(path):
            raise TrackingError("There is no folder '%s' to upload." % os.fspath(path))
        for folder, _, files in os.walk(path):
            for file in sorted(files):
                full = os.path.join(folder, file)
                inside = os.path.relpath(full, path).replace(os.sep, "/")
                self.upload_file("%s/%s" % (name, inside), full)

    def get_file_names(self) -> List[str]:
        """Names of the files uploaded so far."""
        return self._need_sink().file_names(self._child)

    def register_model(
        self, model_name: str, model_path: Optional[str] = None, tags: Any = None,
        properties: Any = None, model_framework: Optional[str] = None,
        model_framework_version: Optional[str] = None, description: Optional[str] = None,
        datasets: Any = None, sample_input_dataset: Any = None, sample_output_dataset: Any = None,
        resource_configuration: Any = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Make a model of a file or folder of the run, such as "outputs/model.pkl" (default: of
        what is named as the model). In a script that is done when the run is over and its files
        are collected; a path that is not there then is a warning of the run."""
        from turnout.payload import models

        details = models.split({
            **kwargs, "datasets": datasets, "sample_input_dataset": sample_input_dataset,
            "sample_output_dataset": sample_output_dataset,
            "resource_configuration": resource_configuration,
        })  # fmt: skip
        record = models.asked(
            model_name, model_path, tags, properties, model_framework, model_framework_version,
            description, details,
        )  # fmt: skip
        return self._register(record)

    def _register(self, record: Dict[str, Any]) -> Any:
        from turnout.payload import models

        self._write("model", **record)
        return models.AskedModel(record, self)

    # -- tags and properties --------------------------------------------------------------------

    def tag(self, key: str, value: Any = None) -> None:
        """Set one tag. Values become text; None is a tag without a value."""
        self.set_tags({key: value})

    def set_tags(self, tags: Dict[str, Any]) -> None:
        """Set several tags at once; others stay."""
        found = texts(tags, "Tags")
        self._write("tags", set=found)
        self._tags.update(found)

    def remove_tags(self, tags: Any) -> None:
        """Remove a tag, or several by a list of their keys."""
        keys = [tags] if isinstance(tags, str) else [label(t, "A tag") for t in tags]
        self._write("tags", remove=keys)
        for key in keys:
            self._tags.pop(key, None)

    def get_tags(self) -> Dict[str, Optional[str]]:
        return dict(self._tags)

    def add_properties(self, properties: Dict[str, Any]) -> None:
        """Add properties. They never change: another value for a known key is an error."""
        found = texts(properties, "Properties")
        held = self._properties
        for key, value in found.items():
            if held.get(key, value) != value:
                raise TrackingError(
                    "The property '%s' is '%s' and cannot be changed to '%s'."
                    % (key, held[key], value)
                )
        self._write("properties", add=found)
        held.update(found)

    def get_properties(self) -> Dict[str, Optional[str]]:
        return dict(self._properties)

    # -- children -------------------------------------------------------------------------------

    def child_run(
        self, name: Optional[str] = None, run_id: Optional[str] = None,
        outputs: Optional[str] = None,
    ) -> Run:  # fmt: skip
        """Begin a child run; the script ends it by `complete()`, or a `with` block does.

        Its id is this run's and `run_id` (or something random) behind it.
        """
        return self._begin_child(name, run_id, {})

    def create_children(
        self, count: Optional[int] = None, tag_key: Optional[str] = None, tag_values: Any = None
    ) -> List[Run]:
        """Begin `count` children, or one for each of `tag_values`, tagged by `tag_key`."""
        if (count is None) == (tag_key is None and tag_values is None):
            raise TrackingError("create_children() takes count, or tag_key and tag_values.")
        if count is not None:
            return [self._begin_child(None, None, {}) for _ in range(count)]
        if tag_key is None or tag_values is None:
            raise TrackingError("create_children() needs tag_key and tag_values together.")
        return [self._begin_child(None, None, {tag_key: value}) for value in tag_values]

    def _begin_child(
        self, name: Optional[str], run_id: Optional[str], tags: Dict[str, Any]
    ) -> Run:
        # A child's id begins with its parent's: the service takes no other from a script.
        child_id = run_id or os.urandom(4).hex()
        if not child_id.startswith(self.id + "_"):
            child_id = "%s_%s" % (self.id, child_id)
        if not rundir.HANDLE.fullmatch(child_id):
            raise TrackingError("'%s' cannot be the id of a run." % child_id)
        found = texts(tags, "Tags")
        child = Run(
            self.experiment, child_id, _sink=self._need_sink(), _is_child=True, _parent=self,
            _name=name,
        )  # fmt: skip
        child._tags = found
        self._write("child", id=child_id, name=child.name, tags=found)
        self._children.append(child)
        return child

    def get_children(
        self, recursive: bool = False, tags: Any = None, properties: Any = None,
        type: Optional[str] = None, status: Optional[str] = None, _rehydrate_runs: bool = True,
    ) -> List[Run]:  # fmt: skip
        """The children begun by this process, newest first."""
        found: List[Run] = []
        for child in reversed(self._children):
            if has_all(child.get_tags(), tags) and status in (None, child.status):
                found.append(child)
            if recursive:
                found.extend(child.get_children(True, tags, properties, type, status))
        return found

    # -- states ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Mark a child as running. The run itself runs already."""
        self._set_state("running", "Running")

    def complete(self, _set_status: bool = True) -> None:
        """End a child well. The run itself ends with its script, whose exit code decides."""
        self._set_state("completed", "Completed")

    def fail(
        self, error_details: Any = None, error_code: Any = None, _set_status: bool = True
    ) -> None:
        """Mark the run as failed, with a reason; a script run stays failed whatever its exit."""
        error = {"code": str(error_code or "UserError"), "message": error_text(error_details)}
        self._set_state("failed", "Failed", error)

    def cancel(self) -> None:
        """Cancel a child. The run itself cannot: end the script, or call `fail`."""
        if self._child is None and isinstance(self._sink, FolderSink):
            raise TrackingError("A script cannot cancel its own run: end it, or call fail().")
        self._set_state("canceled", "Canceled")

    def clean(self) -> None:
        """Nothing lies on this machine that was the run's alone."""

    def flush(self, timeout_seconds: int = 300) -> None:
        """Nothing waits: every call above writes before it returns."""

    def _set_state(self, state: str, status: str, error: Any = None) -> None:
        self._write("state", state=state, error=error)
        self._status = status

    def __enter__(self) -> Run:
        return self

    def __exit__(self, exit_type: Any, value: Any, traceback: Any) -> None:
        if exit_type is None:
            self.complete()
        else:
            self.fail("%s: %s" % (exit_type.__name__, value))

    # -- below ----------------------------------------------------------------------------------

    def _need_sink(self) -> Sink:
        if self._sink is None:
            raise TrackingError("The run '%s' is not one that this process logs to." % self._id)
        return self._sink

    def _write(self, kind: str, description: Optional[str] = None, **fields: Any) -> None:
        record: Dict[str, Any] = {"t": kind, "at": time.time()}
        if self._child:
            record["run"] = self._child
        record.update((k, v) for k, v in fields.items() if v is not None)
        if description:
            record["description"] = str(description)
        self._need_sink().write(record)


class OfflineRun(Run):
    """What `Run.get_context` gives without a run around: v1's `_OfflineRun`, which scripts ask
    for by `isinstance` and by type."""


def error_text(details: Any) -> str:
    if isinstance(details, BaseException):
        return "%s: %s" % (type(details).__name__, details)
    return "" if details is None else str(details)


def has_all(held: Dict[str, Optional[str]], wanted: Any) -> bool:
    """Whether `held` has the name `wanted`, or every pair of the mapping `wanted`."""
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return wanted in held
    return all(k in held and (v is None or held[k] == str(v)) for k, v in wanted.items())


_current: Dict[str, Run] = {}


def current_run(allow_offline: bool) -> Run:
    """The run that the environment variables name, made once; else an offline one."""
    folder = os.environ.get(rundir.RUN_FOLDER_VARIABLE, "")
    run_id = os.environ.get(rundir.RUN_ID_VARIABLE, "")
    experiment = ScriptExperiment(os.environ.get(rundir.EXPERIMENT_VARIABLE, ""))
    if folder and run_id:
        if folder not in _current:
            if not os.path.isdir(folder):
                raise RunEnvironmentException(
                    "The folder of run '%s' is not there: %s. Is it mounted into the container?"
                    % (run_id, folder)
                )
            made = Run(experiment, run_id, _sink=sink_of(folder))
            add_info(made)
            _current.setdefault(folder, made)
        return _current[folder]
    if not allow_offline:
        raise RunEnvironmentException(
            "No run is around this script. Submit it ('turnout submit SCRIPT'), or call "
            "Run.get_context() without allow_offline=False to have its metrics printed."
        )
    if "" not in _current:
        text = os.urandom(16).hex()
        run_id = "OfflineRun_%s" % "-".join(
            (text[:8], text[8:12], text[12:16], text[16:20], text[20:])
        )
        _current.setdefault("", OfflineRun(ScriptExperiment("offline"), run_id, _sink=PrintSink()))
    return _current[""]


def add_info(run: Run) -> None:
    """What was told about the run at its start."""
    attempt = os.environ.get(rundir.ATTEMPT_VARIABLE, "")
    run._attempt = int(attempt) if attempt.isdecimal() else 1
    try:
        info = json.loads(os.environ.get(INFO_VARIABLE, "") or "{}")
    except ValueError:
        return
    run._tags.update(info.get("tags") or {})
    run._properties.update(info.get("properties") or {})
    run._name = info.get("display_name") or run._name
    run._number = info.get("number") or 0
