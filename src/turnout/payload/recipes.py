"""Environments on this host: a recipe is carried out once, whoever asks, and used from then on.

Contract: docs/design/run-folder.md, "Recipe". `environments/<key>/ready` is written last, under
`<key>.lock`; what has no `ready` is never used.
"""

from __future__ import annotations

import fcntl
import os
import time

from turnout.payload import rundir, trees
from turnout.payload.logs import Log
from turnout.payload.processes import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

READY = "ready"
#: How often a run that waits for another's build looks at its log and its lock.
LOOK_S = 0.1


class PrepareError(Exception):
    """The run cannot be made ready. The text is for a person."""


class Activation:
    """How to run inside an environment."""

    def __init__(self, argv_prefix: list[str], env: dict[str, str], path: list[str]) -> None:
        self.argv_prefix = argv_prefix
        self.env = env
        self.path = path


class Builder:
    """What a build needs from its surroundings.

    `execute(argv, env, log)` runs a program to its end and returns (exit code or minus the
    signal); `pause(seconds)` waits; both raise what ends the run when it is stopped. `say(text)`
    tells a person what is being done.
    """

    def __init__(
        self,
        root: str,
        log: Log,
        execute: Callable[[list[str], dict[str, str], Log], int],
        pause: Callable[[float], None],
        say: Callable[[str], None],
    ) -> None:
        self.root = root
        self.log = log
        self.execute = execute
        self.pause = pause
        self.say = say


def part(recipe: dict[str, Any], name: str) -> dict[str, Any]:
    return recipe.get(name) or {}


def places(root: str, recipe: dict[str, Any]) -> dict[str, str]:
    """What the words in braces stand for."""
    prefix = folder_of(root, recipe["key"]) if recipe.get("key") else ""
    found = {"{prefix}": prefix, "{files}": prefix + ".files"}
    for name, digest in part(recipe, "tools").items():
        found["{%s}" % name] = os.path.join(root, rundir.TOOLS, digest, name)
    return found


def folder_of(root: str, key: str) -> str:
    if not rundir.HANDLE.fullmatch(key):
        raise PrepareError("%r cannot name an environment." % (key,))
    return os.path.join(root, rundir.ENVIRONMENTS, key)


