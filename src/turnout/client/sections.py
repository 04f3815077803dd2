"""`Section`: a plain settings object that refuses names it does not have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from turnout.client.exceptions import RunConfigurationException


class Section:
    """Base of dataclasses that hold settings. Setting anything else is refused with the nearest
    name; switches take only True and False, inner sections only their own kind."""

    __dataclass_fields__: dict[str, dataclasses.Field[Any]]
    #: Names in files that are not the field's own, and the field.
    spelled: ClassVar[Mapping[str, str]] = MappingProxyType({})
    #: Fields that files name only when they say something: ours, and v1's rarest.
    rare: ClassVar[frozenset[str]] = frozenset()

    def __setattr__(self, name: str, value: Any) -> None:
        field = self.__dataclass_fields__.get(name)
        if field is None:
            # A property that can be set (v1's second names) is as good as a field.
            if not isinstance(getattr(type(self), name, None), property):
                raise self.unknown(name)
        elif isinstance(field.default, bool) and not isinstance(value, bool):
            raise RunConfigurationException(
                f"{type(self).__name__}.{name} must be True or False, not {value!r}."
            )
        else:
            # list[str] is no class, but list is.
            kind = getattr(field.default_factory, "__origin__", field.default_factory)
            if isinstance(kind, type) and not self.fits(kind, value):
                raise RunConfigurationException(
                    f"{type(self).__name__}.{name} must be of type {kind.__name__}, "
                    f"not {type(value).__name__}."
                )
        super().__setattr__(name, value)

    @staticmethod
    def fits(kind: type[Any], value: object) -> bool:
        if kind is list:
            return isinstance(value, list | tuple)
        return isinstance(value, kind)

    def unknown(self, name: str) -> RunConfigurationException:
        from turnout.spec.records import nearest

        names = [n for n in self.__dataclass_fields__ if not n.startswith("_")]
        names += [n for n, v in vars(type(self)).items() if isinstance(v, property)]
        hint = nearest(name, names) or f"; it has {', '.join(names)}"
        return RunConfigurationException(f"{type(self).__name__} has no setting '{name}'{hint}.")

    def as_dict(self) -> dict[str, Any]:
        """All settings as plain data."""
        found: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            found[name.lstrip("_")] = plain(getattr(self, name))
        return found

    def changes(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as plain data."""
        fresh = type(self)().as_dict()
        return {k: v for k, v in self.as_dict().items() if v != fresh[k]}

    def __repr__(self) -> str:
        import yaml

        return yaml.safe_dump(self.as_dict(), sort_keys=False).rstrip()


def plain(value: Any) -> Any:
    """Settings as plain data, also those in lists and mappings."""
    as_dict = getattr(value, "as_dict", None)
    if as_dict:
        return as_dict()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)  # a data reference, a dataset: what stands for it in arguments
