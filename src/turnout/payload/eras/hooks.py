"""Old scripts use names that libraries have dropped: these finders bring them back, when asked.

One finder stands first: a library that `names` knows gets, once imported, a `__getattr__` that is
asked only for what it lacks. The other stands last: it is asked only for modules that nobody has.
What a library still has is never touched, and whatever fails here leaves the library's own error.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Callable, Sequence

#: Top-level modules that `names` says something about. Known here, so that the table is read
#: only by those who import one of them.
LIBRARIES = frozenset((
    "base64", "collections", "configparser", "distutils", "fractions", "imp", "inspect", "locale",
    "pipes", "threading", "time", "xml",
    "IPython", "PIL", "h5py", "imblearn", "keras", "matplotlib", "networkx", "numpy", "pandas",
    "scipy", "seaborn", "skimage", "sklearn", "torch", "torchvision",
))  # fmt: skip
#: Loaded before anything else in most Pythons, and without classes in the table.
EARLY = ("time", "collections")
MISSING = object()
#: Frames with both these words in their file's name are not counted by `warnings.warn`: what a
#: library says about its own names still points at the script, and is shown.
UNCOUNTED = "<turnout's eras, between importlib._bootstrap and the library>"


class Eras:
    """The table, and what it has brought back in this process."""

    def __init__(self, load: Callable[[str], Any]) -> None:
        self.load = load
        self.table: Any = None
        self.own: dict[str, Any] = {}
        #: (old name of a package + ".", its name now + "."): their submodules are the same too.
        self.renamed: list[tuple[str, str]] = []
        self.told: set[str] = set()

    def names(self) -> Any:
        if self.table is None:
            self.table = self.load("names")
        return self.table

    def hook(self, module: ModuleType, extra: str = "") -> None:
        """Be asked for what `module` lacks."""
        library = vars(module).get("__getattr__")
        # A module that is reloaded keeps what was put into it.
        library = getattr(library, "turnout_eras_library", library)

        def __getattr__(name: str) -> Any:
            if library is not None:
                try:
                    return library(name)
                except AttributeError as e:
                    error = e
            else:
                text = "module '%s' has no attribute '%s'%s" % (module.__name__, name, extra)
                error = AttributeError(text)
                error.name, error.obj = name, module  # type: ignore
            value = MISSING if name.startswith("__") else self.revive(module, name)
            if value is MISSING:
                raise error
            return value

        __getattr__.__code__ = __getattr__.__code__.replace(co_filename=UNCOUNTED)
        __getattr__.turnout_eras_library = library  # type: ignore
        module.__getattr__ = __getattr__  # type: ignore

    def hook_classes(self, module: ModuleType) -> None:
        for name, rule in self.names().ATTRIBUTES[module.__name__].items():
            if "." in name:
                owner: Any = getattr(module, name.split(".")[0], None)
                attribute = name.split(".")[1]
                if owner and not any(attribute in vars(base) for base in owner.__mro__):
                    setattr(owner, attribute, Gone(self, module.__name__ + "." + name, rule))

    def revive(self, module: ModuleType, name: str) -> Any:
        """What stands in for a name of `module`, or MISSING."""
        try:
            names = self.names()
            rules = names.ATTRIBUTES.get(module.__name__) or names.MODULES[module.__name__]
            value, shown = self.find(rules[name], module)
            value = value() if rules[name].endswith("()") else value
            setattr(module, name, value)
        except Exception:
            return MISSING
        self.tell(module.__name__ + "." + name, shown)
        return value

    def find(self, rule: str, owner: Any) -> tuple[Any, str]:
        """What a rule of the table leads to, and how that is called."""
        place, _, path = rule.replace("()", "").rpartition(":")
        if place.startswith("own."):
            if place not in self.own:
                self.own[place] = self.load(place[4:])
            value = getattr(self.own[place], path)
            return value, value.__doc__
        start = owner
        if place:
            from importlib import import_module

            start = import_module(place)
        steps = path.lstrip(".").split(".") if path else []
        shown = ".".join([getattr(start, "__name__", type(start).__name__), *steps])
        for step in steps:
            start = getattr(start, step)
        return start, shown.replace("builtins.", "")

    def tell(self, name: str, shown: str) -> None:
        """Say it in the log, once in a run."""
        if name in self.told:
            return
        self.told.add(name)
        try:
            folder = os.path.join(os.environ["TURNOUT_RUN_FOLDER"], "eras")
            if not os.path.isdir(folder):
                os.mkdir(folder, 0o700)
            os.mkdir(os.path.join(folder, name), 0o700)
        except FileExistsError:
            return
        except (OSError, KeyError):
            pass  # Then once in a process.
        try:
            text = "[turnout] %s%s is gone from %s; %s stands in for it (turnout's era shim; "
            text += "switch it off with eras=False or TURNOUT_ERAS=0)\n"
            sys.stderr.write(text % (caller(), name, self.release(name), shown))
        except Exception:
            return

    def release(self, name: str) -> str:
        top = name.partition(".")[0]
        if top in self.names().STANDARD:
            return "Python %d.%d" % sys.version_info[:2]
        version = getattr(sys.modules.get(top), "__version__", "")
        return "%s %s" % (self.names().TITLES.get(top, top), version) if version else top


class Gone:
    """A name that a class once had."""

    def __init__(self, eras: Eras, name: str, rule: str) -> None:
        self.eras = eras
        self.name = name
        self.attribute = name.rpartition(".")[2]
        self.rule = rule
        self.asking: set[tuple[int, int]] = set()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is not None and self.has(instance, owner):
            # Python then asks the class's own `__getattr__`: a DataFrame's column, say.
            raise AttributeError(self.attribute)
        calls = self.rule.endswith("()")
        if instance is None and calls:
            return self
        try:
            value, shown = self.eras.find(self.rule, owner if instance is None else instance)
            if self.rule.startswith("own."):
                value = value.__get__(instance, owner)
        except Exception:
            text = "'%s' object has no attribute '%s'" % (owner.__name__, self.attribute)
            raise AttributeError(text) from None
        self.eras.tell(self.name, shown)
        return value() if calls else value

    def has(self, instance: Any, owner: Any) -> bool:
        """Whether the class's own `__getattr__` knows the name for this instance."""
        library = getattr(owner, "__getattr__", None)
        key = (get_ident(), id(instance))
        if library is None:
            return False
        if key in self.asking:
            raise AttributeError(self.attribute)
        self.asking.add(key)
        try:
            library(instance, self.attribute)
        except AttributeError:
            return False
        finally:
            self.asking.discard(key)
        return True


