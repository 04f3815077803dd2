"""Tables from files: what a definition means, wherever it is read."""

from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

import pytest

from turnout.client.dataset_definitions import (
    DataType,
    PromoteHeadersBehavior,
    delimited,
    json_lines,
    parquet,
)
from turnout.client.exceptions import UserErrorException
from turnout.payload.inputs import LocalTable
from turnout.payload.tables import DataError, Table, read


class Given(Table):
    """A table over texts."""

    def __init__(self, definition: dict[str, Any], *texts: str) -> None:
        super().__init__(definition)
        self.texts = texts

    def _files(self) -> list[tuple[str, Any]]:
        return [(f"{i}.csv", io.StringIO(text)) for i, text in enumerate(self.texts)]


def columns(table: Table) -> dict[str, list[Any]]:
    return table.to_pandas_dataframe().to_dict("list")


NUMBERS = "x,y\n" + "".join(f"{i},{i % 3}\n" for i in range(100))


def test_rows_and_columns() -> None:
    table = Given(delimited(), NUMBERS)
    assert columns(table.skip(97).keep_columns("x")) == {"x": [97, 98, 99]}
    assert columns(table.take(2).drop_columns(["y"])) == {"x": [0, 1]}
    # Nothing of that changed the table itself.
    assert len(table.to_pandas_dataframe()) == 100


def test_a_split_is_whole_and_the_same_for_the_same_seed() -> None:
    table = Given(delimited(), NUMBERS)
    first, second = (columns(half)["x"] for half in table.random_split(0.7, seed=5))
    assert sorted([*first, *second]) == list(range(100))
    assert 50 < len(first) < 90
    assert columns(table.random_split(0.7, seed=5)[1])["x"] == second
    unseeded = table.random_split(0.5)
    assert sorted(columns(unseeded[0])["x"] + columns(unseeded[1])["x"]) == list(range(100))
    with pytest.raises(DataError, match="between 0 and 1, not 70"):
        table.random_split(70)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (True, {"a": [1, 2]}),
        (False, {"Column1": ["a", "1", "a", "2"]}),
        (PromoteHeadersBehavior.ONLY_FIRST_FILE_HAS_HEADERS, {"a": ["1", "a", "2"]}),
        (PromoteHeadersBehavior.ALL_FILES_HAVE_SAME_HEADERS, {"a": [1, 2]}),
    ],
)
def test_headers(header: Any, found: dict[str, list[Any]]) -> None:
    made = delimited(header=header, infer_column_types=header is True or header == 3)
    assert columns(Given(made, "a\n1\n", "a\n2\n")) == found
    with pytest.raises(UserErrorException, match="PromoteHeadersBehavior, not 'yes'"):
        delimited(header="yes")


def test_columns_become_what_is_asked() -> None:
    types = {
        "n": DataType.to_long(),
        "f": DataType.to_float(),
        "b": DataType.to_bool(),
        "s": DataType.to_string(),
        "d": DataType.to_datetime("%d.%m.%Y"),
    }
    table = Given(delimited(";", set_column_types=types), "n;f;b;s;d\n1;2;true;7;24.12.2018\n")
    row = table.to_pandas_dataframe().iloc[0]
    assert (row["n"], row["f"], row["b"], row["s"]) == (1, 2.0, True, "7")
    assert row["d"].to_pydatetime() == datetime.datetime(2018, 12, 24)


def test_times() -> None:
    text = "at,v\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n"
    table = Given(delimited(), text)
    with pytest.raises(DataError, match="with_timestamp_columns"):
        table.time_after(datetime.datetime(2020, 1, 2))
    table = table.with_timestamp_columns("at")
    second = datetime.datetime(2020, 1, 2)
    assert columns(table.time_after(second))["v"] == [2, 3]
    assert columns(table.time_before(second, include_boundary=False))["v"] == [1]
    assert columns(table.time_between(second, second))["v"] == [2]
    assert columns(table.time_recent(datetime.timedelta(days=1)))["v"] == []


def test_what_cannot_be_read_is_named() -> None:
    table = Given(delimited(), NUMBERS)
    with pytest.raises(DataError, match="no column 'z'; there is x, y"):
        table.keep_columns(["x", "z"]).to_pandas_dataframe()
    with pytest.raises(DataError, match=r"'0\.csv' cannot be read as a table: No columns"):
        Given(delimited(), "").to_pandas_dataframe()
    with pytest.raises(UserErrorException, match="partition_format"):
        parquet(partition_format="/{x}")


def test_other_formats_and_the_path(tmp_path: Path) -> None:
    frame = Given(delimited(), NUMBERS).take(3).to_pandas_dataframe()
    frame.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n{"x": 2}\n')
    row: dict[str, Any] = {"path": str(tmp_path), "files": ["a.parquet"], "definition": parquet()}
    assert LocalTable("t", row).to_pandas_dataframe().equals(frame)
    found = read([("a.jsonl", tmp_path / "a.jsonl")], json_lines(include_path=True))
    assert found.to_dict("list") == {"Path": ["/a.jsonl", "/a.jsonl"], "x": [1, 2]}
    assert read([], delimited()).empty
