"""What every Python of a run imports first: the era shim, then the next `sitecustomize` in line.

It lies at the top of the payload, which stands first on the script's PYTHONPATH, so it hides a
`sitecustomize` of the environment (Debian and conda have one) and must run that too.

The shim has two finders. One stands first: a library that the table knows gets, once imported, a
`__getattr__` that is asked only for what it lacks. The other stands last: it is asked only for
modules that nobody has. What a library still has is never touched, and whatever fails here leaves
the library's own answer. All else is loaded by those who import one of the libraries.
"""

# Every Python of a run reads this file, however old: no annotations, no new syntax. It is one
# file, with few imports, because a second one would double what it costs each of them.
# pyright: basic

import os
import sys

FOLDER = os.path.dirname(__file__)
#: Values of TURNOUT_ERAS that leave everything as the libraries have it.
OFF = ("0", "false", "no", "off")
#: Top-level modules that the table (`eras/names.py`) says something about.
LIBRARIES = frozenset((
    "base64", "collections", "configparser", "distutils", "fractions", "imp", "inspect", "locale",
    "pipes", "threading", "time", "xml",
    "IPython", "PIL", "h5py", "imblearn", "keras", "matplotlib", "networkx", "numpy", "pandas",
    "scipy", "seaborn", "skimage", "sklearn", "torch", "torchvision",
))  # fmt: skip
#: Those that most scripts import: the table has none of their classes, and is left unread.
LIGHT = ("base64", "collections", "fractions", "inspect", "locale", "time")
MISSING = object()
#: Frames with both these words in their file's name are not counted by `warnings.warn`: what a
#: library says about its own names still points at the script, and is shown.
UNCOUNTED = "<turnout's eras, between importlib._bootstrap and the library>"


class Shim:
    """What has been brought back in this process, loaded when first needed."""

    def __init__(self):
        self.loaded = None

    def revivals(self):
        if self.loaded is None:
            self.loaded = load("revivals").Revivals(load, self.hook)
        return self.loaded

    def stand_in(self, module, name):
        try:
            return self.revivals().attribute(module, name, sys._getframe(2))
        except Exception:
            return MISSING

    def hook(self, module, extra=""):
        """Be asked for what `module` lacks."""
        library = vars(module).get("__getattr__")
        # A module that is reloaded keeps what was put into it.
        library = getattr(library, "turnout_eras_library", library)

        def __getattr__(name):
            if library is not None:
                try:
                    return library(name)
                except AttributeError as e:
                    error = e
            else:
                text = "module '%s' has no attribute '%s'%s" % (module.__name__, name, extra)
                error = AttributeError(text)
                error.name, error.obj = name, module  # type: ignore
            value = MISSING if name.startswith("__") else self.stand_in(module, name)
            if value is MISSING:
                raise error
            return value

        __getattr__.__code__ = __getattr__.__code__.replace(co_filename=UNCOUNTED)
        __getattr__.turnout_eras_library = library
        module.__getattr__ = __getattr__


class First:
    """Asked before every import; interested in the libraries of the table."""

    turnout_eras = True

    def __init__(self, shim):
        self.shim = shim
        self.busy = set()

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in LIBRARIES or name in self.busy or (top in LIGHT and name != top):
            return None
        self.busy.add(name)
        try:
            if name in LIGHT:
                return self.found(name, path, target, self.shim.hook)
            revivals = self.shim.revivals()
            if name in revivals.names.ATTRIBUTES:
                return self.found(name, path, target, revivals.hook_all)
            return revivals.submodule(name)
        except Exception:
            return None  # The import goes on without us, and meets its own fault, if any.
        finally:
            self.busy.discard(name)

    def found(self, name, path, target, then):
        """How the others load it, and `then` after that."""
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(name, path, target) if hasattr(finder, "find_spec") else None
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = Loader(spec.loader, then)  # type: ignore
                return spec
        return None


class Loader:
    """A library's own loader, and our hooks after it."""

    def __init__(self, library, then):
        self.library = library
        self.then = then

    @property
    def __class__(self):
        return type(self.library)

    def __getattr__(self, name):
        return getattr(vars(self)["library"], name)

    def create_module(self, spec):
        return self.library.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = self.library
        if getattr(module, "__spec__", None) is not None:
            module.__spec__.loader = self.library
        self.library.exec_module(module)
        try:
            self.then(module)
        except Exception:
            return


class Last:
    """Asked for what nobody has found."""

    turnout_eras = True

    def __init__(self, shim):
        self.shim = shim

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in LIBRARIES:
            return None
        try:
            return self.shim.revivals().gone(name)
        except Exception:
            return None


def install():
    """Put the finders in place, once."""
    if any(hasattr(finder, "turnout_eras") for finder in sys.meta_path):
        return
    shim = Shim()
    sys.meta_path.insert(0, First(shim))
    sys.meta_path.append(Last(shim))
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if name in LIGHT:
            shim.hook(module)
        elif top in LIBRARIES and top not in LIGHT and module is not None:
            revivals = shim.revivals()
            if name in revivals.names.ATTRIBUTES:
                revivals.hook_all(module)


def load(name):
    """A module of `payload/eras`, without importing `turnout`, which may be the script's own."""
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import PathFinder

    folder = os.path.join(FOLDER, "turnout", "payload", "eras")
    spec = PathFinder.find_spec(name, [folder])
    if spec is None or spec.loader is None:
        raise ImportError("No module named '%s' in %s" % (name, folder))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_next():
    """What would have been `sitecustomize` without us becomes it; its faults are its own."""
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import PathFinder

    after = sys.path[sys.path.index(FOLDER) + 1 :] if FOLDER in sys.path else sys.path
    spec = PathFinder.find_spec("sitecustomize", after)
    if spec and spec.loader:
        module = sys.modules["sitecustomize"] = module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    if os.environ.get("TURNOUT_RUN_FOLDER") and sys.version_info >= (3, 8):
        try:
            if os.environ.get("TURNOUT_ERAS", "").lower() not in OFF:
                install()
        except Exception:  # The script runs as it would without us.
            sys.meta_path[:] = [f for f in sys.meta_path if not hasattr(f, "turnout_eras")]
    if sys.version_info >= (3, 5):
        run_next()