class First:
    """Asked before every import; interested in the libraries of the table."""

    turnout_eras = True

    def __init__(self, eras: Eras) -> None:
        self.eras = eras
        self.busy: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] not in LIBRARIES or name in self.busy:
            return None
        self.busy.add(name)
        try:
            for old, new in self.eras.renamed:
                if name.startswith(old):
                    return alias(self.eras, name, new + name[len(old) :])
            if name in self.eras.names().ATTRIBUTES:
                return self.found(name, path, target)
        except Exception:
            return None  # The import goes on without us, and meets its own fault, if any.
        finally:
            self.busy.discard(name)
        return None

    def found(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(name, path, target) if hasattr(finder, "find_spec") else None
            if spec is not None:
                if hasattr(spec.loader, "exec_module") and spec.loader is not None:
                    spec.loader = Loader(self.eras, spec.loader)  # type: ignore
                return spec
        return None


class Last:
    """Asked for what nobody has found."""

    turnout_eras = True

    def __init__(self, eras: Eras) -> None:
        self.eras = eras

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] not in LIBRARIES:
            return None
        try:
            rule = self.eras.names().MODULES.get(name)
            if rule is not None and not isinstance(rule, str):
                return spec_of(name, Names(self.eras, rule))
            for new in (rule or "").split():
                try:
                    return alias(self.eras, name, new)
                except ImportError:
                    continue
        except Exception:
            return None
        return None


class Loader:
    """A library's own loader, and after it our hooks."""

    def __init__(self, eras: Eras, library: Any) -> None:
        self.eras = eras
        self.library = library

    @property
    def __class__(self) -> Any:  # type: ignore
        return type(self.library)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["library"], name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.library.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self.library
        module.__loader__ = self.library
        self.library.exec_module(module)
        try:
            module = sys.modules.get(module.__name__, module)
            self.eras.hook(module)
            self.eras.hook_classes(module)
        except Exception:
            return


class Alias:
    """Loads an old name of a module: the module itself, not a second one."""

    def __init__(self, eras: Eras, module: ModuleType) -> None:
        self.eras = eras
        self.module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        sys.modules[old] = self.module
        if not any(old.startswith(known) for known, _ in self.eras.renamed):
            self.eras.tell(old, self.module.__name__)
            if hasattr(self.module, "__path__"):
                self.eras.renamed.append((old + ".", self.module.__name__ + "."))


class Names:
    """Loads a module that has the names of the table and no others."""

    def __init__(self, eras: Eras, rules: dict[str, str]) -> None:
        self.eras = eras
        self.rules = rules

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []
        module.__all__ = sorted(self.rules)  # type: ignore
        known = ", ".join(sorted(self.rules)) or "submodules only"
        self.eras.hook(module, " (turnout's stand-in for that module has: %s)" % known)


def spec_of(name: str, loader: Any) -> ModuleSpec:
    from importlib.machinery import ModuleSpec

    return ModuleSpec(name, loader)


def alias(eras: Eras, old: str, new: str) -> ModuleSpec:
    from importlib import import_module

    return spec_of(old, Alias(eras, import_module(new)))


def caller() -> str:
    """Who asked: "train.py:3: ", or nothing."""
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if frame.f_globals is not globals() and not module.startswith(
            ("importlib", "_frozen_importlib")
        ):
            file = frame.f_code.co_filename
            here = os.getcwd() + os.sep
            return "%s:%d: " % (
                file[len(here) :] if file.startswith(here) else file,
                frame.f_lineno,
            )
        frame = frame.f_back
    return ""


def install(load: Callable[[str], Any]) -> None:
    """Put the finders in place. `load` gives a module of this folder by its name."""
    if any(hasattr(finder, "turnout_eras") for finder in sys.meta_path):
        return
    eras = Eras(load)
    sys.meta_path.insert(0, First(eras))  # type: ignore
    sys.meta_path.append(Last(eras))  # type: ignore
    for name in LIBRARIES.intersection(sys.modules):
        eras.hook(sys.modules[name])
        if name not in EARLY and name in eras.names().ATTRIBUTES:
            eras.hook_classes(sys.modules[name])
