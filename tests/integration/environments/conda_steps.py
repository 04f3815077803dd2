"""Carries out the steps of a conda recipe, one by one, and keeps what they said."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.environments.base import EnvironmentSettings, Recipe, Step
from turnout.environments.conda import CondaEnvironment
from turnout.payload import builds
from turnout.spec.environments import EnvironmentSpec

ENTRY = Path(str(builds.__file__)).with_name("__main__.py")
MARK = "\x1e"


class Failed(Exception):
    """A step failed; the text is what a person reads."""


class Steps:
    """A host root, and what was said while recipes were carried out there."""

    def __init__(self, root: Path, environ: Mapping[str, str], uv: Path) -> None:
        self.root, self.environ, self.uv = root, environ, uv
        self.log = ""
        self.status: list[str] = []
        self.notes: list[str] = []
        #: Gets each process and each marked word of it: the place to kill.
        self.heard: Callable[[subprocess.Popen[str], dict[str, Any]], None] = lambda p, w: None

    def recipe(
        self,
        *conda: str,
        channels: Sequence[str],
        pip: Sequence[str] = (),
        python: str | None = None,
        addresses: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Recipe:
        spec = EnvironmentSpec(
            conda=conda, pip=tuple(pip), python_version=python, channels=tuple(channels)
        )
        return CondaEnvironment().recipe(
            spec, EnvironmentSettings(channels=addresses or {}, **settings)
        )

    def lock(self, recipe: Recipe) -> Path:
        """Carry out the first phase; the folder with the lock."""
        assert recipe.key is not None
        files = self.root / "requests" / f"{recipe.key}.files"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir(parents=True)
        for name, text in recipe.files.items():
            (files / name).write_text(text)
        for step in recipe.lock:
            self.carry_out(step, files, None)
        return files

    def build(self, recipe: Recipe, files: Path, prefix: Path | None = None) -> Path:
        """Carry out the second phase; the environment's folder."""
        digest = hashlib.sha256((files / "lock").read_bytes()).hexdigest()
        place = prefix or self.root / "environments" / digest
        shutil.rmtree(place, ignore_errors=True)
        for step in recipe.build:
            self.carry_out(step, files, place)
        return place

    def make(self, recipe: Recipe) -> Path:
        return self.build(recipe, self.lock(recipe))

    def words(self, files: Path, prefix: Path | None) -> dict[str, str]:
        found = {"{python}": sys.executable, "{builds}": str(ENTRY), "{root}": str(self.root)}
        found |= {"{files}": str(files), "{uv}": str(self.uv)}
        return found | ({"{prefix}": str(prefix)} if prefix else {})

    def start(self, step: Step, files: Path, prefix: Path | None) -> subprocess.Popen[str]:
        words = self.words(files, prefix)
        argv = list(step.argv)
        for word, value in words.items():
            argv = [part.replace(word, value) for part in argv]
        return subprocess.Popen(
            argv,
            env={**self.environ, **step.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def carry_out(self, step: Step, files: Path, prefix: Path | None) -> None:
        error = ""
        with self.start(step, files, prefix) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if not line.startswith(MARK):
                    self.log += line
                    continue
                word = json.loads(line[1:])
                self.status += [word["status"]] if "status" in word else []
                self.notes += [word["note"]] if "note" in word else []
                error = word.get("error", error)
                self.heard(process, word)
        if process.returncode:
            raise Failed(error or f"exit code {process.returncode}\n{self.log[-2000:]}")


def run(prefix: Path, recipe: Recipe, *words: str) -> str:
    """What a program prints that is run as a script would be."""
    fill = lambda text: text.replace("{prefix}", str(prefix))  # noqa: E731
    argv = [*map(fill, recipe.launcher), *map(fill, recipe.argv_prefix), *words]
    env = {**os.environ, **{k: fill(v) for k, v in recipe.env.items()}}
    done = subprocess.run(argv, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