def fill(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def is_ready(root: str, recipe: dict[str, Any]) -> bool:
    key = recipe.get("key")
    return not key or os.path.exists(os.path.join(folder_of(root, key), READY))


def ensure(builder: Builder, recipe: dict[str, Any]) -> Activation:
    """Make the environment ready, by us or by whoever is at it; raises PrepareError."""
    key = recipe.get("key")
    if key:
        try:
            # Also notes the use: the oldest environments can be found by it.
            os.utime(os.path.join(folder_of(builder.root, key), READY))
        except FileNotFoundError:
            try:
                build_once(builder, recipe, folder_of(builder.root, key))
            except OSError as e:
                text = "Environment '%s': %s: %s." % (label(recipe), e.filename, e.strerror)
                raise PrepareError(text) from e
        except OSError:
            pass
    words = places(builder.root, recipe)
    found = part(recipe, "activation")
    return Activation(
        [fill(text, words) for text in found.get("argv_prefix", [])],
        {name: fill(text, words) for name, text in part(found, "env").items()},
        [fill(text, words) for text in found.get("path", [])],
    )


def label(recipe: dict[str, Any]) -> str:
    return recipe.get("label") or str(recipe.get("key"))[:12]


def build_once(builder: Builder, recipe: dict[str, Any], folder: str) -> None:
    rundir.make_folder(os.path.dirname(folder))
    lock = os.open(folder + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        asked_at = time.time()
        waited = wait_for_lock(builder, recipe, folder, lock)
        if os.path.exists(os.path.join(folder, READY)):
            return
        failed = rundir.read_json(folder + ".failed")
        if waited and failed and failed["at"] >= asked_at:
            raise PrepareError(failed["message"])
        rundir.remove_quietly(folder + ".failed")
        try:
            build(builder, recipe, folder)
        except PrepareError as e:
            rundir.write_json(folder + ".failed", {"at": time.time(), "message": str(e)})
            raise
    finally:
        os.close(lock)


def wait_for_lock(builder: Builder, recipe: dict[str, Any], folder: str, lock: int) -> bool:
    """Take the lock, showing the log of whoever holds it; whether we had to wait."""
    seen = -1
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if seen >= 0:
                copy_news(builder.log, folder + ".log", seen)
            return seen >= 0
        except BlockingIOError:
            pass
        if seen < 0:
            text = "Waiting for another run that makes the environment (%s)" % label(recipe)
            builder.log.say(text)
            builder.say(text)
            seen = 0
        seen = copy_news(builder.log, folder + ".log", seen)
        builder.pause(LOOK_S)


def copy_news(log: Log, path: str, seen: int) -> int:
    """Append what the file at `path` holds beyond `seen` to the log; its size then."""
    try:
        with open(path, "rb") as file:
            file.seek(seen)
            data = file.read()
    except OSError:
        return seen
    if data:
        log.write(data)
    return seen + len(data)


class SharedLog(Log):
    """The builder's own log, written also where the runs that wait can read it."""

    def __init__(self, own: Log, path: str) -> None:
        super().__init__(path)
        self.own = own

    def write(self, data: bytes) -> None:
        super().write(data)
        self.own.write(data)

    def close(self) -> None:
        super().close()
        rundir.remove_quietly(self.path)


def build(builder: Builder, recipe: dict[str, Any], folder: str) -> None:
    trash = os.path.join(builder.root, rundir.TRASH)
    for old in (folder, folder + ".files", folder + ".log"):
        trees.discard(old, trash)
    rundir.make_folder(folder + ".files")
    words = places(builder.root, recipe)
    for name, text in part(recipe, "files").items():
        if "/" in name or name in ("", ".", ".."):
            raise PrepareError("The recipe names a file %r." % (name,))
        rundir.write_file(os.path.join(folder + ".files", name), text.encode())
    log = SharedLog(builder.log, folder + ".log")
    started = time.monotonic()
    steps: list[dict[str, Any]] = recipe.get("steps") or []
    try:
        for step in steps:
            carry_out(builder, step, words, log)
        log.say("Environment ready after %.1f s" % (time.monotonic() - started))
    finally:
        log.close()
    rundir.make_folder(folder)
    about = {"label": label(recipe), "size": size_of(folder), "built_at": time.time()}
    rundir.write_json(os.path.join(folder, READY), about)
    trees.discard(folder + ".files", trash)


def carry_out(builder: Builder, step: dict[str, Any], words: dict[str, str], log: Log) -> None:
    builder.say(step["message"])
    log.say(step["message"])
    log.forget_tail()
    argv = [fill(text, words) for text in step["argv"]]
    env = {name: fill(text, words) for name, text in part(step, "env").items()}
    try:
        code = builder.execute(argv, env, log)
    except StartError as e:
        raise PrepareError("%s failed. %s" % (step["message"], e)) from e
    if code:
        how = "signal %d" % -code if code < 0 else "exit code %d" % code
        text = "%s failed (%s).\n%s" % (step["message"], how, log.last_lines())
        if log.lost:
            text += "\nThe disk is full."
        raise PrepareError(text.strip())


def size_of(folder: str) -> int:
    """Bytes of the files below `folder`; links count nothing."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    total += size_of(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size
    except OSError:
        pass
    return total


def known(root: str) -> list[dict[str, Any]]:
    """The environments of this host, for the agent's `environments`."""
    found: list[dict[str, Any]] = []
    try:
        names = sorted(os.listdir(os.path.join(root, rundir.ENVIRONMENTS)))
    except OSError:
        return found
    for name in names:
        folder = os.path.join(root, rundir.ENVIRONMENTS, name)
        if "." in name or not os.path.isdir(folder):
            continue
        ready = os.path.join(folder, READY)
        about = rundir.read_json(ready)
        row: dict[str, Any] = {"key": name, "label": "", "ready": about is not None}
        row.update(size=0, used_at=None)
        if about is not None:
            row.update(label=about.get("label", ""), size=about.get("size", 0))
            row["used_at"] = os.stat(ready).st_mtime
        found.append(row)
    return found
