"""What the era shim does once one of its libraries is imported: stand-ins, and saying so."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import FrameType, ModuleType
    from typing import Any, Callable

    Hook = Callable[..., None]

#: Our modules, by the names under which they run.
OURS = ("sitecustomize", "turnout.payload.sitecustomize", "arrays", "frames", "learning", "names",
        "python", "revivals")  # fmt: skip


class Revivals:
    """The table, and what of it has been brought back in this process."""

    def __init__(self, load: Callable[[str], Any], hook: Hook) -> None:
        self.load = load
        self.hook = hook
        self.names = load("names")
        self.own: dict[str, Any] = {}
        #: (old name of a package + ".", its name now + "."): their submodules are the same too.
        self.renamed: list[tuple[str, str]] = []
        self.told: set[str] = set()

    # -- modules -------------------------------------------------------------------------------

    def submodule(self, name: str) -> ModuleSpec | None:
        """The same module as under its name of today, where a package was renamed."""
        for old, new in self.renamed:
            if name.startswith(old):
                return self.alias(name, new + name[len(old) :])
        return None

    def gone(self, name: str) -> ModuleSpec | None:
        """What stands in for a module that nobody has."""
        rule = self.names.MODULES.get(name)
        if rule is not None and not isinstance(rule, str):
            return spec_of(name, Names(self.hook, rule))
        for new in (rule or "").split():
            try:
                return self.alias(name, new)
            except ImportError:
                continue
        return None

    def alias(self, old: str, new: str) -> ModuleSpec:
        from importlib import import_module

        return spec_of(old, Alias(self, import_module(new)))

    # -- attributes ----------------------------------------------------------------------------

    def hook_all(self, module: ModuleType) -> None:
        self.hook(module)
        for name, rule in self.names.ATTRIBUTES.get(module.__name__, {}).items():
            if "." in name:
                owner: Any = getattr(module, name.split(".")[0], None)
                attribute = name.split(".")[1]
                if owner and not any(attribute in vars(base) for base in owner.__mro__):
                    setattr(owner, attribute, Gone(self, module.__name__, name, rule))

    def attribute(self, module: ModuleType, name: str, asker: FrameType) -> Any:
        """What stands in for a name of `module`, from now on its own. Raises if nothing does."""
        if is_hasattr(asker):
            raise AttributeError(name)
        rules = self.names.ATTRIBUTES.get(module.__name__) or self.names.MODULES[module.__name__]
        value, shown = self.find(rules[name], module, module.__name__, name)
        value = value() if rules[name].endswith("()") else value
        setattr(module, name, value)
        self.tell(module.__name__ + "." + name, shown)
        return value

    def find(self, rule: str, owner: Any, module: str, name: str) -> tuple[Any, str]:
        """What a rule of the table leads to, and what that is called."""
        place, _, path = rule.replace("()", "").rpartition(":")
        if place.startswith("own."):
            if place not in self.own:
                self.own[place] = self.load(place[4:])
            value = getattr(self.own[place], path)
            # Pickled by its old name, which is there wherever the shim is.
            value.__module__, value.__qualname__ = module, name
            value.__name__ = name.rpartition(".")[2]
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
        if top in self.names.STANDARD:
            return "Python %d.%d" % sys.version_info[:2]
        version = getattr(sys.modules.get(top), "__version__", "")
        return "%s %s" % (self.names.TITLES.get(top, top), version) if version else top


class Gone:
    """A name that a class once had."""

    def __init__(self, revivals: Revivals, module: str, name: str, rule: str) -> None:
        self.revivals = revivals
        self.module = module
        self.name = name
        self.attribute = name.rpartition(".")[2]
        self.rule = rule
        self.asking: set[tuple[int, int]] = set()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        asker = sys._getframe(1)
        calls = self.rule.endswith("()")
        if asker.f_code.co_name == "__getattr__" or is_hasattr(asker):
            raise AttributeError(self.attribute)
        if instance is None and calls:
            return self
        if instance is not None and self.has(instance, owner):
            # Python then asks the class's own `__getattr__`: a DataFrame's column, say.
            raise AttributeError(self.attribute)
        try:
            start = owner if instance is None else instance
            value, shown = self.revivals.find(self.rule, start, self.module, self.name)
            if self.rule.startswith("own."):
                value = value.__get__(instance, owner)
        except Exception:
            text = "'%s' object has no attribute '%s'" % (owner.__name__, self.attribute)
            raise AttributeError(text) from None
        if instance is not None:
            # Classes are looked through by many who use nothing of what they find.
            self.revivals.tell(self.module + "." + self.name, shown)
        return value() if calls else value

    def has(self, instance: Any, owner: Any) -> bool:
        """Whether the class's own `__getattr__`, which comes back to us, knows the name."""
        library = getattr(owner, "__getattr__", None)
        try:
            if library is not None:
                library(instance, self.attribute)
        except AttributeError:
            return False
        return library is not None


class Alias:
    """Loads an old name of a module: the module itself, not a second one."""

    def __init__(self, revivals: Revivals, module: ModuleType) -> None:
        self.revivals = revivals
        self.module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        sys.modules[old] = self.module
        if not any(old.startswith(known) for known, _ in self.revivals.renamed):
            self.revivals.tell(old, self.module.__name__)
            if hasattr(self.module, "__path__"):
                self.revivals.renamed.append((old + ".", self.module.__name__ + "."))


class Names:
    """Loads a module that has the names of the table and no others."""

    def __init__(self, hook: Hook, rules: dict[str, str]) -> None:
        self.hook = hook
        self.rules = rules

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []
        module.__all__ = sorted(self.rules)  # type: ignore
        known = ", ".join(sorted(self.rules)) or "submodules only"
        self.hook(module, " (turnout's stand-in for that module has: %s)" % known)


def spec_of(name: str, loader: Any) -> ModuleSpec:
    from importlib.machinery import ModuleSpec

    return ModuleSpec(name, loader)


def is_hasattr(frame: FrameType) -> bool:
    """Whether `frame` asks if a name is there instead of using it: then the truth is told."""
    code = frame.f_code
    if "hasattr" not in code.co_names:
        return False
    from opcode import opname

    words = code.co_code
    at = frame.f_lasti
    if "CALL" not in opname[words[at]]:
        return False
    # What is called was loaded a few steps before: the name, the object, the attribute.
    steps = 0
    while at >= 2 and steps < 6:
        at -= 2
        operation = opname[words[at]]
        steps += operation != "CACHE"
        if operation in ("LOAD_GLOBAL", "LOAD_NAME"):
            number = words[at + 1]
            if at >= 2 and opname[words[at - 2]] == "EXTENDED_ARG":
                number += words[at - 1] << 8
            if operation == "LOAD_GLOBAL" and sys.version_info >= (3, 11):
                number >>= 1
            if code.co_names[number] in ("hasattr", "getattr"):
                return code.co_names[number] == "hasattr"
    return False


def caller() -> str:
    """Who asked: "train.py:3: ", or nothing."""
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module not in OURS and not module.startswith(("importlib", "_frozen_importlib")):
            file = frame.f_code.co_filename
            if os.path.basename(os.path.dirname(file)).startswith("ipykernel_"):
                return "line %d of the cell: " % frame.f_lineno
            here = os.getcwd() + os.sep
            return "%s:%d: " % (
                file[len(here) :] if file.startswith(here) else file,
                frame.f_lineno,
            )
        frame = frame.f_back
    return ""
