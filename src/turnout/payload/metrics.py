"""Metrics: the calls that log them, and how their records add up to what is shown."""

from __future__ import annotations

import json
import os
import time

from turnout.payload.values import TrackingError, columns, items, label, plain, scalar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Optional, Set, Tuple


class MetricLog:
    """The logging half of `Run`: checks values and writes records."""

    def __init__(self) -> None:
        #: Whether a metric's values have steps. Plain dict operations only: a lock held at a
        #: fork would stay held in the child.
        self._steps: Dict[str, bool] = {}

    def _write(self, kind: str, description: Optional[str] = None, **fields: Any) -> None:
        raise NotImplementedError

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: Any = None) -> Any:
        raise NotImplementedError

    def log(
        self, name: str, value: Any, description: str = "", step: Optional[int] = None
    ) -> None:
        """Log a number or string; the same name again makes a series.

        `step`, once given for a name, is needed for every value of that name.
        """
        name = label(name, "log()")
        found = scalar(value, "The metric '%s'" % name)
        if step is not None:
            step = int(scalar(step, "The step of '%s'" % name))
        with_steps = step is not None
        if self._steps.setdefault(name, with_steps) != with_steps:
            raise TrackingError(
                "'%s' was logged %s a step before: give a step for all its values or for none."
                % (name, "without" if with_steps else "with")
            )
        self._write("metric", description, name=name, value=found, step=step)

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        """Log a list; any iterable, also a generator or an array."""
        name = label(name, "log_list()")
        found = items(value, "The metric '%s'" % name)
        self._write("list", description, name=name, value=found)

    def log_row(self, name: str, description: Optional[str] = None, **kwargs: Any) -> None:
        """Append a row; each keyword is a column: `log_row("fit", alpha=0.1, mse=0.3)`."""
        name = label(name, "log_row()")
        row = {k: scalar(v, "The column '%s' of '%s'" % (k, name)) for k, v in kwargs.items()}
        if not row:
            raise TrackingError("log_row('%s') needs at least one column: name=value." % name)
        self._write("row", description, name=name, value=row)

    def log_table(self, name: str, value: Any, description: str = "") -> None:
        """Log a table: a mapping of column names to scalars or lists, or a data frame."""
        name = label(name, "log_table()")
        self._write("table", description, name=name, value=columns(value, "The table '%s'" % name))

    def log_image(
        self, name: str, path: Any = None, plot: Any = None, description: str = ""
    ) -> None:
        """Log an image file (`path`), or a matplotlib figure or `pyplot` (`plot`)."""
        name = label(name, "log_image()")
        if (path is None) == (plot is None):
            raise TrackingError("log_image('%s') needs a path or a plot, one of the two." % name)
        safe = "".join(c if c.isalnum() or c in "-_. " else "_" for c in name).strip(". ")
        suffix = ".png" if path is None else os.path.splitext(os.fspath(path))[1]
        file = "%s_%d%s" % (safe or "image", time.time_ns(), suffix)
        if path is None:
            import io

            if not hasattr(plot, "savefig"):
                raise TrackingError(
                    "log_image('%s') takes a matplotlib figure or pyplot as plot, not %s."
                    % (name, type(plot).__name__)
                )
            buffer = io.BytesIO()
            plot.savefig(buffer, format="png")
            buffer.seek(0)
            path = buffer
        self.upload_file(file, path)
        self._write("image", description, name=name, file=file)

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:
        """Log `{"schema_type": "confusion_matrix", "schema_version", "data"}`, or its JSON."""
        self._log_schema("confusion_matrix", name, value, description)

    def log_accuracy_table(self, name: str, value: Any, description: str = "") -> None:
        """As `log_confusion_matrix`, with schema type "accuracy_table"."""
        self._log_schema("accuracy_table", name, value, description)

    def log_residuals(self, name: str, value: Any, description: str = "") -> None:
        """As `log_confusion_matrix`, with schema type "residuals"."""
        self._log_schema("residuals", name, value, description)

    def log_predictions(self, name: str, value: Any, description: str = "") -> None:
        """As `log_confusion_matrix`, with schema type "predictions"."""
        self._log_schema("predictions", name, value, description)

    def _log_schema(self, kind: str, name: str, value: Any, description: str) -> None:
        where = "log_%s('%s')" % (kind, label(name, "log_%s()" % kind))
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                raise TrackingError("%s was given text that is not JSON." % where) from None
        if not isinstance(value, dict) or not isinstance(value.get("data"), dict):
            raise TrackingError(
                "%s takes a mapping with 'schema_type', 'schema_version' and 'data'." % where
            )
        if value.get("schema_type", kind) != kind:
            raise TrackingError(
                "%s was given the schema type '%s'." % (where, value["schema_type"])
            )
        self._write("schema", description, name=name, value=plain(value, where))


def fold_metrics(records: Iterable[Dict[str, Any]], run: Optional[str] = None) -> Dict[str, Any]:
    """What `get_metrics` shows for the decoded metric records of `run` (None: the run itself).

    A name logged again becomes a list; the columns of rows and tables grow likewise.
    """
    found: Dict[str, Any] = {}
    # Lists that were made here, by name and column: only those may be added to.
    own: Set[Tuple[str, Optional[str]]] = set()
    for record in records:
        kind = record.get("t")
        if record.get("run") != run or kind not in FOLDED:
            continue
        name = record["name"]
        value = record["file"] if kind == "image" else record["value"]
        if kind in ("row", "table") and isinstance(found.get(name), dict):
            for column, cell in value.items():
                grow(found[name], column, cell, own, (name, column))
        elif kind == "list" and name not in found:
            found[name] = list(value)
        else:
            grow(found, name, value, own, (name, None))
    return found


def grow(
    held: Dict[str, Any], key: str, more: Any, own: Set[Tuple[str, Optional[str]]],
    mark: Tuple[str, Optional[str]],
) -> None:  # fmt: skip
    """Set the value of `key`, or make it a list with `more` behind what it has."""
    if key not in held:
        held[key] = more
        return
    if mark not in own:
        own.add(mark)
        held[key] = list(held[key]) if isinstance(held[key], list) else [held[key]]
    if isinstance(more, list):
        held[key].extend(more)
    else:
        held[key].append(more)


FOLDED = ("metric", "list", "row", "table", "image", "schema")
