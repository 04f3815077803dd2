"""Waits for a run and prints what it prints, as v1 does, from pushed events."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from turnout.client.events import NOTHING, follow
from turnout.client.http import Client

#: What exactly the environment holds, and what the run uses: kept with it, nothing to watch.
SILENT = ("azureml-logs/25_environment_lock.txt", "azureml-logs/80_usage.jsonl")
#: Part of the names of TensorBoard's files, which are no text.
EVENTS = ".tfevents."
LOGS = (
    "azureml-logs/20_image_build_log.txt",
    "azureml-logs/60_control_log.txt",
    "azureml-logs/70_driver_log.txt",
    *SILENT,
)


def wait(client: Client, run: str) -> dict[str, Any]:
    """The run in its final state."""
    for event in follow(client, run, dict.fromkeys(LOGS, NOTHING)):
        if event.kind == "end":
            return event.data
    raise AssertionError("a stream of events ends with its end")


def show(client: Client, run: str, out: TextIO | None = None) -> dict[str, Any]:
    """As `wait`, printing every log under its name as it grows, then a summary."""
    stream: TextIO = sys.stdout if out is None else out
    say(stream, f"RunId: {run}\n\n")
    current = ""
    at_line_start = True
    for event in follow(client, run, dict.fromkeys(SILENT, NOTHING)):
        if event.kind == "log":
            name, text = event.data["name"], event.data["text"]
            if EVENTS in name:
                continue
            if name != current:
                current = name
                title = f"Streaming {name}"
                say(stream, ("" if at_line_start else "\n") + f"{title}\n{'=' * len(title)}\n\n")
            say(stream, text)
            at_line_start = text.endswith("\n")
        elif event.kind == "end":
            say(stream, ("" if at_line_start else "\n") + summary(event.data))
            return event.data
    raise AssertionError("a stream of events ends with its end")


def say(out: TextIO, text: str) -> None:
    try:
        out.write(text)
    except UnicodeEncodeError:
        # A terminal that is not UTF-8 shows what it can.
        encoding = out.encoding or "ascii"
        out.write(text.encode(encoding, "replace").decode(encoding))
    out.flush()


def summary(run: dict[str, Any]) -> str:
    """
    >>> print(summary({"id": "exp_1", "warnings": [], "error": None}))
    <BLANKLINE>
    Execution Summary
    =================
    RunId: exp_1
    <BLANKLINE>
    """
    text = f"\nExecution Summary\n=================\nRunId: {run['id']}\n"
    if run.get("warnings"):
        text += f"\nWarnings:\n{json.dumps(run['warnings'], indent=2)}\n"
    if run.get("error"):
        text += f"\nError:\n{json.dumps(run['error'], indent=2)}\n"
    return text
