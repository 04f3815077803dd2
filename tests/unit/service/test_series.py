"""Numbers for charts, and words in logs."""

import doctest
from pathlib import Path

import httpx
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from turnout.service.app import parts_of
from turnout.service.runs import log_search, series
from turnout.service.runs.series import thinned


def test_examples() -> None:
    assert doctest.testmod(series).failed == 0


async def new_run(web: httpx.AsyncClient, records: list[dict[str, object]]) -> str:
    body = {"key": "key-of-a-run", "experiment": "e", "interactive": True}
    run = (await web.post("/v1/runs", json=body)).json()["id"]
    answer = await web.post(f"/v1/runs/{run}/records", json={"records": records})
    assert answer.status_code == 201
    return run


async def test_series_of_a_run(app: FastAPI, web: httpx.AsyncClient) -> None:
    records: list[dict[str, object]] = [
        {"t": "metric", "name": "loss", "value": 3, "at": 10},
        {"t": "metric", "name": "note", "value": "text", "at": 11},
        {"t": "metric", "name": "loss", "value": {"$float": "NaN"}, "at": 12},
        {"t": "metric", "name": "acc", "value": 0.5, "step": 7, "at": 13},
        {"t": "row", "name": "fit", "value": {"a": 1, "b": "x"}, "at": 14},
        {"t": "row", "name": "fit", "value": {"a": 2}, "at": 15},
        {"t": "metric", "name": "loss", "value": 1, "at": 16},
    ]
    run = await new_run(web, records)
    found = (await web.get(f"/v1/runs/{run}/series")).json()["series"]
    assert set(found) == {"loss", "acc", "fit.a"}
    assert found["loss"]["value"] == [3, None, 1]
    assert found["loss"]["time"] == [10, 12, 16]
    assert found["loss"]["step"] is None
    assert [found["loss"][k] for k in ("count", "last", "min", "max")] == [3, 1, 1, 3]
    assert found["acc"]["step"] == [7]
    assert found["fit.a"]["value"] == [1, 2]
    last = await series.last_values(parts_of(app).db, run)
    assert list(last.items()) == [
        ("loss", 1),
        ("note", "text"),
        ("acc", 0.5),
        ("fit.a", 2),
    ]
    one = (await web.get(f"/v1/runs/{run}/series", params={"name": "acc"})).json()["series"]
    assert set(one) == {"acc"}


@given(
    st.lists(
        st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=300
    ),
    st.integers(2, 50),
)
def test_thinned_keeps_the_shape(values: list[float | None], points: int) -> None:
    kept = thinned(values, points)
    assert kept == sorted(set(kept))
    assert {0, len(values) - 1} <= set(kept)
    assert len(kept) <= points + 2 or len(kept) == len(values) <= max(points, 2)
    known = [v for v in values if v is not None]
    if known:
        chosen = [values[i] for i in kept if values[i] is not None]
        assert min(known) == min(chosen)  # type: ignore[type-var]
        assert max(known) == max(chosen)  # type: ignore[type-var]


def test_words_in_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"first\r\nEpoch 1 Loss\nthird\nloss and loss\n" + b"x" * 50 + b"no end LOSS")
    hits, more = log_search.find(log, "loss")
    assert [(h.line, h.offset) for h in hits] == [(2, 7), (4, 26), (5, 40)]
    assert hits[0].text == "Epoch 1 Loss"
    assert not more
    assert log_search.find(log, "loss", limit=1) == (hits[:1], True)
    assert log_search.find(log, "") == ([], False)
    assert log_search.find(log, "nothing") == ([], False)


def test_words_across_parts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [b"line %d %s" % (i, b"." * 90) for i in range(40_000)]
    lines[31_000] = b"here is the Needle"
    log.write_bytes(b"\n".join(lines))
    hits, _ = log_search.find(log, "needle")
    assert [(h.line, h.text) for h in hits] == [(31_001, "here is the Needle")]
    with log.open("rb") as file:
        file.seek(hits[0].offset)
        assert file.readline() == b"here is the Needle\n"


def test_a_line_without_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"." * (5 << 20) + b"needle")
    hits, _ = log_search.find(log, "needle")
    assert len(hits) == 1
