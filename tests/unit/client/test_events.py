"""Following a run over broken streams: every line once, in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fake_service import FakeService, event, log_event, run_view
from hypothesis import given
from hypothesis import strategies as st

from turnout.client.events import NOTHING, follow, parse
from turnout.client.http import Client
from turnout.spec.errors import NotFoundError, ServiceError

PATH = "/v1/runs/r/events"


def test_a_broken_stream_goes_on_at_the_next_byte(service: FakeService, client: Client) -> None:
    text = "".join(f"line {i} é\n" for i in range(50))
    whole = text.encode()
    asked: list[Any] = []

    def answer(query: dict[str, list[str]], body: Any) -> Iterator[bytes]:
        asked.append(query.get("offset"))
        offsets = dict(o.rpartition(":")[::2] for o in query.get("offset", []))
        start = int(offsets.get("a", 0))
        yield event("run", run_view())
        while start < len(whole):
            end = whole.index(b"\n", start) + 1
            yield log_event("a", start, whole[start:end].decode())
            start = end
            if len(asked) < 4 and start > len(asked) * 100:
                yield b"event: log\ndata: {torn"
                yield b"CUT"
        yield event("end", run_view(state="completed"))

    service("GET", PATH, answer)
    found = list(follow(client, "r"))
    assert "".join(e.data["text"] for e in found if e.kind == "log") == text
    assert found[-1].kind == "end"
    assert len(asked) == 4
    assert asked[0] is None


def test_parts_that_come_again_are_left_out(service: FakeService, client: Client) -> None:
    parts = [log_event("a", 0, "one\n"), log_event("a", 0, "one\n"), log_event("a", 4, "two\n")]
    service("GET", PATH, lambda query, body: iter([*parts, event("end", run_view())]))
    texts = [e.data["text"] for e in follow(client, "r") if e.kind == "log"]
    assert texts == ["one\n", "two\n"]


def test_given_offsets_are_asked_for(service: FakeService, client: Client) -> None:
    asked: list[Any] = []

    def answer(query: Any, body: Any) -> Iterator[bytes]:
        asked.append(query["offset"])
        return iter([event("end", run_view())])

    service("GET", PATH, answer)
    list(follow(client, "r", {"a/b.txt": NOTHING, "c": 3}))
    assert asked == [[f"a/b.txt:{NOTHING}", "c:3"]]


def test_a_run_that_is_not_there_is_said_at_once(service: FakeService, client: Client) -> None:
    with pytest.raises(NotFoundError):
        next(follow(client, "r"))
    assert len(service.requests) == 1


def test_streams_that_only_end_are_given_up(
    service: FakeService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.retry_s = 0.0
    service("GET", PATH, lambda query, body: iter([b": still here\n\n"]))
    with pytest.raises(ServiceError, match="cannot be followed: it closed the stream"):
        list(follow(client, "r"))


@given(st.lists(st.integers(1, 40)))
def test_events_may_be_cut_anywhere(cuts: list[int]) -> None:
    stream = event("run", {"a": "é\n\n"}) + b": comment\n\n" + log_event("n", 0, "x\ny") * 2
    parts, rest = [], stream
    for cut in cuts:
        parts.append(rest[:cut])
        rest = rest[cut:]
    found = [(e.kind, e.data) for e in parse(iter([*parts, rest]))]
    log = ("log", {"name": "n", "offset": 0, "text": "x\ny", "next": 3})
    assert found == [("run", {"a": "é\n\n"}), log, log]
