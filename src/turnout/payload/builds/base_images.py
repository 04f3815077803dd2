"""The image that an environment begins with: on this machine already, pulled, or built.

A registry's password stays in memory: the engine's client asks for it, through a helper program
that has it from its own variables.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys

from turnout.payload import rundir
from turnout.payload.builds import inside
from turnout.payload.builds.engine import Engine, explain
from turnout.payload.builds.telling import BuildError, run, status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

#: The password of the image's registry, given to this step alone.
PASSWORD = "TURNOUT_REGISTRY_PASSWORD"  # noqa: S105 - a name
USERNAME = "TURNOUT_REGISTRY_USERNAME"
HUB = "https://index.docker.io/v1/"
LAYER = re.compile(r"([0-9a-f]{12}): (.*)")
#: "Step 3/7 : RUN …" of the old builder, "STEP 3/7: RUN …" of podman, and of BuildKit
#: "#7 [2/4] RUN …".
BUILD_STEP = re.compile(r"(?:S(?:tep|TEP) (\d+/\d+) ?: |#\d+ \[(?:\S+ )?(\d+/\d+)\] )(.*)")


def make_sure(engine: Engine, container: dict[str, Any], files: str) -> str:
    """Have the base image here; its id."""
    if container.get("dockerfile"):
        return built(engine, container, files)
    name = container["image"]
    found = engine.inspect_image(name)
    if found is None:
        pull(engine, container, files)
        found = engine.inspect_image(name)
    if found is None:
        raise BuildError("The image '%s' was pulled and is not here." % name)
    return str(found["Id"])


def pull(engine: Engine, container: dict[str, Any], files: str) -> None:
    name = container["image"]
    status("Pulling the image %s" % name)
    layers: dict[str, bool] = {}

    def heard(line: str) -> str | None:
        found = LAYER.match(line)
        if not found:
            return line
        layers[found.group(1)] = found.group(2) in ("Pull complete", "Already exists")
        status("Pulling %s (%d of %d layers)" % (name, sum(layers.values()), len(layers)))
        return None

    with client_settings(engine, container, files) as env:
        code, said = run(engine.argv("pull", name), env, heard)
    if code:
        raise BuildError("The image '%s' cannot be had. %s" % (name, explain(said, "pull")))


def built(engine: Engine, container: dict[str, Any], files: str) -> str:
    """The id of the image that the Dockerfile makes; made once."""
    text = container["dockerfile"]
    tag = "turnout/base:%s" % hashlib.sha256(text.encode()).hexdigest()[:32]
    found = engine.inspect_image(tag)
    if found is None:
        status("Building the image of the Dockerfile")
        # Nothing can be copied in: the text is all that travels.
        context = rundir.make_folder(os.path.join(files, "context"))
        path = os.path.join(files, "Dockerfile")
        rundir.write_file(path, text.encode())
        argv = ["build", "--force-rm", "--tag", tag, "--file", path]
        if not engine.bridge:
            argv += ["--network", "host"]
        for name in sorted(os.environ):
            # Known to every builder, and kept in no image.
            if name.lower() in inside.PROXIES:
                argv += ["--build-arg", name]
        with client_settings(engine, container, files) as env:
            code, said = run(engine.argv(*argv, context), env, show_step)
        if code:
            raise BuildError(
                "The Dockerfile could not be built. %s" % explain(said, "%s build" % engine.kind)
            )
        found = engine.inspect_image(tag)
    if found is None:
        raise BuildError("The Dockerfile was built and its image is not here.")
    return str(found["Id"])


def show_step(line: str) -> str:
    found = BUILD_STEP.match(line)
    if found:
        number = found.group(1) or found.group(2)
        status("Dockerfile, step %s: %s" % (number.replace("/", " of "), found.group(3)[:80]))
    return line


# -- registries --------------------------------------------------------------------------------


@contextlib.contextmanager
def client_settings(
    engine: Engine, container: dict[str, Any], files: str
) -> Generator[dict[str, str]]:
    """Variables with which the client logs in to the image's registry, where we can."""
    person = container.get("registry_username")
    if not person or not os.environ.get(PASSWORD):
        yield {}
        return
    folder = rundir.make_folder(os.path.join(files, "client"))
    try:
        yield write_settings(folder, registry_of(container), person)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_settings(folder: str, registry: str, person: str) -> dict[str, str]:
    """A copy of the client's settings that asks our helper about the registry."""
    own = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    settings = rundir.read_json(os.path.join(own, "config.json"))
    settings = settings if isinstance(settings, dict) else {}
    # Passwords of other registries stay where they are.
    settings.pop("auths", None)
    settings["credHelpers"] = {**(settings.get("credHelpers") or {}), registry: "turnout"}
    rundir.write_json(os.path.join(folder, "config.json"), settings)
    for name in ("contexts", "cli-plugins"):
        if os.path.isdir(os.path.join(own, name)):
            os.symlink(os.path.join(own, name), os.path.join(folder, name))
    entry = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    helper = os.path.join(folder, "docker-credential-turnout")
    words = " ".join(quoted(w) for w in (sys.executable, "-S", "-E", entry, "image", "credential"))
    rundir.write_file(helper, ('#!/bin/sh\nexec %s "$@"\n' % words).encode())
    os.chmod(helper, 0o700)
    return {
        "DOCKER_CONFIG": folder,
        "REGISTRY_AUTH_FILE": os.path.join(folder, "config.json"),
        "PATH": "%s:%s" % (folder, os.environ.get("PATH", os.defpath)),
        USERNAME: person,
    }


def quoted(word: str) -> str:
    return "'%s'" % word.replace("'", "'\\''")


def registry_of(container: dict[str, Any]) -> str:
    """The registry as the client's settings name it."""
    first, slash, _ = (container.get("image") or "").partition("/")
    if container.get("registry"):
        return str(container["registry"]).rstrip("/").split("/")[0]
    if slash and (re.search(r"[.:]", first) or first == "localhost"):
        return first
    return HUB


def credential(action: str) -> int:
    """The helper: answers the client's "get", keeps nothing."""
    server = sys.stdin.readline().strip()
    if action != "get":
        return 0
    found = {"ServerURL": server, "Username": os.environ.get(USERNAME, "")}
    sys.stdout.write(json.dumps({**found, "Secret": os.environ.get(PASSWORD, "")}))
    return 0
