"""Metrics of runs as TensorBoard's event files, written by TensorBoard's own writer."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from turnout.client.exceptions import UserErrorException
from turnout.client.experiment import Experiment
from turnout.client.http import Client, segment
from turnout.client.mlflow_runs import records_after
from turnout.client.run import Run
from turnout.payload import tracking
from turnout.spec.errors import NotFoundError

#: End of the names of our files: another export takes their place.
SUFFIX = ".turnout"
PNG = b"\x89PNG\r\n\x1a\n"
NUMBERS = (int, float)
#: (name, value, step, seconds since the epoch)
Scalar = tuple[str, float, int, float]


def export_to_tensorboard(
    run_data: tracking.Run | Iterable[tracking.Run] | Experiment,
    logdir: str | os.PathLike[str],
    logger: logging.Logger | None = None,
    recursive: bool = True,
) -> None:
    """Write what runs logged below `logdir`, a folder for each run, for TensorBoard to show.

    `run_data`: a run, several, or an experiment; children too with `recursive`. Numbers become
    scalars with their steps and times, PNG images images; texts are left out. An export of the
    same run replaces the one before. Raises `UserErrorException` where the `tensorboard` package
    is not installed.

    Example::

        export_to_tensorboard(run, "tb")
        Tensorboard([], local_root="tb").start()
    """
    say = (logger or logging.getLogger(__name__)).info
    for run in all_runs(run_data, recursive=recursive):
        folder = Path(logdir) / run.id
        scalars, images = write(run.experiment.workspace.client, run.id, folder)
        say("%s: %d values and %d images in %s", run.id, scalars, images, folder)


def all_runs(run_data: Any, *, recursive: bool) -> Iterator[Run]:
    """Each run once."""
    if isinstance(run_data, Experiment):
        yield from run_data.get_runs(include_children=recursive)
        return
    given: list[Any] = [run_data] if isinstance(run_data, tracking.Run) else list(run_data)
    seen: set[str] = set()
    for run in given:
        if not isinstance(run, Run):
            raise UserErrorException(
                f"A run of the workspace is needed here, not {type(run).__name__}."
            )
        for one in (run, *(run.get_children(recursive=True) if recursive else ())):
            if one.id not in seen:
                seen.add(one.id)
                yield one


def need_tensorboard() -> None:
    """Raises `UserErrorException` where there is no TensorBoard."""
    from importlib.util import find_spec

    if find_spec("tensorboard") is None:
        raise UserErrorException(
            "TensorBoard is not installed here. Install it: pip install 'turnout[tensorboard]'"
        )


def write(client: Client, run: str, folder: Path) -> tuple[int, int]:
    """One run's event file; the numbers of scalars and images in it."""
    need_tensorboard()
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    # Their classes are made at import: there are no types of them.
    events: Any = event_pb2
    summaries: Any = summary_pb2
    records, _ = records_after(client, run, 0)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"events.out.tfevents.*{SUFFIX}"):
        old.unlink()
    writer = EventFileWriter(str(folder), filename_suffix=SUFFIX)
    count = [0, 0]

    def add(name: str, step: int, at: float, **value: Any) -> None:
        summary = summaries.Summary(value=[summaries.Summary.Value(tag=name, **value)])
        writer.add_event(events.Event(wall_time=at, step=step, summary=summary))
        count["image" in value] += 1

    try:
        for name, value, step, at in scalars_of(records):
            add(name, step, at, simple_value=value)
        steps: dict[str, int] = {}
        for record in records:
            data = png_of(client, run, record)
            if data is None:
                continue
            name = record["name"]
            step = steps[name] = steps.get(name, -1) + 1
            width, height = struct.unpack(">II", data[16:24])
            image = summaries.Summary.Image(width=width, height=height, encoded_image_string=data)
            add(name, step, record["at"], image=image)
    finally:
        writer.close()
    return count[0], count[1]


def scalars_of(records: Iterable[dict[str, Any]]) -> Iterator[Scalar]:
    """The numbers among records; those of lists, rows and tables by name and column.

    >>> list(scalars_of([{"t": "row", "name": "fit", "at": 1.0, "value": {"mse": 2.0, "n": "a"}}]))
    [('fit/mse', 2.0, 0, 1.0)]
    """
    steps: dict[str, int] = {}
    for record in records:
        for name, value in named_values(record):
            if not isinstance(value, NUMBERS):
                continue
            step = record.get("step")
            if step is None:
                step = steps.get(name, 0)
                steps[name] = step + 1
            yield name, float(value), step, record["at"]


def named_values(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    kind, name, value = record["t"], record["name"], record.get("value")
    if kind == "metric":
        yield name, value
    elif kind == "list" and isinstance(value, list):
        yield from ((name, item) for item in value)
    elif kind in ("row", "table") and isinstance(value, dict):
        for column, cells in value.items():
            for cell in cells if isinstance(cells, list) else [cells]:
                yield f"{name}/{column}", cell


def png_of(client: Client, run: str, record: dict[str, Any]) -> bytes | None:
    """The image that was logged, if it is a PNG and came to the service already."""
    if record["t"] != "image" or not record["file"].lower().endswith(".png"):
        return None
    path = f"/v1/runs/{segment(run)}/files/{segment(record['file'])}"
    try:
        data = b"".join(client.stream(path))
    except NotFoundError:
        return None
    return data if data.startswith(PNG) and len(data) >= 24 else None
