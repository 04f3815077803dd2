"""How the files of tabular datasets are read, as plain data: `turnout.payload.tables`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.client.exceptions import UserErrorException


class DataType:
    """What a column is made, in `set_column_types`."""

    def __init__(self, type: str, **options: Any) -> None:
        self.definition: dict[str, Any] = {"type": type, **options}

    @staticmethod
    def to_string() -> DataType:
        return DataType("string")

    @staticmethod
    def to_long() -> DataType:
        return DataType("long")

    @staticmethod
    def to_float(decimal_mark: str = ".") -> DataType:
        if decimal_mark != ".":
            raise UserErrorException("decimal_mark must be '.' in this version.")
        return DataType("float")

    @staticmethod
    def to_bool() -> DataType:
        return DataType("bool")

    @staticmethod
    def to_datetime(formats: Any = None) -> DataType:
        """`formats`: one of `strptime`'s, or a list of which the first is used."""
        given = [formats] if isinstance(formats, str) else list(formats or [])
        return DataType("datetime", formats=given)


class PromoteHeadersBehavior:
    """Which files of a dataset begin with the names of the columns."""

    NO_HEADERS = 0
    ONLY_FIRST_FILE_HAS_HEADERS = 1
    COMBINE_ALL_FILES_HEADERS = 2
    ALL_FILES_HAVE_SAME_HEADERS = 3


#: By the value of a `PromoteHeadersBehavior`; True and False are all and none.
HEADERS = {0: "none", 1: "first", 2: "all", 3: "all"}


def delimited(
    separator: str = ",",
    header: Any = True,
    *,
    encoding: str = "utf8",
    include_path: bool = False,
    infer_column_types: bool = True,
    empty_as_string: bool = False,
    set_column_types: Mapping[str, DataType] | None = None,
    partition_format: str | None = None,
) -> dict[str, Any]:
    if isinstance(header, bool):
        header = 3 if header else 0
    if header not in HEADERS:
        raise UserErrorException(
            f"header is True, False or a PromoteHeadersBehavior, not {header!r}."
        )
    return {
        "format": "delimited",
        "options": {
            "separator": separator,
            "header": HEADERS[header],
            "encoding": encoding,
            "infer_types": bool(infer_column_types),
            "empty_as_string": empty_as_string,
            **common(include_path, set_column_types, partition_format),
        },
    }


def parquet(
    include_path: bool = False,
    set_column_types: Mapping[str, DataType] | None = None,
    partition_format: str | None = None,
) -> dict[str, Any]:
    options = common(include_path, set_column_types, partition_format)
    return {"format": "parquet", "options": options}


def json_lines(
    include_path: bool = False,
    set_column_types: Mapping[str, DataType] | None = None,
    partition_format: str | None = None,
    encoding: str = "utf8",
) -> dict[str, Any]:
    options = common(include_path, set_column_types, partition_format)
    return {"format": "json_lines", "options": {"encoding": encoding, **options}}


def common(
    include_path: bool,
    set_column_types: Mapping[str, DataType] | None,
    partition_format: str | None,
) -> dict[str, Any]:
    if partition_format is not None:
        raise UserErrorException("partition_format is not there in this version: leave it out.")
    types = {name: kind.definition for name, kind in (set_column_types or {}).items()}
    return {"include_path": include_path, "column_types": types}
