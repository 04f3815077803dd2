"""What conda's packages set when an environment is activated (JAVA_HOME, GDAL_DATA): for runs.

A run is started through `{prefix}/etc/turnout/launch`, which does what `conda activate` would do
and becomes the program. Without such packages it does nothing, in a millisecond.
"""

from __future__ import annotations

import json
import os
import shlex

LAUNCHER = "etc/turnout/launch"
#: Packages write their scripts for it; the smaller shell does for most.
SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/sh")


def write(prefix: str) -> None:
    """Make the launcher of an environment."""
    scripts = entries(prefix, "etc/conda/activate.d", ".sh")
    lines: list[str] = []
    for path in entries(prefix, "etc/conda/env_vars.d", ".json"):
        lines += exports(path)
    # What they print is not the script's output.
    lines += [". %s >/dev/null" % shlex.quote(path) for path in scripts]
    shell = next(s for s in (SHELLS if scripts else SHELLS[-1:]) if os.path.exists(s))
    text = "\n".join(["#!" + shell, *lines, 'exec "$@"', ""])
    place = os.path.join(prefix, LAUNCHER)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.chmod(place, 0o755)  # noqa: S103 - a program, as readable as the environment around it


def entries(prefix: str, folder: str, ending: str) -> list[str]:
    place = os.path.join(prefix, folder)
    try:
        return [os.path.join(place, n) for n in sorted(os.listdir(place)) if n.endswith(ending)]
    except FileNotFoundError:
        return []


def exports(path: str) -> list[str]:
    """A package's variables as lines of a shell script."""
    with open(path, encoding="utf-8") as file:
        try:
            found = json.load(file)
        except ValueError:
            return []  # conda passes over it too.
    names = [n for n in found if n.isidentifier()] if isinstance(found, dict) else []
    return ["export %s=%s" % (name, shlex.quote(str(found[name]))) for name in names]
