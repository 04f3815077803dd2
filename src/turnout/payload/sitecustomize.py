"""What every Python of a run imports first: the switch of the era shim, then the next in line.

It lies at the top of the payload, which stands first on the script's PYTHONPATH, so it hides a
`sitecustomize` of the environment (Debian and conda have one) and must run that too. It is also
read by Pythons that are too old for the rest of the payload: no annotations here, no new syntax.
"""

import os
import sys

FOLDER = os.path.dirname(__file__)
#: Values of TURNOUT_ERAS that leave everything as the libraries have it.
OFF = ("0", "false", "no", "off")


def load(name):  # type: (str) -> object
    """A module of `turnout.payload.eras`, without importing `turnout`, which may be the script's own."""
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import PathFinder

    spec = PathFinder.find_spec(name, [os.path.join(FOLDER, "turnout", "payload", "eras")])
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bring_back_eras():  # type: () -> None
    if os.environ.get("TURNOUT_ERAS", "").lower() not in OFF:
        try:
            load("hooks").install(load)
        except Exception:  # The script runs as it would without us.
            return


def run_next():  # type: () -> None
    """What would have been `sitecustomize` without us becomes it; its faults are its own."""
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import PathFinder

    spec = PathFinder.find_spec("sitecustomize", [p for p in sys.path if p != FOLDER])
    if spec and spec.loader:
        module = sys.modules["sitecustomize"] = module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    if os.environ.get("TURNOUT_RUN_FOLDER") and sys.version_info >= (3, 8):
        bring_back_eras()
    if sys.version_info >= (3, 5):
        run_next()
