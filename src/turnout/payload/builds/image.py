"""Environments that are images: `image lock FILES UV`, `image build FILES UV PREFIX`.

A base image (pulled, or built from a Dockerfile), on it the system packages, on them the Python
environment. Each is baked once, by running its steps in a container and keeping that, and has a
name that says what it was made of. Nothing that a step is told (addresses with passwords, caches,
certificates) stays in the image.

`request.json`: {"container": {"image" or "dockerfile", "registry", "registry_username",
"system_packages"}, "program": the build program to run inside ("pip", "conda", or "" for an image
that is used as it is), "asked": its request}. The lock: {"kind", "image": id of the base,
"system_packages", "program", "inside": what that program locked}.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sys

from turnout.payload import prefixes, rundir
from turnout.payload.builds import base_images, inside
from turnout.payload.builds.boxes import LABEL, Box
from turnout.payload.builds.engine import Engine, ask, explain, find
from turnout.payload.builds.telling import BuildError, read_lock, request, say, status, write_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Part of every name: raised when the same request must be baked in another way.
FORMAT = 1
#: Where the environment is in every image.
ENVIRONMENT = "/opt/turnout/environment"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Longest wait for an engine that keeps a large container as an image.
COMMIT_S = 1800.0
APT = r"""
command -v apt-get >/dev/null || exit 64
export DEBIAN_FRONTEND=noninteractive
apt-get $APT_OPTIONS update && apt-get $APT_OPTIONS install --yes --no-install-recommends "$@" &&
rm -rf /var/lib/apt/lists/*
"""
APT_STATUS = re.compile(rb"(?:Unpacking|Setting up) ([a-z0-9][a-z0-9.+-]*)")
APT_FAULTS = (
    (
        r"E: Unable to locate package (\S+)",
        "The base image's Debian has no package '%s'. Check its spelling, or use another base.",
    ),
    (
        r"E: Version '(\S+)' for '(\S+)' was not found",
        "There is no version %s of '%s' in the base image's Debian. Leave the version out, or ask "
        "for one that is there.",
    ),
    (
        r"(?:Temporary failure resolving|Could not connect to|Failed to fetch) "
        r"'?([^\s':]+:?[^\s':]+)",
        "The package mirror of the base image cannot be reached from a container (%s).",
    ),
    (r"No space left on device", "The disk of the container engine is full. Make room there."),
)


def main(argv: list[str]) -> int:
    # As an exception, so that what was begun is taken away.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + signal.SIGTERM))
    if argv[0] == "credential":
        return base_images.credential(argv[1])
    phase, files, uv = argv[:3]
    asked = request(files)
    engine = find()
    if phase == "lock":
        return lock(engine, files, uv, asked)
    return build(engine, files, uv, asked, argv[3])


def lock(engine: Engine, files: str, uv: str, asked: dict[str, Any]) -> int:
    sweep(engine)
    container = asked["container"]
    base = base_images.make_sure(engine, container, files)
    packages = sorted(set(container.get("system_packages") or []))
    found: dict[str, Any] = {"kind": "container", "image": base, "system_packages": packages}
    found.update(program=asked["program"], inside={})
    parent = with_packages(engine, files, base, packages)
    if asked["program"]:
        step = inside.Step(engine, files, uv, asked)
        box = Box(engine, box_name(), os.path.join(files, "box"), inside.PIPES)
        try:
            end = box.run(step.options, parent, step.argv("lock"), write_out, step.variables)
        finally:
            box.remove()
        if end.code != 0:
            return failed(end.code)
        found["inside"] = step.locked()
    write_lock(files, found)
    return 0


def build(engine: Engine, files: str, uv: str, asked: dict[str, Any], prefix: str) -> int:
    locked = read_lock(files)
    base = locked["image"]
    # It may have been removed since it was locked.
    gone = engine.inspect_image(base) is None
    if gone and base_images.make_sure(engine, asked["container"], files) != base:
        raise BuildError("The base image has changed meanwhile. Submit again.")
    image = with_packages(engine, files, base, locked["system_packages"])
    rundir.make_folder(prefix)
    if asked["program"]:
        step = inside.Step(engine, files, uv, asked)
        step.give_lock(locked["inside"])
        parent, image = image, tag_of("env", locked)
        config = config_of(engine, parent)
        path = next((e[5:] for e in config.get("Env") or [] if e.startswith("PATH=")), "")
        changes = ["ENV PATH=%s/bin:%s" % (ENVIRONMENT, path or DEFAULT_PATH)]

        def work(box: Box) -> int | None:
            argv = step.argv("build", ENVIRONMENT)
            return box.run(step.options, parent, argv, write_out, step.variables).code

        code = bake(engine, files, parent, image, changes, work)
        if code != 0:
            return failed(code)
        size = (engine.inspect_image(image) or {}).get("Size", 0)
        kept = {"image": image, "client": engine.program, "size": size}
        rundir.write_json(os.path.join(prefix, prefixes.IMAGE), kept)
    about = {"image": image, "engine": engine.facts()}
    rundir.write_json(os.path.join(prefix, "container.json"), about)
    return 0


def failed(code: int | None) -> int:
    if code is None:
        raise BuildError("The container of the build was ended from outside. Submit again.")
    if code in inside.WORDS:
        raise BuildError(inside.WORDS[code])
    return code


def write_out(data: bytes) -> None:
    rundir.write_all(1, data)


def sweep(engine: Engine) -> None:
    """Remove containers of ours that a kill left behind. Not fresh ones: they may be in use."""
    for label in ("run", "build"):
        words = ("--filter", "label=%s=%s" % (LABEL, label), "--filter", "until=24h")
        engine.try_ask("container", "prune", "--force", *words)


def box_name() -> str:
    return "turnout-build-%s-%d" % (os.urandom(6).hex(), os.getpid())


def tag_of(name: str, made_of: object) -> str:
    data = json.dumps([FORMAT, made_of], sort_keys=True).encode()
    return "turnout/%s:%s" % (name, hashlib.sha256(data).hexdigest()[:32])


def config_of(engine: Engine, image: str) -> dict[str, Any]:
    return (engine.inspect_image(image) or {}).get("Config") or {}


# -- baking --------------------------------------------------------------------------------------


def bake(
    engine: Engine,
    files: str,
    parent: str,
    tag: str,
    changes: list[str],
    work: Callable[[Box], int | None],
) -> int | None:
    """The image `tag`: what `work` makes of a container of `parent`. Its exit code."""
    if engine.inspect_image(tag) is not None:
        say("The image %s is there already" % tag)
        return 0
    config = config_of(engine, parent)
    box = Box(engine, box_name(), os.path.join(files, "box"), inside.PIPES)
    # An image keeps the entry point of its container, which cannot be taken back to none.
    box.entrypoint = bool(config.get("Entrypoint"))
    try:
        code = work(box)
        if code == 0:
            status("Keeping the image")
            keep(engine, box.name, config, tag, changes)
    finally:
        box.remove()
    return code


def keep(engine: Engine, name: str, config: dict[str, Any], tag: str, changes: list[str]) -> None:
    """Make an image of the container, with the `config` of its parent."""
    entrypoint, command = config.get("Entrypoint") or [], config.get("Cmd") or []
    changes = [
        *(["ENTRYPOINT %s" % json.dumps(entrypoint)] if entrypoint else []),
        "CMD %s" % json.dumps(command if command or entrypoint else ["/bin/sh"]),
        "USER %s" % (config.get("User") or "0"),
        # The container's own label would make whatever is run from it look like ours.
        "LABEL %s=image" % LABEL,
        *changes,
    ]
    options = [word for change in changes for word in ("--change", change)]
    argv = ("commit", *options, name, tag)
    code, _, err = ask(engine.program, argv, timeout_s=COMMIT_S)
    if code:
        raise BuildError(explain(err, "%s commit" % engine.kind))


def with_packages(engine: Engine, files: str, base: str, packages: list[str]) -> str:
    """`base`, or an image with the Debian packages on it."""
    if not packages:
        return base
    tag = tag_of("system", [base, packages])
    seen = bytearray()

    def take(data: bytes) -> None:
        seen.extend(data)
        del seen[: -(64 << 10)]
        write_out(data)
        found = APT_STATUS.findall(data)
        if found:
            status("Installing the system package %s" % found[-1].decode())

    def work(box: Box) -> int | None:
        status("Installing %d system packages" % len(packages))
        options, variables = inside.network(engine)
        argv = ["/bin/sh", "-c", APT, "apt", *packages]
        return box.run(["--user", "0:0", *options], base, argv, take, variables).code

    code = bake(engine, files, base, tag, [], work)
    if code:
        raise BuildError(apt_fault(code, seen.decode("utf-8", "replace"), packages))
    if code is None:
        failed(code)
    return tag


def apt_fault(code: int, said: str, packages: list[str]) -> str:
    if code == 64:
        return (
            "The base image has no apt-get, so system packages (%s) cannot be installed. Use a "
            "Debian or Ubuntu image, or a Dockerfile that installs them." % ", ".join(packages)
        )
    for pattern, text in APT_FAULTS:
        found = re.search(pattern, said)
        if found:
            return text % found.groups()
    lines = [line for line in said.splitlines() if line.startswith("E: ")]
    return "The system packages (%s) could not be installed. %s" % (
        ", ".join(packages),
        " ".join(lines[-2:]) or "apt-get ended with code %d." % code,
    )
