"""Tabular datasets: how files become a table, and which of its rows and columns.

A definition is plain data, so that the notebook, the service and the script read the same table:
`{"format", "options", "steps"}`. pandas does the reading, wherever it is installed.
"""

# pandas has no types of its own.
# pyright: basic

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple, TypeVar

    T = TypeVar("T", bound="Table")

FORMATS = ("delimited", "parquet", "json_lines")


class DataError(ValueError):
    """A dataset cannot be read as asked."""


def pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise DataError(
            "Reading a tabular dataset needs pandas, which is not installed here: "
            "pip install pandas (in a run: list it in the environment's packages)."
        ) from None
    return pandas


class Table:
    """A tabular dataset: a definition, and the files that it is read from.

    Every method that changes what is read gives a new one; nothing is read before
    `to_pandas_dataframe`.
    """

    def __init__(self, definition: Dict[str, Any]) -> None:
        self._definition = definition

    def _files(self) -> List[Tuple[str, Any]]:
        """(name, path or open file) of each, in order."""
        raise NotImplementedError

    def _with(self: T, step: List[Any]) -> T:
        import copy

        made = copy.copy(self)
        made._definition = dict(self._definition)
        made._definition["steps"] = [*(self._definition.get("steps") or []), step]
        return made

    def to_pandas_dataframe(self, on_error: str = "null", out_of_range_datetime: str = "null"):  # type: ignore
        """The table as a pandas DataFrame."""
        return read(self._files(), self._definition)

    def take(self: T, count: int) -> T:
        """The first `count` rows."""
        return self._with(["take", int(count)])

    def skip(self: T, count: int) -> T:
        """All but the first `count` rows."""
        return self._with(["skip", int(count)])

    def take_sample(self: T, probability: float, seed: Optional[int] = None) -> T:
        """Each row with this probability; the same ones for the same `seed`."""
        return self._with(["sample", fraction(probability), seed_of(seed)])

    def random_split(self: T, percentage: float, seed: Optional[int] = None) -> Tuple[T, T]:
        """Two tables that together have every row: about `percentage` (0 to 1), and the rest."""
        part, found = fraction(percentage), seed_of(seed)
        return self._with(["split", part, found, 0]), self._with(["split", part, found, 1])

    def keep_columns(self: T, columns: Any, validate: bool = False) -> T:
        """These columns alone: a name or a list of names."""
        return self._with(["keep", names_of(columns)])

    def drop_columns(self: T, columns: Any) -> T:
        """All but these columns."""
        return self._with(["drop", names_of(columns)])

    def with_timestamp_columns(
        self: T, timestamp: Optional[str] = None, partition_timestamp: Optional[str] = None,
        validate: bool = False, **kwargs: Any,
    ) -> T:  # fmt: skip
        """Say which column the `time_…` methods look at; v1's first names of the arguments too."""
        column = timestamp or kwargs.get("fine_grain_timestamp") or partition_timestamp
        column = column or kwargs.get("coarse_grain_timestamp")
        import copy

        made = copy.copy(self)
        options = {**(self._definition.get("options") or {}), "timestamp": column}
        made._definition = {**self._definition, "options": options}
        return made

    @property
    def timestamp_columns(self) -> Tuple[Optional[str], Optional[str]]:
        return (self._definition.get("options") or {}).get("timestamp"), None

    def time_before(
        self: T, end_time: Any, include_boundary: bool = True, validate: bool = True
    ) -> T:
        """Rows up to `end_time`, a datetime."""
        return self._in_time(None, end_time, include_boundary)

    def time_after(
        self: T, start_time: Any, include_boundary: bool = True, validate: bool = True
    ) -> T:
        """Rows from `start_time` on."""
        return self._in_time(start_time, None, include_boundary)

    def time_between(
        self: T, start_time: Any, end_time: Any, include_boundary: bool = True,
        validate: bool = True,
    ) -> T:  # fmt: skip
        """Rows from `start_time` to `end_time`."""
        return self._in_time(start_time, end_time, include_boundary)

    def time_recent(
        self: T, time_delta: Any, include_boundary: bool = True, validate: bool = True
    ) -> T:
        """Rows of the last `time_delta`, counted from now."""
        import datetime

        start = datetime.datetime.now() - time_delta
        return self._in_time(start, None, include_boundary)

    def _in_time(self: T, start: Any, end: Any, include: bool) -> T:
        column = self.timestamp_columns[0]
        if not column:
            raise DataError("Say first which column has the time: with_timestamp_columns('x').")
        ends = [None if at is None else at.isoformat() for at in (start, end)]
        return self._with(["time", column, *ends, bool(include)])

    def to_csv_files(self, separator: str = ",") -> Any:
        raise DataError(
            "to_csv_files() is not there: to_pandas_dataframe().to_csv(path) writes one."
        )

    def to_parquet_files(self) -> Any:
        raise DataError(
            "to_parquet_files() is not there: to_pandas_dataframe().to_parquet(path) writes one."
        )

    def to_spark_dataframe(self) -> Any:
        raise DataError(
            "to_spark_dataframe() is not there: spark.createDataFrame(to_pandas_dataframe())."
        )


