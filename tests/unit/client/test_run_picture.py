"""How a run looks: data in, HTML and text out."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from html.parser import HTMLParser
from typing import Any

import pytest
from fake_service import run_view

from turnout.client import charts, markup, run_picture
from turnout.client.run_picture import RunPicture, describe, render

NOW = datetime(2026, 11, 25, 12, 0, 30, tzinfo=timezone.utc)
VOID = {"rect", "polyline"}
EVIL = "<script>alert('x')</script>\"onload=\"y"


class Outline(HTMLParser):
    """The text, the tags and the attributes' names of a piece of HTML that is well formed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "|".join(self.words)


def picture(state: str = "running", **changes: Any) -> RunPicture:
    view = run_view(state=state, status=state.capitalize(), started_at="2026-11-25T12:00:00+00:00")
    about = {k: changes.pop(k) for k in list(changes) if k in view}
    return RunPicture({**view, **about}, NOW, **changes)


def test_a_run_that_goes_on() -> None:
    shown = Outline(render(picture(message="Waiting for a node", target="lab")))
    assert "Running" in shown.text
    assert "Waiting for a node" in shown.text
    assert "|30.0 s" in shown.text
    assert "|lab" in shown.text


def test_what_is_waited_for_is_no_news_of_a_run_that_is_over() -> None:
    over = picture("completed", message="Collecting", ended_at="2026-11-25T12:01:15Z")
    shown = Outline(render(over))
    assert "Collecting" not in shown.text
    assert "|1:15" in shown.text
    assert over.is_over


def test_a_failure_and_warnings_are_shown() -> None:
    error = {"code": "exit", "message": "exit code 3", "exit_code": 3}
    failed = picture("failed", error=error, warnings=["numpy 1.9 made way"], problem="It broke.")
    for text in (Outline(render(failed)).text, describe(failed)):
        assert "Error: exit code 3" in text
        assert "Warning: numpy 1.9 made way" in text
        assert "It broke." in text


def test_nothing_of_the_run_becomes_markup() -> None:
    child = run_view(id=EVIL, display_name=EVIL, status=EVIL)
    shown = Outline(render(picture(
        id=EVIL, experiment=EVIL, display_name=EVIL, message=EVIL, target=EVIL, parent=EVIL,
        warnings=[EVIL], tags={EVIL: EVIL}, status=EVIL, problem=EVIL,
        error={"code": EVIL, "message": EVIL}, children=(child,), log=EVIL, log_name=EVIL,
        metrics={EVIL: [1, 2], "t" + EVIL: {EVIL: [EVIL]}, "s": EVIL, "l": [EVIL, EVIL]},
        portal=f"javascript:{EVIL}",
    )))  # fmt: skip
    assert "script" not in shown.tags
    assert not {a for a in shown.attributes if a.startswith("on")}
    assert "href" not in shown.attributes
    assert shown.text.count("<script>alert('x')</script>\"onload=\"y") > 15


def test_the_page_of_a_run_is_linked() -> None:
    assert 'href="https://host/runs/1?a=1&amp;b=2"' in render(
        picture(portal="https://host/runs/1?a=1&b=2")
    )


def test_metrics_by_their_kind() -> None:
    html = charts.render_metrics({
        "loss": [3.0, 2.0, 1.5],
        "fit": {"alpha": [0.1, 0.2], "mse": [3.5, 3.25]},
        "name": "ridge",
        "names": ["a", "b"],
        "alone": {"x": 1},
        "one": [7],
    })  # fmt: skip
    shown = Outline(html)
    assert shown.tags.count("svg") == 1
    assert "last 1.5 · min 1.5 · max 3 · 3 values" in shown.text
    assert "|alpha|mse|0.1|3.5|0.2|3.25" in shown.text
    assert "|name|ridge|" in shown.text
    assert "|one|[7]" in shown.text


def test_many_metrics_are_counted() -> None:
    html = charts.render_metrics({f"m{i}": [1, 2] for i in range(charts.CHARTS + 3)})
    assert Outline(html).tags.count("svg") == charts.CHARTS
    assert "and 3 more" in html


@pytest.mark.parametrize(
    "values",
    [
        [math.nan, math.nan],
        [1.0, math.inf, 2.0, -math.inf],
        [5, 5, 5],
        [-1.7e308, 1.7e308],
        [10**400, 1],
        list(range(100_000)),
    ],
)
def test_a_chart_of_any_numbers(values: list[float]) -> None:
    html = charts.render_metrics({"x": values})
    places = [
        float(part)
        for line in html.split('points="')[1:]
        for pair in line.split('"')[0].split()
        for part in pair.split(",")
    ]
    assert all(0 <= x <= charts.WIDTH for x in places)
    assert len(places) <= 4 * charts.POINTS
    Outline(html)


def test_thinned_values_keep_their_peaks() -> None:
    values = [0.0] * 50_000
    values[31_234], values[40_001] = 9.0, -9.0
    assert {(31_234, 9.0), (40_001, -9.0)} <= set(charts.thinned(values))


def test_the_end_of_a_log() -> None:
    text = "\n".join(f"line {i}" for i in range(1000)) + "\n  1%\r 99%\r100%\r\n" + "x" * 5000
    lines = run_picture.last_lines(text).split("\n")
    assert len(lines) == run_picture.LINES
    assert lines[-2] == "100%"
    assert lines[-1] == "x" * run_picture.LINE + "…"
    assert lines[0] == "line 972"


def test_as_text() -> None:
    shown = describe(picture(metrics={"mse": [2.0, 1.5], "n": 3}, message="Training"))
    assert shown.split("\n")[0] == "Run exp_1_ab · Running · Training"
    assert "mse: 1.5 (the last of 2)\nn: 3" in shown


def test_children_are_listed() -> None:
    children = tuple(run_view(id=f"c{i}", display_name=f"n{i}") for i in range(25))
    text = Outline(render(picture(children=children))).text
    assert "Child|Status|Name|c0|Running|n0|" in text
    assert "|c19|Running|n19|" in text
    assert "c20" not in text
    assert "and 5 more children" in text
    alone = run_view(id="c", display_name="c")
    assert Outline(render(picture(children=(alone,)))).text.endswith("Child|Status|c|Running")


def test_a_table_of_names() -> None:
    class Row:
        def __init__(self, **about: object) -> None:
            self.about = about

        def _summary(self) -> dict[str, object]:
            return self.about

    named = markup.Named(a=Row(Name="a<", Type="T"), b=Row(Name="b", State=None))
    assert Outline(named._repr_html_()).text == "Name|Type|State|a<|T|b"
    assert isinstance(named, dict)
    assert Outline(markup.Named()._repr_html_()).text == ""
