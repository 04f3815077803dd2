"""Forms for configurations, made from their models: a new kind of target needs no page of its own.

What a form needs beyond a field's type stands in its `json_schema_extra`: "advanced" (folded
away), "multiline", "hidden" (shown to nobody), "placeholder", "engine" (only with an engine).
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from turnout.spec.errors import ConfigurationError
from turnout.spec.secrets import Secret

#: Before the names of a configuration's fields, which may be called as those beside them.
PREFIX = "config."
Widget = Literal[
    "text", "number", "check", "choice", "secret", "secret_text", "text_area", "lines", "json"
]


@dataclass(frozen=True)
class FormField:
    """One field of a form. `default` is what holds when it is left empty, as a text."""

    name: str
    title: str
    widget: Widget
    hint: str = ""
    default: str = ""
    choices: tuple[Any, ...] = ()
    placeholder: str = ""
    is_required: bool = False
    is_advanced: bool = False
    is_hidden: bool = False
    on_engine: bool = False

    @property
    def is_secret(self) -> bool:
        """Never sent back to a browser."""
        return self.widget in ("secret", "secret_text")

    def shown(self, value: Any) -> str:
        """A stored value as the form's text."""
        if value is None or self.is_secret:
            return ""
        if self.widget == "check":
            return "true" if value else ""
        if self.widget == "lines":
            return "\n".join(str(item) for item in value)
        if self.widget == "json":
            return json.dumps(value, ensure_ascii=False)
        return str(value)


def fields_of(model: type[BaseModel]) -> list[FormField]:
    """The fields of a configuration, in their order."""
    return [field_of(name, info) for name, info in model.model_fields.items()]


def field_of(name: str, info: FieldInfo) -> FormField:
    given = info.json_schema_extra
    extra: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    kind = first_type(info.annotation)
    widget = widget_of(kind, is_multiline=bool(extra.get("multiline")))
    plain = FormField(name, "", widget)
    no_default = info.default is PydanticUndefined or info.default is None
    return FormField(
        name=name,
        title=info.title or name.replace("_", " ").capitalize(),
        widget=widget,
        hint=info.description or "",
        default="" if no_default else plain.shown(info.default),
        choices=choices_of(kind),
        placeholder=str(extra.get("placeholder", "")),
        is_required=info.is_required(),
        is_advanced=bool(extra.get("advanced")),
        is_hidden=bool(extra.get("hidden")),
        on_engine=bool(extra.get("engine")),
    )


def first_type(annotation: Any) -> Any:
    """The first type of a union that is not None: what a form offers.

    >>> first_type(Union[None, int, str])
    <class 'int'>
    """
    if get_origin(annotation) in (Union, types.UnionType):
        found = [kind for kind in get_args(annotation) if kind is not type(None)]
        return first_type(found[0])
    return annotation


def widget_of(kind: Any, *, is_multiline: bool) -> Widget:
    if choices_of(kind):
        return "choice"
    if get_origin(kind) in (list, tuple, set, frozenset) and str in get_args(kind):
        return "lines"
    if not isinstance(kind, type):
        return "json"
    if issubclass(kind, Secret):
        return "secret_text" if is_multiline else "secret"
    if issubclass(kind, bool):
        return "check"
    if issubclass(kind, (int, float)):
        return "number"
    if issubclass(kind, (dict, list, tuple, set, frozenset, BaseModel)):
        return "json"
    return "text_area" if is_multiline else "text"


def choices_of(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(choice.value for choice in kind)
    return ()


def read(fields: Sequence[FormField], form: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that a form holds. What was left empty is left out: its default holds.
    Raises `ConfigurationError` for what can be no value of its type at all."""
    config: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for field in fields:
        # Browsers end lines as networks do.
        text = str(form.get(PREFIX + field.name) or "").replace("\r\n", "\n")
        if field.widget == "check":
            if text or field.default:
                config[field.name] = bool(text)
        elif text.strip():
            try:
                config[field.name] = value_of(field, text)
            except ValueError as e:
                wrong[field.name] = f"This is no JSON: {e}"
    if wrong:
        raise ConfigurationError("The form cannot be read.", wrong)
    return config


def value_of(field: FormField, text: str) -> Any:
    """What a text that is not empty says; its type is checked by the model."""
    if field.widget == "secret":
        return text
    # Spaces come along where a person pastes.
    plain = text.strip()
    if field.widget == "secret_text":
        return f"{plain}\n" if "\n" in plain else plain
    if field.widget == "lines":
        return [line.strip() for line in plain.splitlines() if line.strip()]
    if field.widget == "json":
        return json.loads(plain)
    if field.widget == "choice":
        return next((choice for choice in field.choices if str(choice) == plain), plain)
    return plain


def values(fields: Sequence[FormField], config: Mapping[str, Any]) -> dict[str, str]:
    """What the form shows of a stored configuration."""
    return {f.name: f.shown(config[f.name]) for f in fields if f.name in config}


def typed(fields: Sequence[FormField], form: Mapping[str, Any]) -> dict[str, str]:
    """What a person typed, to be shown again; never a secret."""
    return {f.name: str(form.get(PREFIX + f.name) or "") for f in fields if not f.is_secret}
