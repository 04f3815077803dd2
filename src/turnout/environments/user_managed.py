"""The interpreter that the person names, used as it is: nothing is checked or installed."""

from __future__ import annotations

import shlex

from turnout.environments.base import EnvironmentKind, EnvironmentSettings, Recipe
from turnout.spec.environments import EnvironmentSpec

#: Many machines have no `python`; the first word that exists there is used.
EITHER = 'p=$(command -v python || command -v python3) || p=python; exec "$p" "$@"'


class UserManaged(EnvironmentKind):
    """`EnvironmentSpec(user_managed=True, interpreter="/opt/conda/bin/python")`."""

    def recipe(self, spec: EnvironmentSpec, settings: EnvironmentSettings) -> Recipe:
        interpreter = spec.interpreter.strip()
        if interpreter in ("", "python"):
            return Recipe(None, "the machine's Python", ("/bin/sh", "-c", EITHER, "python"))
        if interpreter.startswith("~/"):
            # Expanded there: the home folder differs from machine to machine.
            script = f'exec "$HOME"/{shlex.quote(interpreter[2:])} "$@"'
            return Recipe(None, interpreter, ("/bin/sh", "-c", script, "python"))
        return Recipe(None, interpreter, (interpreter,))
