"""Frozen records from plain data: unknown keys and wrong types refused, by name."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from turnout.spec.errors import UserError

T = TypeVar("T")


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """` (did you mean 'x'?)` or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def from_dict(kind: type[T], data: object, where: str = "") -> T:
    """Build the frozen dataclass `kind` from `data`; raise `UserError` naming the bad key.

    >>> from turnout.spec.environments import EnvironmentSpec
    >>> from_dict(EnvironmentSpec, {"pip": ["numpy"]}).pip
    ('numpy',)
    """
    name = where or kind.__name__
    if not isinstance(data, Mapping):
        raise UserError(f"{name} must be a mapping, not {type(data).__name__}.")
    hints, fields = shape(kind)
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in fields:
            raise UserError(f"{name} has no key '{key}'{nearest(str(key), fields)}.")
        values[key] = convert(hints[key], value, f"{name}.{key}")
    for f in fields.values():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and f.name not in values:
            raise UserError(f"{name} needs the key '{f.name}'.")
    return kind(**values)


@functools.cache
def shape(kind: type[Any]) -> tuple[dict[str, Any], dict[str, dataclasses.Field[Any]]]:
    """Types and fields by name; worked out once, as it is slow."""
    return typing.get_type_hints(kind), {f.name: f for f in dataclasses.fields(kind)}


def to_dict(record: object) -> dict[str, Any]:
    """Plain data that `from_dict` takes back; fields at their default are left out."""
    out: dict[str, Any] = {}
    for f in dataclasses.fields(record):  # type: ignore[arg-type]
        value = getattr(record, f.name)
        default = f.default_factory() if callable(f.default_factory) else f.default
        if value != default:
            out[f.name] = plain(value)
    return out


def plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    return value


def convert(hint: Any, value: object, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is types.UnionType or origin is typing.Union:
        options = [h for h in typing.get_args(hint) if h is not type(None)]
        return None if value is None else convert(options[0], value, where)
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast("type[Any]", hint), value, where)
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise UserError(f"{where} must be a list, not {type(value).__name__}.")
        item = typing.get_args(hint)[0]
        return tuple(convert(item, v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise UserError(f"{where} must be a mapping, not {type(value).__name__}.")
        item = typing.get_args(hint)[1]
        return {str(k): convert(item, v, f"{where}.{k}") for k, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Any or (isinstance(value, hint) and not (hint is int and isinstance(value, bool))):
        return value
    raise UserError(f"{where} must be {hint.__name__}, not {type(value).__name__}: {value!r}.")
