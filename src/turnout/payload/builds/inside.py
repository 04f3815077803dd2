"""A build inside a container: the build program itself, run there by the image's Python.

What it needs from this machine (uv, settings of uv and pip, certificates, wheels in local folders)
is shown to the container for that step. Its caches live in a volume of the engine: what root in a
container writes into a person's folder could not be deleted by that person.
"""

from __future__ import annotations

import json
import os
import re

from turnout.payload import rundir
from turnout.payload.builds import pip_rules
from turnout.payload.builds.boxes import bind
from turnout.payload.builds.engine import Engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Everything of ours that a build sees. A file system in memory, so that nothing of it stays.
HOME = "/run/turnout"
PIPES = HOME + "/pipes"
VOLUME = "turnout-cache"
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
#: Runs $@ by a Python of the image that can, else by one that uv brings.
PYTHON = r"""
p=
for n in python3 python; do
    c=$(command -v $n) && "$c" -I -S -c "$CAN" >/dev/null 2>&1 && p=$c && break
done
if ! uv=$("$0" --version 2>&1); then
    echo "$uv"
    exit 65
fi
if [ -n "$LOCKED_PYTHON" ] && [ ! -x "$LOCKED_PYTHON" ]; then
    "$0" python install --quiet "$LOCKED_VERSION" || exit
fi
if [ -z "$p" ]; then
    "$0" python install --quiet ${LOCKED_VERSION:-$WANTED_PYTHON} || exit 66
    p=$("$0" python find ${LOCKED_VERSION:-$WANTED_PYTHON}) || exit 66
fi
exec "$p" -S -E "$@"
"""
#: New enough, and not stripped of what an environment needs.
CAN = "import csv, hashlib, json, subprocess, sys, venv; sys.exit(sys.version_info < (3, 8))"
#: Exit codes of ours.
WORDS = {
    65: "uv does not run in this image: it needs one with glibc (Debian, Ubuntu, Fedora), not "
    "musl (Alpine). Use another base image, or its own Python (user_managed_dependencies).",
    66: "The image has no Python, and none could be fetched for it. Use a base image that has one "
    "(python:3.12), or look at uv's words in the log.",
}


class Step:
    """How a phase of a build program is run in a container."""

    def __init__(self, engine: Engine, files: str, uv: str, asked: dict[str, Any]) -> None:
        # This file is PAYLOAD/turnout/payload/builds/inside.py.
        payload = os.path.abspath(__file__).rsplit(os.sep, 4)[0]
        self.folder = rundir.make_folder(os.path.join(files, "inside"))
        options, variables = network(engine)
        places = Shown()
        for name in variables:
            if "INDEX" in name or "FIND_LINKS" in name:
                variables[name] = places.translate(variables[name])
        self.program: str = asked["program"]
        given = json.loads(places.translate(json.dumps(asked["asked"])))
        rundir.write_json(os.path.join(self.folder, "request.json"), given)
        shown = ((uv, "/uv"), (payload, "/payload"))
        for source, name in shown:
            options += bind(source, HOME + name, read_only=True)
        options += bind(self.folder, HOME + "/files")
        options += ["--mount", "type=volume,source=%s,target=%s/root/cache" % (VOLUME, HOME)]
        self.options = ["--user", "0:0", *options, *places.options]
        self.variables = {
            **variables,
            "HOME": "/tmp",  # noqa: S108 - the container's own
            "UV_CACHE_DIR": HOME + "/root/cache/uv",
            "UV_PYTHON_CACHE_DIR": HOME + "/root/cache/python",
            "UV_PYTHON_INSTALL_DIR": "/opt/turnout/python",
            "UV_LINK_MODE": "copy",
            "CAN": CAN,
            # Bytecode that is kept for further images is checked by content: what uv copies has
            # another time in each. The oldest time that a zip file can have.
            "SOURCE_DATE_EPOCH": "315532800",
            "WANTED_PYTHON": given.get("python") or "3",
        }

    def argv(self, phase: str, *more: str) -> list[str]:
        program = HOME + "/payload/turnout/payload/builds/__main__.py"
        words = [self.program, phase, HOME + "/files", HOME + "/uv", HOME + "/root", *more]
        return ["/bin/sh", "-c", PYTHON, HOME + "/uv", program, *words]

    def locked(self) -> dict[str, Any]:
        """What the program locked."""
        with open(os.path.join(self.folder, "lock"), encoding="utf-8") as file:
            return json.load(file)

    def give_lock(self, locked: dict[str, Any]) -> None:
        rundir.write_json(os.path.join(self.folder, "lock"), locked)
        # A conda list brings its own.
        python = locked.get("python") or {}
        self.variables["LOCKED_PYTHON"] = python.get("path", "")
        self.variables["LOCKED_VERSION"] = python.get("version", "")


def network(engine: Engine) -> tuple[list[str], dict[str, str]]:
    """(options, variables) with which a step reaches what this machine reaches, as it does."""
    # What a program installs for itself lies there too, and is run.
    options = ["--tmpfs", HOME + ":exec"]
    if not engine.bridge:
        options += ["--network", "host"]
    variables = {n: v for n, v in os.environ.items() if n.startswith(("UV_", "PIP_"))}
    variables.update((n, v) for n, v in os.environ.items() if n.lower() in PROXIES)
    # Files of this machine mean nothing inside: what they say goes in instead.
    for name in ("PIP_CERT", "PIP_CONFIG_FILE", "PIP_CACHE_DIR", "UV_CONFIG_FILE", "UV_PYTHON"):
        variables.pop(name, None)
    said = pip_rules.uv_variables(os.environ)
    variables.update((n, v) for n, v in said.items() if n.startswith("UV_"))
    if pip_rules.uv_arguments(os.environ):
        variables["PIP_NO_INDEX"] = "1"
    bundle = said.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_FILE", "")
    if os.path.isfile(bundle):
        options += bind(bundle, HOME + "/ca.pem", read_only=True)
        variables["SSL_CERT_FILE"] = HOME + "/ca.pem"
        variables["APT_OPTIONS"] = "-o Acquire::https::CAInfo=%s/ca.pem" % HOME
    config = uv_config()
    if config:
        options += bind(config, HOME + "/uv.toml", read_only=True)
        variables["UV_CONFIG_FILE"] = HOME + "/uv.toml"
    return options, variables


def uv_config() -> str:
    """The person's settings of uv, else the machine's; "" without."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    own = os.environ.get("UV_CONFIG_FILE", "")
    for path in (own, os.path.join(home, "uv", "uv.toml"), "/etc/uv/uv.toml"):
        if path and os.path.isfile(path):
            return path
    return ""


class Shown:
    """Folders of this machine that settings name: shown to the container, and named as there."""

    def __init__(self) -> None:
        self.options: list[str] = []
        self.folders: list[str] = []

    def translate(self, text: str) -> str:
        """`text` with the places that they have inside."""
        return re.sub(r"[^\s,=\"']+", self.place, text)

    def place(self, word: re.Match[str]) -> str:
        text = word.group()
        scheme = "file://" if text.startswith("file:///") else ""
        path = text[len(scheme) :].rstrip("/")
        if not (path.startswith("/") and os.path.isdir(path)):
            return text
        # The pages of an index may name files beside them.
        shown, name = os.path.split(path) if path.endswith("/simple") else (path, "")
        if shown not in self.folders:
            self.folders.append(shown)
            self.options += bind(shown, self.inside(shown), read_only=True)
        return scheme + os.path.join(self.inside(shown), name).rstrip("/")

    def inside(self, path: str) -> str:
        return "%s/folders/%d" % (HOME, self.folders.index(path))
