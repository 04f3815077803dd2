"""What a script may log, as plain JSON: NumPy-like values without NumPy, NaN and infinities named.

Contract of the encoding: docs/design/run-folder.md, "Values".
"""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional

FLOAT_KEY = "$float"
#: Nesting beyond this is a cycle or a mistake.
MAX_DEPTH = 16


class TrackingError(ValueError):
    """A call of `Run` that cannot be carried out; the message names the call's object."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RunEnvironmentException(TrackingError):
    """There is no run around this process, and the caller wanted one."""


def scalar(value: Any, where: str) -> Any:
    """`value` as a number or string; `TrackingError` naming `where` for anything else."""
    found = plain(value, where)
    if found is None or isinstance(found, (list, dict)):
        raise TrackingError(
            "%s must be a number or a string, not %s." % (where, type(value).__name__)
        )
    return found


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """`value` as scalars, lists and string-keyed mappings, floats not encoded yet."""
    if value is None or isinstance(value, (bool, str)):
        return value if value is None or isinstance(value, bool) else str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if depth > MAX_DEPTH:
        raise TrackingError("%s is nested too deeply, or contains itself." % where)
    unwrapped = unwrap(value)
    if unwrapped is not value:
        return plain(unwrapped, where, depth + 1)
    if isinstance(value, dict):
        return {str(k): plain(v, "%s[%r]" % (where, k), depth + 1) for k, v in value.items()}
    if isinstance(value, (bytes, bytearray, memoryview)) or not hasattr(value, "__iter__"):
        return number(value, where)
    return [plain(item, "%s[%d]" % (where, i), depth + 1) for i, item in enumerate(value)]


def unwrap(value: Any) -> Any:
    """The plain content of an array-like (NumPy, pandas, torch, TensorFlow), else `value`."""
    for name in ("tolist", "numpy", "item"):
        method: Optional[Callable[[], Any]] = getattr(value, name, None)
        if callable(method) and (hasattr(value, "dtype") or hasattr(value, "shape")):
            try:
                return method()
            except (TypeError, ValueError, RuntimeError):
                # A tensor on another device, or of more than one element: the next way may do.
                continue
    return value


def number(value: Any, where: str) -> float:
    """Decimals, fractions and their like as a float."""
    if hasattr(value, "__float__"):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise TrackingError(
        "%s cannot be logged: %s is no number, string, list or mapping. Convert it first, "
        "for example with float(...) or str(...)." % (where, type(value).__name__)
    )


def items(value: Any, where: str) -> List[Any]:
    """Any iterable, a generator too, as a list."""
    if isinstance(value, (str, bytes, dict)):
        raise TrackingError("%s must be a list, not %s." % (where, type(value).__name__))
    found = plain(value, where)
    if not isinstance(found, list):
        raise TrackingError("%s must be a list, not %s." % (where, type(value).__name__))
    return found


def columns(value: Any, where: str) -> Dict[str, Any]:
    """A table: a mapping of columns, or a data frame."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        value = value.to_dict("list")
    if not isinstance(value, dict):
        raise TrackingError(
            "%s must be a mapping of column names to values, not %s."
            % (where, type(value).__name__)
        )
    return plain(value, where)


def encode(value: Any) -> Any:
    """Plain data as strict JSON: NaN and the infinities become `{"$float": name}`."""
    if isinstance(value, float) and not math.isfinite(value):
        name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return {FLOAT_KEY: name}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    return value


def decode(value: Any) -> Any:
    """What `encode` was given."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        if len(value) == 1 and value.get(FLOAT_KEY) in ("NaN", "Infinity", "-Infinity"):
            return float(value[FLOAT_KEY])
        return {key: decode(item) for key, item in value.items()}
    return value


def texts(values: Any, where: str) -> Dict[str, Optional[str]]:
    """Tags or properties: every key and value as text, None kept."""
    if not isinstance(values, dict):
        raise TrackingError("%s must be a mapping, not %s." % (where, type(values).__name__))
    return {label(k, where): None if v is None else str(v) for k, v in values.items()}


def label(name: Any, where: str) -> str:
    """A metric's, tag's or property's name: a string that is not empty."""
    if not isinstance(name, str) or not name.strip():
        raise TrackingError("%s needs a name: a string that is not empty." % where)
    return name


def file_name(name: Any) -> str:
    """The name under which a run is to keep a file; backslashes part folders, as in v1."""
    return inner_path(label(name, "A file of a run").replace("\\", "/"))


def inner_path(text: str) -> str:
    """`text`, a relative path with forward slashes that never leaves its folder."""
    if "\0" in text or any(part in ("", ".", "..") for part in text.split("/")):
        raise TrackingError(
            "%r cannot name a file of a run: use a relative path without '.' and '..', "
            "for example 'outputs/model.pkl'." % text
        )
    return text
