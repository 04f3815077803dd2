"""Conda lists: solved into a lock, and built from it. Run as `conda lock FILES UV ROOT` and
`conda build FILES UV ROOT PREFIX`; the contract is docs/design/run-folder.md, "Build programs".

Which packages: py-rattler decides, for this machine (`rattler_tool`, `conda_pins`). The pip part
is uv's (`conda_pip`). Without a channel that can be reached the list is made of PyPI's packages.
"""

from __future__ import annotations

import json
import os
import subprocess

from turnout.payload.builds import (
    bytecode,
    conda_activation,
    conda_channels,
    conda_failures,
    conda_names,
    conda_pip,
    pip,
    pip_rules,
    rattler_tool,
    telling,
)
from turnout.payload.builds.rattler_tool import ChildError, ToolError
from turnout.payload.builds.telling import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main(argv: list[str]) -> int:
    phase, files, uv, root = argv[:4]
    pip.use_own_folders(root)
    trusted = pip_rules.uv_variables(os.environ).get("SSL_CERT_FILE")
    if trusted:  # What pip trusts on this host holds for channels too.
        os.environ.setdefault("SSL_CERT_FILE", trusted)
    if phase == "lock":
        return lock(files, uv, root)
    return build(files, uv, root, argv[4])


def lock(files: str, uv: str, root: str) -> int:
    wanted = telling.request(files)
    if wanted["provided"]:
        telling.say("Part of Turnout, left out: %s" % ", ".join(wanted["provided"]))
    if wanted["conda"] == "pypi":
        return from_pypi(wanted, files, uv, "")
    missing = conda_channels.unreachable(wanted["channels"])
    # Where some answer, what the others have cannot be left out silently.
    if missing and (wanted["conda"] == "conda" or len(missing) < len(wanted["channels"])):
        raise BuildError(conda_failures.unreachable(missing))
    reason = " ".join(missing)
    python = ""
    if not reason:
        try:
            python = rattler_tool.ensure(uv, root)
        except ToolError as e:
            if wanted["conda"] == "conda":
                raise
            reason = str(e)
    if reason:
        return from_pypi(wanted, files, uv, reason)
    telling.write_lock(files, solved(wanted, files, uv, root, python))
    return 0


def from_pypi(wanted: dict[str, Any], files: str, uv: str, reason: str) -> int:
    """Map the list to PyPI's names and let the pip builder lock it; its exit code."""
    why = "The conda list is made of PyPI's packages, because %s" % reason if reason else ""
    if why:
        telling.note(why)
    mapped = conda_names.to_pip(wanted["packages"])
    if mapped.impossible:
        raise BuildError(conda_failures.not_on_pypi(mapped.impossible, why))
    for word in mapped.notes:
        telling.note(word)
    relax = wanted["pins"] != "exact"
    python = pip.find_python(uv, mapped.python, relax)
    options: list[str] = wanted["pip_options"]
    lines = sorted({*mapped.pip, *wanted["pip"]})
    code, found = pip.resolve(uv, python, lines, options, relax, files)
    if code:
        if why:
            telling.say(why)  # Near the end of the log, where a person looks.
        return code
    locked = {"kind": "pip", "python": python, "options": options, "requirements": found}
    # Not the lock of a list of pip packages: that environment has no launcher.
    telling.write_lock(files, {**locked, "launcher": conda_activation.LAUNCHER})
    return 0


def solved(wanted: dict[str, Any], files: str, uv: str, root: str, python: str) -> dict[str, Any]:
    packages = [*wanted["packages"], any_python(wanted["oldest_python"])]
    question = {
        "do": "solve",
        "channels": wanted["channels"],
        "packages": packages,
        "pins": wanted["pins"],
    }
    try:
        found = rattler_tool.ask(python, root, files, question)
    except ChildError as e:
        text = conda_failures.solve(e, wanted)
        raise BuildError(text) from e
    for word in found["relaxed"]:
        telling.note(conda_failures.relaxed(word, wanted["oldest_python"]))
    locked = sorted(found["packages"], key=lambda p: p["name"])
    by_pip = conda_pip.lock(wanted, files, uv, python, locked)
    return {"kind": "conda", "platform": found["platform"], "packages": locked, "pip": by_pip}


def any_python(oldest: str) -> dict[str, str]:
    """What Turnout itself needs, whatever the list says."""
    return {"text": "", "name": "python", "version": ">=" + oldest, "build": "", "channel": ""}


def build(files: str, uv: str, root: str, prefix: str) -> int:
    made = telling.read_lock(files)
    if made.get("kind") != "conda":
        code = pip.build(files, uv, root, prefix)
        if not code:
            conda_activation.write(prefix)
        return code
    python = rattler_tool.ensure(uv, root)
    for package in made["packages"]:
        if conda_channels.is_damaged(package, rattler_tool.package_cache(root)):
            raise BuildError(conda_failures.damaged(package))
    question = {
        "do": "install",
        "packages": made["packages"],
        "platform": made["platform"],
        "prefix": prefix,
    }
    try:
        rattler_tool.ask(python, root, files, question)
    except ChildError as e:
        raise BuildError(conda_failures.install(e, made["packages"])) from e
    own = os.path.join(prefix, "bin", "python")
    check_python(own)
    if made["pip"]:
        conda_pip.install(telling.request(files), made["pip"], files, uv, prefix)
    pip.compiled(root, own, files)
    compile_rest(own, prefix, files)
    conda_activation.write(prefix)
    return 0


def check_python(python: str) -> None:
    try:
        done = subprocess.run(
            [python, "-I", "-c", "import sys, encodings, zlib"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as e:
        raise BuildError("The Python that was installed cannot be started: %s." % e) from e
    if done.returncode:
        said = rattler_tool.last_words(done.stdout.decode("utf-8", "replace"))
        raise BuildError(
            "The Python that was installed does not run on this machine: %s Ask for another "
            "Python version." % said
        )


def compile_rest(python: str, prefix: str, files: str) -> None:
    """Bytecode for what came without and has no list of its files, by which `bytecode` knows
    packages: packages for any Python, mostly."""
    sources = [path for path in sources_of(prefix) if path.endswith(".py")]
    there: dict[str, set[str]] = {}
    fresh: list[str] = []
    for path in sources:
        folder, name = os.path.split(path)
        if folder not in there:
            there[folder] = compiled_in(folder)
        if name[:-3] not in there[folder]:
            fresh.append(path)
    if not fresh:
        return
    telling.status("Compiling %d files" % len(fresh))
    listed = os.path.join(files, "compile.json")
    with open(listed, "w", encoding="utf-8") as file:
        json.dump(fresh, file)
    # A file that does not compile (a template, Python 2) is no reason to fail.
    telling.run([python, "-I", "-W", "ignore", "-c", bytecode.COMPILE, listed])


def sources_of(prefix: str) -> list[str]:
    """The files in site-packages of the conda packages, from what the installer wrote down."""
    found: list[str] = []
    meta = os.path.join(prefix, "conda-meta")
    for entry in sorted(os.listdir(meta)):
        if entry.endswith(".json"):
            with open(os.path.join(meta, entry), encoding="utf-8") as file:
                names = json.load(file)["files"]
            found += [os.path.join(prefix, name) for name in names if "/site-packages/" in name]
    return found


def compiled_in(folder: str) -> set[str]:
    """The modules of a folder that have bytecode."""
    try:
        kept = os.listdir(os.path.join(folder, "__pycache__"))
    except OSError:
        return set()
    return {name.partition(".")[0] for name in kept if name.endswith(".pyc")}
