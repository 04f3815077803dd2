"""What stands in for gone names of Python, where no single name of today does.

The first line of a docstring is what the run's log says. Everything takes what the gone one took.
"""

from __future__ import annotations

import os
import sys
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


ArgSpec = namedtuple("ArgSpec", "args varargs keywords defaults")  # type: ignore


def getargspec(function: Any) -> Any:
    """the first four of inspect.getfullargspec"""
    import inspect

    found = inspect.getfullargspec(function)
    if found.kwonlyargs or found.annotations:
        raise ValueError("Function has keyword-only parameters or annotations.")
    return ArgSpec(*found[:4])


def load_source(name: str, path: str, file: Any = None) -> Any:
    """a loader of importlib"""
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, path, loader=SourceFileLoader(name, path))
    assert spec is not None
    module = sys.modules[name] = module_from_spec(spec)
    SourceFileLoader(name, path).exec_module(module)
    return module


def strtobool(text: str) -> int:
    """turnout's own of the same meaning"""
    word = text.lower()
    if word in ("y", "yes", "t", "true", "on", "1"):
        return 1
    if word in ("n", "no", "f", "false", "off", "0"):
        return 0
    raise ValueError("invalid truth value %r" % (text,))


def copy_tree(src: str, dst: str, *args: Any, **options: Any) -> list[str]:
    """shutil.copytree into a folder that may be there"""
    import shutil

    if args or options:
        raise TypeError("turnout's stand-in for copy_tree takes a source and a destination only.")
    copied: list[str] = []

    def copy(source: str, target: str) -> str:
        copied.append(target)
        return shutil.copy2(source, target)

    shutil.copytree(src, dst, copy_function=copy, dirs_exist_ok=True)
    return copied


def mkpath(name: str, mode: int = 0o777, *_: Any) -> list[str]:
    """os.makedirs"""
    os.makedirs(name, mode, exist_ok=True)
    return [name]


def remove_tree(directory: str, *_: Any) -> None:
    """shutil.rmtree"""
    import shutil

    shutil.rmtree(directory)


def get_python_lib(plat_specific: int = 0, *_: Any) -> str:
    """sysconfig.get_path"""
    import sysconfig

    return sysconfig.get_path("platlib" if plat_specific else "purelib")


def get_python_inc(plat_specific: int = 0, *_: Any) -> str:
    """sysconfig.get_path"""
    import sysconfig

    return sysconfig.get_path("platinclude" if plat_specific else "include")


class LooseVersion:
    """turnout's own of the same order"""

    def __init__(self, vstring: str) -> None:
        import re

        self.vstring = vstring
        words = re.findall(r"\d+|[a-z]+|[^\d.a-z]+", vstring)
        self.version = [int(word) if word.isdigit() else word for word in words]

    def __str__(self) -> str:
        return self.vstring

    def __repr__(self) -> str:
        return "%s ('%s')" % (type(self).__name__, self.vstring)

    def ranks(self) -> list[tuple[int, int, str]]:
        """Parts that can be compared: words are before numbers."""
        return [(1, p, "") if isinstance(p, int) else (0, 0, p) for p in self.version]

    def compare(self, other: Any) -> int:
        mine = self.ranks()
        theirs = (other if isinstance(other, LooseVersion) else type(self)(str(other))).ranks()
        return (mine > theirs) - (mine < theirs)

    def __eq__(self, other: object) -> bool:
        return self.compare(other) == 0

    def __lt__(self, other: object) -> bool:
        return self.compare(other) < 0

    def __le__(self, other: object) -> bool:
        return self.compare(other) <= 0

    def __gt__(self, other: object) -> bool:
        return self.compare(other) > 0

    def __ge__(self, other: object) -> bool:
        return self.compare(other) >= 0

    def __hash__(self) -> int:
        return hash(self.vstring)


class StrictVersion(LooseVersion):
    """turnout's own of the same order"""

    def ranks(self) -> list[tuple[int, int, str]]:
        found = super().ranks()
        words = [number for number, part in enumerate(self.version) if isinstance(part, str)]
        numbers = words[0] if words else len(found)
        # 1.0 is 1.0.0, and 1.0a1 is before both.
        return found[:numbers] + [(1, 0, "")] * (3 - numbers) + (found[numbers:] or [(2, 0, "")])


def iteritems(mapping: Any) -> Any:
    """items()"""
    return iter(mapping.items())


def string_types() -> tuple[type, ...]:
    """(str,)"""
    return (str,)


def string_classes() -> tuple[type, ...]:
    """(str, bytes)"""
    return (str, bytes)
