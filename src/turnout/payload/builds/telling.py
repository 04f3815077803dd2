"""What a build program says, and how it runs others. Contract: docs/design/run-folder.md, "Build
programs".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from turnout.payload import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

#: Begins a line that is for the supervisor, not for the log.
MARK = "\x1e"


class BuildError(Exception):
    """The environment cannot be made. The text is for a person: what, why, what to do."""


def status(text: str) -> None:
    """Show a person what is being done now: "Downloading 3 of 12 packages"."""
    tell({"status": text})


def note(text: str) -> None:
    """Something that was done otherwise than asked; kept with the environment, shown as a warning
    of every run that uses it."""
    say(text)
    tell({"note": text})


def fail(text: str) -> NoReturn:
    """End the build with an explanation that needs no log beside it."""
    say(text)
    tell({"error": text})
    sys.stdout.flush()
    os._exit(1)


def tell(word: dict[str, Any]) -> None:
    sys.stdout.write("%s%s\n" % (MARK, json.dumps(word)))
    sys.stdout.flush()


def say(text: str) -> None:
    """A line of the log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def request(files: str) -> dict[str, Any]:
    """`request.json`: what the recipe asks for."""
    with open(os.path.join(files, "request.json"), encoding="utf-8") as file:
        return json.load(file)


def write_lock(files: str, lock: dict[str, Any]) -> None:
    """Leave `lock`: equal environments must give equal bytes. No times, no paths of this build."""
    temporary = os.path.join(files, "lock.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(lock, file, indent=1, sort_keys=True)
        file.write("\n")
    os.rename(temporary, os.path.join(files, "lock"))


def read_lock(files: str) -> dict[str, Any]:
    with open(os.path.join(files, "lock"), encoding="utf-8") as file:
        return json.load(file)


def die_with(parent: int) -> None:
    """A killed build must not go on in the background, writing where the next one builds."""
    processes.control(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # It died before we asked.
        os._exit(1)


def bound() -> Callable[[], None]:
    """For `preexec_fn`: the program dies with us."""
    parent = os.getpid()
    return lambda: die_with(parent)


def run(
    argv: list[str],
    env: dict[str, str] | None = None,
    heard: Callable[[str], str | None] | None = None,
) -> tuple[int, str]:
    """Run a program to its end, its output into the log; (exit code, output).

    `heard` may turn a line into another, or into None to keep it out of the log.
    """
    try:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=bound(),
        )
    except OSError as e:
        raise BuildError("%s cannot be started: %s." % (argv[0], e.strerror)) from e
    lines: list[str] = []
    with process:
        for raw in process.stdout or ():
            line: str | None = raw.decode("utf-8", "replace").rstrip("\r\n")
            lines.append(line or "")
            if heard is not None:
                line = heard(line or "")
            if line is not None:
                say(line)
    return process.returncode, "\n".join(lines)
