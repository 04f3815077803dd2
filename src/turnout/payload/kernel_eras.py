"""The era shim in a process that no run started: a notebook's kernel, a script that submits runs.

Cells of old notebooks use the same gone names as the scripts. What is brought back, and how that
is told, is as in a run; there it is `sitecustomize` that does this, before anything else.
"""

from __future__ import annotations

import os
import sys


def install() -> None:
    """Put the shim's finders into this process, once. `TURNOUT_ERAS=0` leaves all as it is.

    Nothing of the shim is loaded before a library is imported that it knows, and nothing fails
    here: without it the libraries answer for themselves.
    """
    if os.environ.get("TURNOUT_RUN_FOLDER"):
        return  # A run's processes have it, or were told not to.
    try:
        from turnout.payload import sitecustomize

        if os.environ.get("TURNOUT_ERAS", "").lower() in sitecustomize.OFF:
            return
        # Here `payload` lies in an installed `turnout`, not beside it.
        package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        sitecustomize.FOLDER = os.path.dirname(package)
        sitecustomize.install()
    except Exception:
        sys.meta_path[:] = [f for f in sys.meta_path if not hasattr(f, "turnout_eras")]
