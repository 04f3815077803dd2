"""How a run looks at one moment: from plain data to HTML, and to text where there is no HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from turnout.client.charts import render_metrics, short
from turnout.client.markup import escape, link, table

FINAL = ("completed", "failed", "canceled")
#: Lines of the log shown, characters of each, and bytes of text kept for them.
LINES, LINE, TAIL = 30, 400, 1 << 14
CHILDREN = 20
MARKS = {"completed": "✔", "failed": "✘", "canceled": "■"}


@dataclass(frozen=True)
class RunPicture:
    """What is known of a run. `view` and `children` are runs as docs/design/http-api.md has them;
    `log` is the end of the log `log_name`; `portal` the run's page or ""; `now` in UTC."""

    view: dict[str, Any]
    now: datetime
    metrics: dict[str, Any] = field(default_factory=dict[str, Any])
    children: tuple[dict[str, Any], ...] = ()
    log_name: str = ""
    log: str = ""
    portal: str = ""
    problem: str = ""

    @property
    def is_over(self) -> bool:
        return self.view["state"] in FINAL


def render(picture: RunPicture) -> str:
    """The picture as HTML. Everything from the run is escaped; nothing is fetched or run."""
    view = picture.view
    mark = MARKS.get(view["state"], "●")
    parts = [
        f"<div><b>{mark} {escape(view['status'])}</b> · {escape(view['id'])}{doing(view)}</div>",
        table(*facts_of(picture)),
    ]
    if picture.problem:
        parts.append(f"<p>{escape(picture.problem)}</p>")
    parts.extend(f"<p>Warning: {escape(text)}</p>" for text in view["warnings"])
    if view["error"]:
        parts.append(f"<p><b>Error: {escape(view['error']['message'])}</b></p>")
    if picture.metrics:
        parts.append(f"<div>{render_metrics(picture.metrics)}</div>")
    if picture.children:
        parts.append(render_children(picture.children))
    if picture.log:
        parts.append(
            f'<div style="opacity:0.75">{escape(picture.log_name)}</div>'
            # Upside down, so that it is scrolled to its end.
            '<div style="display:flex;flex-direction:column-reverse;max-height:24em;'
            'overflow:auto">'
            '<pre style="border-left:3px solid;padding-left:8px;margin:2px 0;flex:none">'
            f"{escape(last_lines(picture.log))}</pre></div>"
        )
    return f'<div class="turnout-run">{"".join(parts)}</div>'


def doing(view: dict[str, Any]) -> str:
    """What is being done or waited for, while that may still change."""
    is_told = view["message"] and view["state"] not in FINAL
    return f" · {escape(view['message'])}" if is_told else ""


def facts_of(picture: RunPicture) -> tuple[list[str], list[list[object]]]:
    view = picture.view
    found: dict[str, object] = {
        "Experiment": view["experiment"],
        "Name": name_of(view),
        "Target": view["target"],
        "Duration": duration(view, picture.now),
        "Attempt": view["attempt"] if view["attempt"] > 1 else "",
        "Tags": ", ".join(k if v is None else f"{k}={v}" for k, v in view["tags"].items()),
        "Parent": view["parent"],
        "Page": link(picture.portal, "open"),
    }
    shown = {name: value for name, value in found.items() if value}
    return list(shown), [list(shown.values())]


def name_of(view: dict[str, Any]) -> str:
    """The name that somebody gave; nothing for a run that has its id alone."""
    return view["display_name"] if view["display_name"] != view["id"] else ""


def render_children(children: tuple[dict[str, Any], ...]) -> str:
    shown = children[:CHILDREN]
    heads = ["Child", "Status", *(["Name"] if any(map(name_of, shown)) else [])]
    rows = [[c["id"], c["status"], name_of(c)][: len(heads)] for c in shown]
    more = len(children) - CHILDREN
    note = f"<p>and {more} more children: run.get_children()</p>" if more > 0 else ""
    return table(heads, rows) + note


def describe(picture: RunPicture) -> str:
    """The picture as a few lines of text."""
    view = picture.view
    lines = [f"Run {view['id']} · {view['status']}"]
    if view["message"] and not picture.is_over:
        lines[0] += f" · {view['message']}"
    heads, rows = facts_of(picture)
    lines.append("   ".join(f"{h}: {cell}" for h, cell in zip(heads, rows[0], strict=True)))
    lines.extend(f"Warning: {text}" for text in view["warnings"])
    if view["error"]:
        lines.append(f"Error: {view['error']['message']}")
    if picture.problem:
        lines.append(picture.problem)
    for name, value in picture.metrics.items():
        is_series = isinstance(value, list) and value
        shown = f"{short(value[-1])} (the last of {len(value)})" if is_series else short(value)
        lines.append(f"{name}: {shown}")
    if picture.children:
        lines.append(f"Children: {len(picture.children)}")
    return "\n".join(lines)


def duration(view: dict[str, Any], now: datetime) -> str:
    """How long it runs, or ran; nothing before it started."""
    if not view["started_at"]:
        return ""
    end = datetime.fromisoformat(stamp(view["ended_at"])) if view["ended_at"] else now
    started = datetime.fromisoformat(stamp(view["started_at"]))
    return clock(max(0.0, (end - started).total_seconds()))


def stamp(text: str) -> str:
    """ISO 8601 as Python 3.10 reads it."""
    return text.replace("Z", "+00:00")


def clock(seconds: float) -> str:
    """
    >>> clock(1.24), clock(75), clock(7384)
    ('1.2 s', '1:15', '2:03:04')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def last_lines(text: str) -> str:
    """The end of a log as a terminal would show it: of a line that was written over, its last
    state; long lines cut.

    >>> last_lines("10%\\r20%\\nnext\\n")
    '20%\\nnext'
    """
    lines = text[-TAIL:].replace("\r\n", "\n").rstrip("\n").split("\n")[-LINES:]
    shown = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines]
    return "\n".join(line if len(line) <= LINE else line[:LINE] + "…" for line in shown)


def utc_now() -> datetime:
    return datetime.now(timezone.utc)
