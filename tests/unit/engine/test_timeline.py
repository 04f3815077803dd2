from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.engine import timeline
from turnout.engine.timeline import Step, extended

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def told(text: str) -> list[Mapping[str, Any]]:
    """The history of "seconds state message, …"; an attempt above 1 stands behind the state."""
    history: list[Mapping[str, Any]] = []
    for word in text.split(","):
        seconds, state, message = [*word.strip().split(" ", 2), ""][:3]
        name, _, attempt = state.partition("*")
        at = START + timedelta(seconds=int(seconds))
        history = extended(history, Step(name, at, message, int(attempt or 1)))
    return history


def shown(history: list[Mapping[str, Any]]) -> str:
    def part(entry: Mapping[str, Any]) -> str:
        seconds = (datetime.fromisoformat(entry["at"]) - START).total_seconds()
        again = f"*{entry['attempt']}" if entry["attempt"] > 1 else ""
        return f"{seconds:.0f} {entry['state']}{again} {entry['message']}".strip()

    return ", ".join(part(entry) for entry in history)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("0 queued", "0 queued"),
        ("0 queued, 5 queued, 9 queued", "0 queued"),
        ("0 queued, 1 preparing, 2 running", "0 queued, 1 preparing, 2 running"),
        # Why it waits; and when the reason changed.
        ("0 queued, 1 queued no node", "0 queued no node"),
        ("0 queued, 60 queued no node", "0 queued, 60 queued no node"),
        ("0 queued a, 60 queued b, 61 queued c", "0 queued a, 60 queued c"),
        ("0 queued a, 60 queued", "0 queued a"),
        ("0 queued a, 60 queued a", "0 queued a"),
        # Another attempt goes back.
        ("0 running, 60 queued*2 lost", "0 running, 60 queued*2 lost"),
        ("0 queued, 1 queued*2 lost", "0 queued, 1 queued*2 lost"),
        # Machines disagree about the time.
        ("9 preparing, 4 running", "9 preparing, 9 running"),
    ],
)
def test_what_is_kept(said: str, kept: str) -> None:
    assert shown(told(said)) == kept


def test_a_long_message_is_cut() -> None:
    history = extended([], Step("failed", START, "x" * 1000))
    assert len(history[0]["message"]) == timeline.TEXT_LIMIT
    assert extended(history, Step("failed", START, "x" * 1000)) == history


def test_a_long_wait_does_not_drive_out_what_happened() -> None:
    text = "0 queued, 5 preparing start, "
    text += ", ".join(f"{i * 20 + 30} preparing m{i}" for i in range(500))
    history = told(f"{text}, 99999 running")
    assert len(history) <= timeline.LIMIT
    assert shown(history[:2]) == "0 queued, 5 preparing start"
    assert shown(history[-2:]) == "10010 preparing m499, 99999 running"


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["queued", "preparing", "running"]),
        st.integers(0, 10**6).map(lambda s: START + timedelta(seconds=s)),
        st.sampled_from(["", "a", "b"]),
        st.integers(1, 40),
    ),
    max_size=300,
)


@given(STEPS)
def test_always(steps: list[Step]) -> None:
    history: list[Mapping[str, Any]] = []
    for step in steps:
        history = extended(history, step)
        assert extended(history, step) == history
        assert (history[-1]["state"], history[-1]["attempt"]) == (step.state, step.attempt)
    assert len(history) <= timeline.LIMIT
    times = [entry["at"] for entry in history]
    assert times == sorted(times)
