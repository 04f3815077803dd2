"""The conda solver and installer py-rattler: put on the host once, run as a child process.

It is no dependency of Turnout: `{root}/tools/rattler-<version>/` is a small environment of its
own, made by uv from the host's package sources.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil

from turnout.payload.builds import pip_rules, telling
from turnout.payload.builds.telling import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Its interface moves with every minor release; `rattler_child.py` is written for this one.
RELEASE = "0.28"
REQUIREMENT = "py-rattler==%s.*" % RELEASE
#: What py-rattler needs.
PYTHON = ">=3.10"
CHILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rattler_child.py")


class ToolError(BuildError):
    """py-rattler cannot be had on this host."""


class ChildError(Exception):
    """What the child could not do; `kind` and `facts` are its own words for it."""

    def __init__(self, facts: dict[str, Any]) -> None:
        super().__init__(facts.get("text", ""))
        self.kind = str(facts.get("kind", ""))
        self.facts = facts


def ensure(uv: str, root: str) -> str:
    """The interpreter that has py-rattler. Raises `ToolError`."""
    tools = os.path.join(root, "tools")
    folder = os.path.join(tools, "rattler-%s" % RELEASE)
    python = os.path.join(folder, "bin", "python")
    if os.path.exists(python):
        return python
    os.makedirs(tools, mode=0o700, exist_ok=True)
    lock = os.open(folder + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(python):
            make(uv, folder)
    finally:
        os.close(lock)
    return python


def make(uv: str, folder: str) -> None:
    """Made aside and renamed, so that what has the name is whole. The caller holds the lock."""
    telling.status("Installing the conda solver (py-rattler %s), once on this host" % RELEASE)
    new = folder + ".new"
    for old in (new, folder):  # Left by a killed build; or its Python is gone from the host.
        shutil.rmtree(old, ignore_errors=True)
    env = pip_rules.uv_variables(os.environ)
    create = ["venv", "--no-project", "--python-preference", "system", "--relocatable"]
    install = ["pip", "install", *pip_rules.uv_arguments(os.environ)]
    for what, argv in (
        ("A Python %s" % PYTHON, [*create, "--python", PYTHON, new]),
        ("The package %s" % REQUIREMENT, [*install, "--python", new + "/bin/python", REQUIREMENT]),
    ):
        code, said = telling.run([uv, *argv], env)
        if code:
            raise ToolError(
                "%s for the conda solver cannot be had on the target. %s"
                % (what, last_words(said))
            )
    os.rename(new, folder)


def last_words(said: str) -> str:
    """The end of what a program said, on one line."""
    lines = [line.strip(" \u00d7╰─▶│├") for line in said.splitlines() if line.strip()]
    return " ".join(lines[-4:])[-500:]


def cache_of(root: str) -> str:
    return os.path.join(root, "cache", "conda")


def package_cache(root: str) -> str:
    """Where unpacked packages are."""
    return os.path.join(cache_of(root), "pkgs")


def ask(python: str, root: str, files: str, question: dict[str, Any]) -> dict[str, Any]:
    """Have the child do `question["do"]`; its result. Raises `ChildError`, `BuildError`.

    `files` is the build's own folder.
    """
    answers: list[dict[str, Any]] = []

    def heard(line: str) -> str | None:
        if not line.startswith(telling.MARK):
            return line
        word = json.loads(line[1:])
        if "status" in word:
            telling.status(word["status"])
        else:
            answers.append(word)
        return None

    cache = cache_of(root)
    os.makedirs(cache, mode=0o700, exist_ok=True)
    path = os.path.join(files, "%s.json" % question["do"])
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**question, "cache": cache}, file)
    code, said = telling.run([python, "-I", CHILD, path], heard=heard)
    # The answer counts, not the exit code: the library may crash at the interpreter's end.
    for answer in answers:
        if "result" in answer:
            return answer["result"]
        raise ChildError(answer["error"])
    how = "signal %d" % -code if code < 0 else "exit code %d" % code
    raise BuildError("The conda solver ended unexpectedly (%s). %s" % (how, last_words(said)))
