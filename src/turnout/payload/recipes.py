"""Environments on this host: a recipe is carried out once, whoever asks, and used from then on.

Contract: docs/design/run-folder.md, "Recipe". What was asked for (`requests/<key>`) leads to a
lock; its digest names the environment. `ready` is written last; what has none is never used.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time

from turnout.payload import prefixes, rundir, trees
from turnout.payload.logs import Log
from turnout.payload.processes import StartError
from turnout.payload.store import failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: How often a run that waits for another's build looks at its log and its lock.
LOOK_S = 0.1
WORD = re.compile(r"\{\w+\}")
#: Begins a line of a build program that is for us (turnout.payload.builds.telling).
MARK = b"\x1e"
#: A marked line longer than this is no line of ours.
WORD_LIMIT = 64 << 10


class PrepareError(Exception):
    """The run cannot be made ready. The text is for a person."""


class Activation:
    """How to run inside an environment."""

    def __init__(self, found: dict[str, Any], words: dict[str, str]) -> None:
        def listed(name: str) -> list[str]:
            return [fill(text, words) for text in found.get(name) or []]

        self.launcher = listed("launcher")
        self.argv_prefix = listed("argv_prefix")
        self.path = listed("path")
        #: The launcher puts the script where this machine's variables mean nothing.
        self.isolated = bool(found.get("isolated"))
        self.env = {name: fill(text, words) for name, text in part(found, "env").items()}
        #: What was done otherwise than asked.
        self.notes: list[str] = []
        #: The file that says what exactly is installed; "" for what we did not install.
        self.lock = ""


class Builder:
    """What a build needs from its surroundings.

    `words` are filled in for the words in braces. `execute(argv, env, log)` runs a program to its
    end and returns (exit code or minus the signal); `pause(seconds)` waits; both raise what ends
    the run when it is stopped. `say(text)` tells a person what is being done.
    """

    def __init__(
        self,
        root: str,
        words: dict[str, str],
        log: Log,
        execute: Callable[[list[str], dict[str, str], Log], int],
        pause: Callable[[float], None],
        say: Callable[[str], None],
    ) -> None:
        self.root = root
        self.words = words
        self.log = log
        self.execute = execute
        self.pause = pause
        self.say = say


def part(recipe: dict[str, Any], name: str) -> dict[str, Any]:
    return recipe.get(name) or {}


def fill(text: str, words: dict[str, str]) -> str:
    """In one pass: a path that is filled in may have braces of its own."""
    return WORD.sub(lambda found: words.get(found.group(), found.group()), text)


def label(recipe: dict[str, Any]) -> str:
    return recipe.get("label") or str(recipe.get("key"))[:12]


def request_path(root: str, key: str) -> str:
    if not rundir.HANDLE.fullmatch(key):
        raise PrepareError("%r cannot name an environment." % (key,))
    return os.path.join(root, rundir.REQUESTS, key)


def places(builder: Builder, recipe: dict[str, Any], prefix: str) -> dict[str, str]:
    """What the words in braces stand for."""
    found = {"{prefix}": prefix, "{root}": builder.root, **builder.words}
    if recipe.get("key"):
        found["{files}"] = request_path(builder.root, recipe["key"]) + ".files"
    for name, digest in part(recipe, "tools").items():
        found["{%s}" % name] = os.path.join(builder.root, rundir.TOOLS, digest, name)
    return found


def answer_of(root: str, recipe: dict[str, Any]) -> dict[str, Any] | None:
    """What came of this request before; None when nothing did or it is not there any more."""
    found = rundir.read_mapping(request_path(root, recipe["key"]) + ".json")
    digest = str(found.get("environment"))
    return found if rundir.DIGEST.fullmatch(digest) and prefixes.is_ready(root, digest) else None


def is_ready(root: str, recipe: dict[str, Any]) -> bool:
    return not recipe.get("key") or answer_of(root, recipe) is not None


def ensure(builder: Builder, recipe: dict[str, Any]) -> Activation:
    """Make the environment ready, by us or by whoever is at it; raises PrepareError.

    What it needs is held until this process ends: nothing in use is pruned.
    """
    if not recipe.get("key"):
        return Activation(part(recipe, "activation"), places(builder, recipe, ""))
    answer = answer_of(builder.root, recipe)
    try:
        if answer is None or not usable(builder, recipe, answer):
            answer = make_once(builder, recipe)
    except OSError as e:
        why = failure(e, str(e.filename or builder.root))
        raise PrepareError("Environment '%s': %s" % (label(recipe), why)) from e
    prefix = prefixes.folder_of(builder.root, answer["environment"])
    found = Activation(part(recipe, "activation"), places(builder, recipe, prefix))
    found.notes = answer.get("notes") or []
    found.lock = os.path.join(prefix, prefixes.LOCK)
    return found


def usable(builder: Builder, recipe: dict[str, Any], answer: dict[str, Any]) -> bool:
    """Hold the environment that is there and try it, where the recipe says how."""
    held = prefixes.hold(builder.root, answer["environment"])
    if held is None:
        return False
    prefix = prefixes.folder_of(builder.root, answer["environment"])
    words = places(builder, recipe, prefix)
    if leads_somewhere(Activation(part(recipe, "activation"), words)):
        verify: list[str] = recipe.get("verify") or []
        if not verify or passes(builder, [fill(text, words) for text in verify]):
            return True
    builder.log.say("The environment is not as it was left; making it again")
    held.close()
    rundir.remove_quietly(os.path.join(prefix, prefixes.READY))
    return False


def leads_somewhere(activation: Activation) -> bool:
    """Whether the interpreter is no link to one that is gone: a host's Pythons come and go, and a
    command line would then find another one on the `PATH`."""
    program = "".join(activation.argv_prefix[:1])
    return os.path.exists(program) or not os.path.islink(program)


def passes(builder: Builder, verify: list[str]) -> bool:
    quiet = Log(os.devnull)
    try:
        return builder.execute(verify, {}, quiet) == 0
    except StartError:
        return False
    finally:
        quiet.close()


# -- making ------------------------------------------------------------------------------------


def make_once(builder: Builder, recipe: dict[str, Any]) -> dict[str, Any]:
    """Make what the recipe asks for, or wait for whoever is at it."""
    path = request_path(builder.root, recipe["key"])
    rundir.make_folder(os.path.dirname(path))
    asked_at = time.time()
    lock = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        waited = wait_for_lock(builder, label(recipe), lock, path + ".log")
        answer = answer_of(builder.root, recipe)
        if answer is not None and prefixes.hold(builder.root, answer["environment"]):
            return answer
        failed = rundir.read_mapping(path + ".failed")
        if waited and failed.get("at", 0.0) >= asked_at:
            raise PrepareError(failed["message"])
        rundir.remove_quietly(path + ".failed")
        try:
            return make(builder, recipe, path)
        except PrepareError as e:
            rundir.write_json(path + ".failed", {"at": time.time(), "message": str(e)})
            raise
    finally:
        os.close(lock)


def make(builder: Builder, recipe: dict[str, Any], path: str) -> dict[str, Any]:
    trees.discard(path + ".files", os.path.join(builder.root, rundir.TRASH))
    rundir.remove_quietly(path + ".log")
    rundir.make_folder(path + ".files")
    for name, text in part(recipe, "files").items():
        if "/" in name or name in ("", ".", ".."):
            raise PrepareError("The recipe names a file %r." % (name,))
        rundir.write_file(os.path.join(path + ".files", name), text.encode())
    log = SharedLog(builder, path + ".log")
    started = time.monotonic()
    try:
        for step in recipe.get("lock") or []:
            carry_out(builder, step, places(builder, recipe, ""), log)
        digest = build_once(builder, recipe, os.path.join(path + ".files", "lock"), log)
        answer = {"environment": digest, "label": label(recipe), "notes": log.notes}
        rundir.write_json(path + ".json", answer)
        log.say("Environment ready after %.1f s" % (time.monotonic() - started))
    finally:
        log.close()
    return answer


def build_once(builder: Builder, recipe: dict[str, Any], lock_file: str, log: SharedLog) -> str:
    """The environment of the lock: found, waited for, or built; its digest. It is held."""
    try:
        with open(lock_file, "rb") as file:
            locked = file.read()
    except FileNotFoundError:
        raise PrepareError("The build of '%s' left no lock." % label(recipe)) from None
    digest = hashlib.sha256(locked).hexdigest()
    prefix = prefixes.folder_of(builder.root, digest)
    rundir.make_folder(os.path.dirname(prefix))
    lock = os.open(prefix + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        wait_for_lock(builder, label(recipe), lock, "")
        if prefixes.hold(builder.root, digest):
            log.say("An equal environment is there already")
            return digest
        trees.discard(prefix, os.path.join(builder.root, rundir.TRASH))
        for step in recipe.get("build") or []:
            carry_out(builder, step, places(builder, recipe, prefix), log)
        rundir.make_folder(prefix)
        rundir.write_file(os.path.join(prefix, prefixes.LOCK), locked)
        prefixes.finish(prefix, label(recipe))
        prefixes.hold(builder.root, digest)
    finally:
        os.close(lock)
    return digest


def wait_for_lock(builder: Builder, what: str, lock: int, shown: str) -> bool:
    """Take the lock, showing the log of whoever holds it; whether we had to wait."""
    seen = -1
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if seen >= 0:
                copy_news(builder.log, shown, seen)
            return seen >= 0
        except BlockingIOError:
            pass
        if seen < 0:
            text = "Waiting for another run that makes the environment (%s)" % what
            builder.log.say(text)
            builder.say(text)
            seen = 0
        seen = copy_news(builder.log, shown, seen)
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


def carry_out(
    builder: Builder, step: dict[str, Any], words: dict[str, str], log: SharedLog
) -> None:
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
        if log.error:
            raise PrepareError(log.error)
        how = "signal %d" % -code if code < 0 else "exit code %d" % code
        text = "%s failed (%s).\n%s" % (step["message"], how, log.last_lines())
        if log.lost:
            text += "\nThe disk is full."
        raise PrepareError(text.strip())


class SharedLog(Log):
    """The builder's own log, written also where the runs that wait can read it.

    Lines that a build program marks are taken out: they are for the person (`status`), for every
    run that uses the environment (`notes`), or say why it failed (`error`).
    """

    def __init__(self, builder: Builder, path: str) -> None:
        super().__init__(path)
        self.builder = builder
        self.notes: list[str] = []
        self.error = ""
        self.pending = b""
        self.line_begins = True

    def write(self, data: bytes) -> None:
        data, self.pending = self.pending + data, b""
        while data:
            if self.line_begins and data.startswith(MARK):
                end = data.find(b"\n", 0, WORD_LIMIT)
                if end >= 0:
                    self.take(data[1:end])
                    data = data[end + 1 :]
                    continue
                if len(data) < WORD_LIMIT:
                    self.pending = data
                    return
            plain, found, rest = data.partition(b"\n" + MARK)
            plain, data = (plain + b"\n", MARK + rest) if found else (plain, b"")
            self.line_begins = plain.endswith(b"\n")
            super().write(plain)
            self.builder.log.write(plain)

    def take(self, word: bytes) -> None:
        try:
            found = json.loads(word)
            if "status" in found:
                self.builder.say(str(found["status"]))
            if "note" in found and found["note"] not in self.notes:
                self.notes.append(str(found["note"]))
            self.error = str(found.get("error") or self.error)
        except (ValueError, TypeError, AttributeError):
            return

    def close(self) -> None:
        super().close()
        rundir.remove_quietly(self.path)
