"""What stands in for gone names of pandas, where no single name of today does.

The first line of a docstring is what the run's log says. Everything takes what the gone one took.
"""

# The libraries are the run's, not ours.
# pyright: reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class SettingWithCopyWarning(Warning):
    """a warning that never comes"""


def frame_append(self: Any, other: Any, ignore_index: bool = False, verify_integrity: bool = False,
                 sort: bool = False) -> Any:  # fmt: skip
    """pandas.concat"""
    import pandas

    if isinstance(other, dict):
        if not ignore_index:
            raise TypeError("Can only append a dict if ignore_index=True")
        other = pandas.Series(other)
    if isinstance(other, pandas.Series):
        if other.name is None and not ignore_index:
            raise TypeError(
                "Can only append a Series if ignore_index=True or if the Series has a name"
            )
        other = other.to_frame().T.infer_objects().rename_axis(index=self.index.names)
    others = list(other) if isinstance(other, (list, tuple)) else [other]
    if others and not isinstance(others[0], pandas.DataFrame):
        others = [pandas.DataFrame(others)]
    frames = [self, *others]
    columns = list(dict.fromkeys(column for frame in frames for column in frame.columns))
    # A frame without rows has columns to give, and no say in their kinds.
    full = [frame for frame in frames if len(frame)] or frames[:1]
    found = pandas.concat(full, ignore_index=ignore_index, verify_integrity=verify_integrity)
    if all(frame.columns.is_unique for frame in frames):
        found = found.reindex(columns=sorted(columns) if sort else columns)
    return found


def series_append(self: Any, to_append: Any, ignore_index: bool = False,
                  verify_integrity: bool = False) -> Any:  # fmt: skip
    """pandas.concat"""
    import pandas

    others = list(to_append) if isinstance(to_append, (list, tuple)) else [to_append]
    return pandas.concat(
        [self, *others], ignore_index=ignore_index, verify_integrity=verify_integrity
    )


def as_matrix(self: Any, columns: Any = None) -> Any:
    """DataFrame.values"""
    return (self if columns is None else self[columns]).values


def clip_lower(self: Any, threshold: Any, axis: Any = None, inplace: bool = False) -> Any:
    """clip(lower=…)"""
    return self.clip(lower=threshold, axis=axis, inplace=inplace)


def clip_upper(self: Any, threshold: Any, axis: Any = None, inplace: bool = False) -> Any:
    """clip(upper=…)"""
    return self.clip(upper=threshold, axis=axis, inplace=inplace)


def get_value(self: Any, index: Any, *column: Any) -> Any:
    """its indexer at"""
    return self.at[(index, *column) if column else index]


def set_value(self: Any, index: Any, *rest: Any) -> Any:
    """its indexer at"""
    column, value = rest[:-1], rest[-1]
    self.at[(index, *column) if column else index] = value
    return self


def lookup(self: Any, row_labels: Any, col_labels: Any) -> Any:
    """its indexer at, pair by pair"""
    import numpy

    return numpy.array([self.at[row, column] for row, column in zip(row_labels, col_labels)])


def frame_mad(self: Any, axis: Any = 0, skipna: bool = True) -> Any:
    """the mean of the absolute deviations"""
    numbers = self.select_dtypes("number")
    by_row = axis in (1, "columns")
    away = numbers.sub(numbers.mean(axis=axis, skipna=skipna), axis=0 if by_row else 1)
    return away.abs().mean(axis=axis, skipna=skipna)


def series_mad(self: Any, axis: Any = None, skipna: bool = True) -> Any:
    """the mean of the absolute deviations"""
    return (self - self.mean(skipna=skipna)).abs().mean(skipna=skipna)


def nonzero(self: Any) -> Any:
    """to_numpy().nonzero()"""
    return self.to_numpy().nonzero()


def time_grouper(freq: Any = None, **options: Any) -> Any:
    """pandas.Grouper(freq=…)"""
    import pandas

    return pandas.Grouper(freq=freq, **options)


def value_counts(values: Any, sort: bool = True, ascending: bool = False, normalize: bool = False,
                 bins: Any = None, dropna: bool = True) -> Any:  # fmt: skip
    """Series.value_counts"""
    import pandas

    return pandas.Series(values).value_counts(
        sort=sort, ascending=ascending, normalize=normalize, bins=bins, dropna=dropna
    )


def week(self: Any) -> Any:
    """isocalendar().week"""
    weeks = self.isocalendar().week
    weeks = weeks.astype("float64" if weeks.isna().any() else "int64")
    # The index of an index is itself: it gave an Index, the accessor of a Series a Series.
    import pandas

    return pandas.Index(weeks.array) if isinstance(self, pandas.Index) else weeks
