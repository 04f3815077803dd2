"""What the SDK's classes have: members, what those give, and the arguments that they take."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterable
from functools import cache
from typing import Any

from turnout.payload.v1 import modules, names

#: Behind a name in an annotation: "list[Run]", "Run | None", "Generator[Run, None, None]".
WORD = re.compile(r"[A-Za-z_]\w*")
#: The SDK gives the class of the target's kind; programs mean this one of a new one.
WRAPPED = ("list", "dict", "Generator", "Iterator", "Sequence", "Iterable", "tuple")


@cache
def kinds(kind: type) -> tuple[type, ...]:
    """The class, and those of the SDK that an object of it may turn out to be: what
    `ComputeTarget.create` gives is an `AmlCompute`."""
    for home in ("turnout:AmlCompute", "turnout:RemoteCompute", "turnout:ScriptRun"):
        modules.load(home)
    found = [kind]
    for each in found:
        found += [sub for sub in each.__subclasses__() if sub not in found]
    return tuple(found)


def owner(kind: type, name: str) -> type | None:
    """The first of `kinds` that has a member of this name."""
    return next((each for each in kinds(kind) if has(each, name)), None)


def has(kind: type, name: str) -> bool:
    """Whether instances or the class have a member of this name."""
    return (
        hasattr(kind, name)
        or name in getattr(kind, "__dataclass_fields__", {})
        or name in assigned(kind)
    )


@cache
def assigned(kind: type) -> frozenset[str]:
    """Attributes that the methods of the class, or of those before it, set."""
    found: set[str] = set()
    for base in kind.__mro__:
        found |= set(vars(base).get("__annotations__", {}))
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
    return frozenset(found)


def value_of(kind: type, name: str) -> type | None:
    """The class of an attribute of an instance, or None when it is not known."""
    for base in kind.__mro__:
        annotation = vars(base).get("__annotations__", {}).get(name)
        if annotation is not None:
            return named(annotation, base)
    found = inspect.getattr_static(kind, name, None)
    return result_of(found.fget) if isinstance(found, property) and found.fget else None


def result_of(function: Any) -> type | None:
    """The class of what a call of `function` gives, or None when it is not known."""
    function = getattr(function, "__func__", function)
    annotation = getattr(function, "__annotations__", {}).get("return")
    return None if annotation is None else named(annotation, function)


def element_of(function: Any) -> type | None:
    """The class of the elements of what a call gives: of `for run in experiment.get_runs()`."""
    function = getattr(function, "__func__", function)
    text = str(getattr(function, "__annotations__", {}).get("return") or "")
    if not text.startswith(WRAPPED):
        return None
    return named(text.partition("[")[2], function)


def named(annotation: Any, near: Any) -> type | None:
    """The SDK's class that an annotation names first, looked for where it was written."""
    if isinstance(annotation, type):
        return annotation if annotation.__module__.startswith("turnout") else None
    text = str(annotation)
    if text.startswith(WRAPPED):
        return None
    scope = vars(sys.modules[near.__module__])
    for word in WORD.findall(text):
        found = scope.get(word)
        if found is None and word in names.HOMES:
            try:
                found = modules.load(names.HOMES[word])
            except ImportError:
                continue
        if isinstance(found, type) and found.__module__.startswith("turnout"):
            return found
    return None


def unknown_arguments(functions: Iterable[Any], given: list[str]) -> list[str]:
    """Those of the keywords `given` that a call of each of the functions would refuse."""
    refused = [set(refused_by(function, given)) for function in functions]
    return [name for name in given if all(name in names for names in refused)]


def refused_by(function: Any, given: list[str]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return []
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return []
    return [name for name in given if name not in parameters]