def fraction(value: Any) -> float:
    found = float(value)
    if not 0 <= found <= 1:
        raise DataError("A part of a table is between 0 and 1, not %s." % value)
    return found


def seed_of(seed: Optional[int]) -> int:
    """The seed given, or one that stays the same from now on: both halves of a split need it."""
    if seed is not None:
        return int(seed)
    import os

    return int.from_bytes(os.urandom(4), "big")


def names_of(columns: Any) -> List[str]:
    return [columns] if isinstance(columns, str) else [str(c) for c in columns]


# -- reading --------------------------------------------------------------------------------------


def read(files: List[Tuple[str, Any]], definition: Dict[str, Any]) -> Any:
    """The DataFrame of `definition` over `files`; DataError naming the file that cannot be."""
    pd = pandas()
    options: Dict[str, Any] = definition.get("options") or {}
    frames: List[Any] = []
    columns: Any = None
    for name, file in files:
        try:
            frame = read_one(pd, file, definition.get("format", ""), options, columns)
        except ImportError:
            raise DataError("Reading '%s' needs pyarrow: pip install pyarrow." % name) from None
        except (ValueError, OSError, LookupError) as e:
            raise DataError("'%s' cannot be read as a table: %s" % (name, e)) from None
        if options.get("header") == "first":
            columns = frame.columns
        if options.get("include_path"):
            frame.insert(0, "Path", "/" + name)
        frames.append(frame)
    if not frames:
        return pd.DataFrame()
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    for column, kind in (options.get("column_types") or {}).items():
        frame[column] = converted(pd, frame, column, kind)
    for step in definition.get("steps") or []:
        frame = applied(frame, step)
    return frame


def read_one(pd: Any, file: Any, format: str, options: Dict[str, Any], columns: Any) -> Any:
    if format == "parquet":
        return pd.read_parquet(file)
    if format == "json_lines":
        return pd.read_json(file, lines=True, encoding=options.get("encoding") or "utf8")
    if format != "delimited":
        raise DataError("A table has no format '%s'." % format)
    with_header = options.get("header", "all") == "all" or (
        options.get("header") == "first" and columns is None
    )
    more: Dict[str, Any] = {} if with_header else {"header": None}
    if not options.get("infer_types", True):
        more["dtype"] = str
    if options.get("empty_as_string"):
        more["keep_default_na"] = False
    frame = pd.read_csv(
        file,
        sep=options.get("separator") or ",",
        encoding=options.get("encoding") or "utf8",
        **more,
    )
    if not with_header:
        if columns is not None and len(columns) == len(frame.columns):
            frame.columns = columns
        else:
            # v1's names of columns without a header.
            frame.columns = ["Column%d" % (i + 1) for i in range(len(frame.columns))]
    return frame


def column_of(frame: Any, column: str) -> Any:
    if column not in frame.columns:
        raise DataError(
            "There is no column '%s'; there is %s." % (column, ", ".join(map(str, frame)))
        )
    return frame[column]


def converted(pd: Any, frame: Any, column: str, kind: Dict[str, Any]) -> Any:
    values = column_of(frame, column)
    name = kind.get("type")
    if name == "datetime":
        formats = kind.get("formats") or [None]
        return pd.to_datetime(values, format=formats[0], errors="coerce")
    if name == "bool":
        words = {"true": True, "false": False, "1": True, "0": False}
        return values.map(lambda v: words.get(str(v).lower()))
    if name == "string":
        return values.map(lambda v: v if v is None or v != v else str(v))
    numbers = pd.to_numeric(values, errors="coerce")
    return numbers.astype("Int64") if name == "long" else numbers.astype("float64")


def applied(frame: Any, step: List[Any]) -> Any:
    kind, *given = step
    if kind == "take":
        return frame.head(given[0])
    if kind == "skip":
        return frame.iloc[given[0] :].reset_index(drop=True)
    if kind in ("sample", "split"):
        import random

        numbers = random.Random(given[1])  # noqa: S311 - not a secret
        inside = [numbers.random() < given[0] for _ in range(len(frame))]
        if kind == "split" and given[2]:
            inside = [not value for value in inside]
        return frame[inside].reset_index(drop=True)
    if kind == "time":
        column, start, end, include = given
        times = pandas().to_datetime(column_of(frame, column))
        inside = times.notna()
        if start is not None:
            inside &= times >= start if include else times > start
        if end is not None:
            inside &= times <= end if include else times < end
        return frame[inside].reset_index(drop=True)
    missing = [name for name in given[0] if name not in frame.columns]
    if missing:
        raise DataError(
            "There is no column '%s'; there is %s." % (missing[0], ", ".join(map(str, frame)))
        )
    return frame[given[0]] if kind == "keep" else frame.drop(columns=given[0])
