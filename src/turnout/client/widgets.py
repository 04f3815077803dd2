"""`RunDetails`: a run that a notebook watches while it goes on, below the cell that asked for it.

Two threads for each run that is shown and goes on, whatever the number of cells: one hears what
the service pushes, one paints. Both are daemons, end with the run, and never print.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import replace
from typing import Any

from turnout.client import events
from turnout.client.http import segment
from turnout.client.run_picture import TAIL, RunPicture, describe, render, utc_now
from turnout.client.watching import SILENT
from turnout.payload import values
from turnout.spec.errors import TurnoutError

#: Seconds between two pictures, and between two looks at metrics and children, which are not
#: pushed. A run that logs faster is shown at this pace.
PACE_S, LOOK_S = 0.25, 1.0
#: How much longer than it paints it rests, so that the kernel stays free for its cells.
REST = 4
#: How long the end of a wait gives the last picture, in seconds.
SETTLE_S = 20.0
DRIVER_LOG = "azureml-logs/70_driver_log.txt"
#: Children asked for: the picture names the newest of them.
CHILDREN = 100

_lock = threading.Lock()
_live: dict[str, LiveRun] = {}


class RunDetails:
    """Shows a run and keeps the picture up to date until the run ends.

    Example::

        run = experiment.submit(config)
        RunDetails(run).show()

    In a notebook `show` returns at once and the picture goes on changing below its cell: state and
    what is waited for, duration, metrics, child runs and the end of the log. The last picture
    stays in the notebook. An interrupt of the kernel ends the watching, not the run; `show` again
    shows it anew. Elsewhere `show` prints a few lines.
    """

    def __init__(self, run_instance: Any) -> None:
        if not hasattr(run_instance, "id") or not hasattr(run_instance, "refresh"):
            raise TypeError(
                "RunDetails() takes a run of the workspace, as experiment.submit() gives it, "
                f"not {type(run_instance).__name__}."
            )
        self.run = run_instance

    def show(self, render_lib: Any = None, widget_settings: Any = None) -> None:
        """Show the run as it is now, and in a notebook from now on. v1's two arguments are taken
        and have no effect."""
        picture = look(self.run)
        publish = notebook()
        if publish is None:
            print(describe(picture))
            return
        display = os.urandom(16).hex()
        publish(picture, display, False)
        if not picture.is_over:
            watch(self.run, display, publish, picture)

    def get_widget_data(self, widget_settings: Any = None) -> dict[str, Any]:
        """What the picture is made of: `{"status", "run_id", "run_properties", "child_runs",
        "run_metrics", "run_logs"}`."""
        picture = look(self.run)
        view = picture.view
        log = b"".join(self.run._client.stream(f"{path_of(view['id'])}/logs/{DRIVER_LOG}"))
        return {
            "status": view["status"],
            "run_id": view["id"],
            "run_properties": {
                "run_id": view["id"],
                "status": view["status"],
                "created_utc": view["created_at"],
                "start_utc": view["started_at"],
                "end_utc": view["ended_at"],
                "tags": view["tags"],
                "properties": view["properties"],
            },
            "child_runs": [
                {"run_id": c["id"], "run_name": c["display_name"], "status": c["status"]}
                for c in picture.children
            ],
            "run_metrics": [{"name": k, "series": v} for k, v in picture.metrics.items()],
            "run_logs": log.decode(errors="replace"),
        }


class LiveRun:
    """One run that is watched, and the places where it is shown."""

    def __init__(self, run: Any, picture: RunPicture) -> None:
        self.run = run
        self.picture = picture
        self.places: dict[str, Any] = {}
        self.logs: dict[str, str] = {}
        self.lock = threading.Lock()
        self.news = threading.Event()
        self.stopped = False
        #: Nothing more is heard: the run ended, or its watching.
        self.ended = threading.Event()
        self.painter = threading.Thread(target=self.paint, name="turnout-picture", daemon=True)
        self.hearer = threading.Thread(target=self.hear, name="turnout-events", daemon=True)

    def stop(self, why: str) -> None:
        """Paint once more, with the reason, and then never again."""
        with self.lock:
            self.picture = replace(self.picture, problem=why)
        # The hearer ends with the next event: nothing can wake it, and it does nothing more.
        self.ended.set()
        self.news.set()

    # -- hearing --------------------------------------------------------------------------------

    def hear(self) -> None:
        offsets: dict[str, int] = dict.fromkeys(SILENT, events.NOTHING)
        stream = events.follow(self.run._client, self.run.id, offsets)
        try:
            for event in stream:
                with self.lock:
                    if self.ended.is_set():
                        return
                    self.take(event)
                self.news.set()
        except Exception as e:
            # Whatever it was, a picture that no longer changes says so.
            with self.lock:
                self.picture = replace(self.picture, problem=f"Not watched any more: {e}")
        finally:
            stream.close()
            self.ended.set()
            self.news.set()

    def take(self, event: events.Event) -> None:
        if event.kind != "log":
            self.picture = replace(self.picture, view=event.data)
            return
        name = event.data["name"]
        self.logs[name] = (self.logs.get(name, "") + event.data["text"])[-2 * TAIL :]
        # What the script prints is what one looks for; before it, the newest.
        shown = DRIVER_LOG if DRIVER_LOG in self.logs else name
        self.picture = replace(self.picture, log_name=shown, log=self.logs[shown])

    # -- painting -------------------------------------------------------------------------------

    def paint(self) -> None:
        try:
            while not self.stopped:
                # Woken by news, and by time for what is not pushed.
                self.news.wait(LOOK_S)
                self.news.clear()
                if self.ended.is_set():
                    with _lock:
                        self.stopped = True  # From now on it takes no more places.
                began = time.monotonic()
                self.look()
                self.show()
                if not self.stopped:
                    # Much that was logged takes long to fetch and draw: then less often.
                    self.ended.wait(max(PACE_S, REST * (time.monotonic() - began)))
        except Exception as e:
            # The kernel ends, say: there is nobody to tell but whoever looks for it.
            self.picture = replace(self.picture, problem=str(e))
        finally:
            self.stopped = True
            with _lock:
                if _live.get(self.run.id) is self:
                    del _live[self.run.id]

    def look(self) -> None:
        """Bring what is not pushed up to date; a service that is away is the hearer's matter."""
        try:
            metrics, children = metrics_and_children(self.run)
        except TurnoutError:
            return
        with self.lock:
            self.picture = replace(self.picture, metrics=metrics, children=children, now=utc_now())

    def show(self) -> None:
        with self.lock:
            picture, places = self.picture, list(self.places.items())
        for display, publish in places:
            publish(picture, display, True)


