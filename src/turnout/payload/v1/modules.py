"""Makes the modules of `azureml` from the table in `names`: nothing is loaded before it is used.

What is not served imports all the same, so that a script gets past its first lines, and fails with
one sentence where it is used.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from turnout.payload import kernel_eras
from turnout.payload.v1 import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any, Dict, List

TOP = "azureml"
#: What is there in `turnout-azureml` only.
WARTS = "_warts.py"
#: Said of names whose place is not where this process can reach it.
ABSENT = (
    "a script on another machine has `Run` and the data it was given, and no way to the "
    "workspace; pass what it needs as arguments, or ask for it where the run is submitted"
)


class NotServedError(NotImplementedError):
    """A name of v1 was used that Turnout does not serve; the message says why and what to do."""


class Unserved(type):
    """The class of placeholders: they may be imported, named and subclassed, not used."""

    reason = ""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotServedError(cls.reason)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") or name == "_ipython_canary_method_should_not_exist_":
            raise AttributeError(name)
        raise NotServedError(cls.reason)

    def __repr__(cls) -> str:
        return "<%s: not served>" % cls.__qualname__


def placeholder(module: str, name: str, why: str) -> Any:
    """What stands for a name that is not served; exceptions can be named in `except`."""
    fields: Dict[str, Any] = {"__module__": module, "__doc__": why}
    if name.endswith(("Exception", "Error")):
        return type(name, (base_exception(),), fields)
    fields["reason"] = "%s.%s cannot be used: %s." % (module, name, why)
    return Unserved(name, (), fields)


def base_exception() -> type[Exception]:
    try:
        return load("turnout.client.exceptions:AzureMLException")
    except ImportError:
        return Exception


def load(home: str) -> Any:
    """What "module:attribute" names; ImportError when it is not there."""
    from importlib import import_module

    module, _, attribute = home.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except AttributeError as e:
        raise ImportError(str(e)) from None


def status(module: str, name: str) -> str:
    """Why `module.name` is not served: "" when it is, "unknown" when v1 has no such name."""
    listed = names.MODULES.get(module, "").split()
    if name in listed and name in names.HOMES:
        return ""
    if name in listed and name in names.UNSERVED:
        return names.UNSERVED[name]
    area = area_of(module)
    if area and (name not in listed or module not in names.MODULES):
        return area
    return "this name of v1 has no meaning here" if name in listed else "unknown"


def area_of(module: str) -> str:
    """What is to be said of everything in `module`, or nothing."""
    for top, why in names.AREAS:
        if module == top or module.startswith(top + "."):
            return why
    return ""


def is_module(name: str) -> bool:
    """Whether v1 had a module of this name that can be imported here."""
    return name in names.MODULES or bool(area_of(name)) or is_parent(name)


def is_parent(name: str) -> bool:
    return any(area.startswith(name + ".") for area, _ in names.AREAS)


def find(module: str, name: str) -> Any:
    """The object that stands for `module.name`; AttributeError when v1 had none."""
    why = status(module, name)
    if why == "unknown":
        raise AttributeError("module '%s' has no attribute '%s'" % (module, name))
    if why:
        return placeholder(module, name, why)
    try:
        return load(names.HOMES[name])
    except ImportError as e:
        if getattr(e, "name", "") and not str(e.name).startswith(("turnout", TOP)):
            raise  # A library is missing; the error says which.
        if name in names.SCRIPT_HOMES:
            return load(names.SCRIPT_HOMES[name])
        return placeholder(module, name, ABSENT)


class Module(ModuleType):
    """One module of v1's."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError("module '%s' has no attribute '%s'" % (self.__name__, name))
        inner = "%s.%s" % (self.__name__, name)
        if inner in names.MODULES or is_parent(inner):
            # v1's packages had imported their parts: `import azureml.core` was enough.
            from importlib import import_module

            return import_module(inner)
        value = find(self.__name__, name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> List[str]:
        listed = names.MODULES.get(self.__name__, "").split()
        below = self.__name__ + "."
        inner = [m[len(below) :] for m in names.MODULES if m.startswith(below)]
        return sorted({*vars(self), *listed, *(m for m in inner if "." not in m)})


class SnapshotLimits(Module):
    """`azureml._restclient.snapshots_client`: v1's documentation has people set its constant."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "SNAPSHOT_MAX_SIZE_BYTES":
            megabytes = max(1, -(-int(value) // (1 << 20)))
            os.environ["TURNOUT_SNAPSHOT_LIMIT_MB"] = str(megabytes)


class Finder:
    """Finds the modules below `azureml`; asked after the folders of `sys.path`."""

    turnout_v1 = True

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if not name.startswith(TOP + "."):
            return None
        if is_module(name):
            from importlib.machinery import ModuleSpec

            return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]
        parent, _, last = name.rpartition(".")
        if parent in names.MODULES:
            # Without `name`: "from azureml.core import X" then shows this text, not Python's.
            raise ModuleNotFoundError(unknown(parent, last))
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        kind = SnapshotLimits if spec.name.endswith(".snapshots_client") else Module
        return kind(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        listed = names.MODULES.get(module.__name__, "").split()
        module.__all__ = [n for n in listed if n in names.HOMES]  # type: ignore[attr-defined]


def unknown(module: str, name: str) -> str:
    """
    >>> unknown("azureml.core", "Workspce")
    "'azureml.core' has no 'Workspce' (did you mean 'Workspace'?)."
    """
    import difflib

    listed = names.MODULES.get(module, "").split()
    close = difflib.get_close_matches(name, listed, n=1)
    hint = " (did you mean '%s'?)" % close[0] if close else ""
    return "'%s' has no '%s'%s." % (module, name, hint)


def serve(name: str) -> None:
    """Make the package `name` (it is `azureml`) what the table says. May be called twice."""
    package = sys.modules[name]
    package.__class__ = Module
    # In a script the payload's file stands first, and has not what an installed layer has more.
    for entry in sys.path:
        folder = os.path.join(entry or os.curdir, TOP)
        if folder not in package.__path__ and os.path.isfile(os.path.join(folder, WARTS)):
            package.__path__.append(folder)  # type: ignore[attr-defined]
    if not any(hasattr(finder, "turnout_v1") for finder in sys.meta_path):
        sys.meta_path.append(Finder())  # type: ignore[arg-type]
        kernel_eras.install()
