"""`PYTHON -S -E <payload>/turnout/payload/builds/__main__.py KIND PHASE …`: one step of a recipe.

Run by path, so that it needs nothing on `sys.path`; it puts the payload there itself.
"""

import os
import sys

if __name__ == "__main__":
    # The folder of this file would let our `pip.py` stand in for other modules of that name.
    sys.path[0] = os.path.dirname(os.path.abspath(__file__)).rsplit(os.sep, 3)[0]
    from importlib import import_module

    from turnout.payload.builds.telling import BuildError, fail

    # The log is UTF-8 whatever the host's locale is, and no character may end a build.
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    try:
        module = import_module("turnout.payload.builds.%s" % sys.argv[1])
        sys.exit(module.main(sys.argv[2:]))
    except BuildError as e:
        fail(str(e))