def watch(run: Any, display: str, publish: Any, picture: RunPicture) -> None:
    """Show the run at one more place; its threads start with the first."""
    with _lock:
        live = _live.get(run.id)
        is_new = live is None or live.stopped
        if live is None or is_new:
            live = _live[run.id] = LiveRun(run, picture)
        with live.lock:
            live.places[display] = publish
        if is_new:
            live.painter.start()
            live.hearer.start()
    live.news.set()


def settle(run_id: str) -> None:
    """Wait for the last picture of a run that has ended, so that it lies in the notebook when the
    cell that waited for the run is over."""
    with _lock:
        live = _live.get(run_id)
    if live is not None:
        live.painter.join(SETTLE_S)


def stop_all() -> None:
    """Watch no run any more. The runs themselves go on."""
    with _lock:
        watched = list(_live.values())
    for live in watched:
        live.stop("Not watched any more: the kernel was interrupted. show() shows it anew.")


def look(run: Any) -> RunPicture:
    """The run as it is now."""
    view = run.refresh()
    metrics, children = metrics_and_children(run)
    name, text = log_tail(run)
    return RunPicture(view, utc_now(), metrics, children, name, text, run.get_portal_url())


def log_tail(run: Any) -> tuple[str, str]:
    """The name and the end of the log to show: what the script printed, else the last there is."""
    logs = run._client.get(f"{path_of(run.id)}/logs")["logs"]
    sizes = {x["name"]: x["size"] for x in logs if x["size"] and x["name"] not in SILENT}
    if not sizes:
        return "", ""
    name = DRIVER_LOG if DRIVER_LOG in sizes else max(sizes)
    start = max(0, sizes[name] - TAIL)
    data = b"".join(run._client.stream(f"{path_of(run.id)}/logs/{name}?offset={start}"))
    return name, data.decode(errors="replace")


def metrics_and_children(run: Any) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    client = run._client
    metrics = values.decode(client.get(f"{path_of(run.id)}/metrics")["metrics"])
    children = client.get("/v1/runs", {"parent": run.id, "limit": CHILDREN})["runs"]
    return metrics, tuple(children)


def path_of(run_id: str) -> str:
    return f"/v1/runs/{segment(run_id)}"


# -- the notebook -------------------------------------------------------------------------------


def notebook() -> Any:
    """What puts a picture into this process's notebook: (picture, display's id, whether it is
    there already). None without a Jupyter kernel around. IPython is never imported for it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or getattr(shell, "kernel", None) is None:
        return None
    if not getattr(shell, "_turnout_watches", False):
        shell._turnout_watches = True
        shell.events.register("post_run_cell", after_cell)

    def publish(picture: RunPicture, display: str, is_update: bool) -> None:
        shell.display_pub.publish(
            data={"text/html": render(picture), "text/plain": describe(picture)},
            transient={"display_id": display},
            update=is_update,
        )

    return publish


def after_cell(result: Any) -> None:
    """A cell that was interrupted ends the watching too."""
    if isinstance(getattr(result, "error_in_exec", None), KeyboardInterrupt):
        stop_all()
