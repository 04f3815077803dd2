"""What is written into a run's history: its steps and, between them, what was waited for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

#: Entries kept. Of more, the oldest that only say why something took long are let go first.
LIMIT = 100
#: Characters of a message.
TEXT_LIMIT = 300
#: What is said and replaced within this time was no step: progress, mostly.
SETTLE = timedelta(seconds=10)


@dataclass(frozen=True)
class Step:
    """How a run stands: state, when that came to be (aware), why or what is being done."""

    state: str
    at: datetime
    message: str = ""
    attempt: int = 1


def extended(history: Sequence[Mapping[str, Any]], step: Step) -> list[Mapping[str, Any]]:
    """`history` with `step`, the oldest first; the same again when it says nothing new.

    Times never go back, although machines disagree about them.

    >>> at = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    >>> [x["state"] for x in extended(extended([], Step("queued", at)), Step("running", at))]
    ['queued', 'running']
    """
    kept = list(history)
    text = step.message[:TEXT_LIMIT]
    if not kept:
        return [entry(step, step.at, text)]
    last = kept[-1]
    since = datetime.fromisoformat(last["at"])
    if (step.state, step.attempt) == (last["state"], last["attempt"]):
        if not text or text == last["message"]:
            return kept
        if step.at - since < SETTLE:
            kept[-1] = {**last, "message": text}
            return kept
    kept.append(entry(step, max(step.at, since), text))
    return kept if len(kept) <= LIMIT else shortened(kept)


def entry(step: Step, at: datetime, text: str) -> dict[str, Any]:
    return {**asdict(step), "at": at.isoformat(), "message": text}


def shortened(history: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One entry less; how the run began and stands now stay."""
    for i in range(1, len(history) - 1):
        if all(history[i][key] == history[i - 1][key] for key in ("state", "attempt")):
            return [*history[:i], *history[i + 1 :]]
    return [history[0], *history[2:]]
