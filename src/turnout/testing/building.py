"""Carries out recipes as a supervisor does, without a run around them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from turnout.environments import tools
from turnout.environments.base import Recipe
from turnout.payload import builds as programs
from turnout.payload import prefixes, recipes, rundir
from turnout.payload.logs import Log

ENTRY = Path(str(programs.__file__)).with_name("__main__.py")


class Building:
    """A host root and what was seen while recipes were carried out there.

    Example: `Building(tmp_path).ensure(recipe).argv_prefix`.
    """

    def __init__(self, root: Path, environ: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.environ = dict(os.environ if environ is None else environ)
        #: What a person was told, in order.
        self.said: list[str] = []
        #: Called with each program before it is waited for: the place to kill it.
        self.started: Callable[[subprocess.Popen[bytes]], None] = lambda process: None
        self.path = root / "build.log"
        root.mkdir(parents=True, exist_ok=True)

    @property
    def log(self) -> str:
        """All that was logged so far."""
        return self.path.read_text(errors="replace") if self.path.exists() else ""

    async def with_tools(self, recipe: Recipe) -> dict[str, str]:
        """Put the recipe's tools in their place; their digests."""
        libc = " ".join(platform.libc_ver()) if platform.libc_ver()[0] else "musl"
        digests: dict[str, str] = {}
        for name in recipe.tools:
            found = await tools.tool(name, platform.machine(), libc, self.root / "home")
            there = self.root / rundir.TOOLS / found.digest / name
            there.parent.mkdir(parents=True, exist_ok=True)
            if not there.exists():
                there.symlink_to(found.path)
            digests[name] = found.digest
        return digests

    async def ensure(self, recipe: Recipe) -> recipes.Activation:
        """Make it ready. Raises `PrepareError`."""
        data = recipe.to_dict(await self.with_tools(recipe))
        log = Log(str(self.path))
        words = {"{python}": sys.executable, "{builds}": str(ENTRY)}
        builder = recipes.Builder(
            str(self.root), words, log, self.execute, time.sleep, self.said.append
        )
        try:
            return recipes.ensure(builder, data)
        finally:
            log.close()
            prefixes.let_go()

    def execute(self, argv: list[str], env: dict[str, str], log: Log) -> int:
        with subprocess.Popen(
            argv,
            env={**self.environ, **env},
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            self.started(process)
            assert process.stdout is not None
            while data := process.stdout.read1(1 << 16):  # type: ignore[attr-defined]
                log.write(data)
        return process.returncode
