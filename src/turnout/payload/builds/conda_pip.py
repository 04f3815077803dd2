"""The pip part of a conda list: locked by uv against what conda provides, installed by hashes.

The environment does not exist while its pip part is solved, so uv is told about the conda
packages: each is a tiny wheel without content, and nothing else may satisfy its name. So a
requirement that a conda package does not satisfy is a failure that names both, and pip never
replaces one.
"""

from __future__ import annotations

import os
import re
import shutil
import zipfile

from turnout.payload.builds import conda_failures, conda_names, pip, telling
from turnout.payload.builds.telling import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Versions as PyPI writes them; others (2023c) cannot be told to uv.
VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")


def lock(
    wanted: dict[str, Any], files: str, uv: str, tool: str, packages: list[dict[str, Any]]
) -> str:
    """The pip part as exact requirements with hashes; "" when there is none."""
    if not wanted["pip"]:
        return ""
    telling.status("Resolving %s of the pip part" % pip.counted(len(wanted["pip"])))
    provided = provided_by(packages)
    stubs = os.path.join(files, "stubs")
    discard(stubs)
    os.makedirs(stubs)
    constraints = [
        "%s @ file://%s" % (name, stub(stubs, name, version))
        for name, version in sorted(provided.items())
    ]
    write(files, "provided.txt", constraints)
    version = next(p["version"] for p in packages if p["name"] == "python")
    python = {"path": tool, "version": version}
    told = ["--python-version", version, "--constraint", os.path.join(files, "provided.txt")]
    options = wanted["pip_options"]
    code, said = compiled(
        files, uv, python, provided, [*options, *told, "--generate-hashes"], wanted["pip"]
    )
    if code and wanted["pins"] != "exact":
        # A pin that cannot be had gives way; what came of it is locked like any other list.
        code, found = pip.resolve(uv, python, wanted["pip"], [*options, *told], True, files)
        if not code:
            exact = [line for line in found if " @ file://" + stubs not in line]
            hashed = [*options, "--no-deps", "--python-version", version, "--generate-hashes"]
            code, said = compiled(files, uv, python, provided, hashed, exact)
    if code:
        raise BuildError(conda_failures.pip_part(said, provided, wanted))
    discard(stubs)
    with open(os.path.join(files, "pip.lock"), encoding="utf-8") as file:
        return "".join(line for line in file if not line.lstrip().startswith("#"))


def compiled(
    files: str,
    uv: str,
    python: dict[str, str],
    provided: dict[str, str],
    options: list[str],
    lines: list[str],
) -> tuple[int, str]:
    """Have uv write `pip.lock`; (exit code, what it said)."""
    write(files, "pip.in", lines)
    discard(os.path.join(files, "pip.lock"))  # uv prefers what an old lock has.
    argv = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-progress"]
    argv += ["--python", python["path"], "--output-file", os.path.join(files, "pip.lock")]
    for name in sorted(provided):
        argv += ["--no-emit-package", name]
    argv += [*options, *pip.sources(options), os.path.join(files, "pip.in")]
    return telling.run(argv, pip.environment())


def provided_by(packages: list[dict[str, Any]]) -> dict[str, str]:
    """{PyPI name: version} of the conda packages that are Python packages."""
    found: dict[str, str] = {}
    for package in packages:
        needs = {word.split()[0] for word in package.get("depends", []) if word.split()}
        python = package.get("noarch") == "python" or needs & {"python", "python_abi"}
        if package["name"] == "python" or not python:
            continue
        if VERSION.fullmatch(package["version"]):
            for name in conda_names.pypi_names(package["name"]):
                found[name] = package["version"]
    return found


def stub(folder: str, name: str, version: str) -> str:
    """A wheel that has a name and a version, and nothing else."""
    stem = "%s-%s" % (re.sub(r"[-_.]+", "_", name), version)
    path = os.path.join(folder, stem + "-py3-none-any.whl")
    metadata = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version)
    wheel = "Wheel-Version: 1.0\nGenerator: turnout\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(stem + ".dist-info/METADATA", metadata)
        archive.writestr(stem + ".dist-info/WHEEL", wheel)
        archive.writestr(stem + ".dist-info/RECORD", "")
    return path


def install(wanted: dict[str, Any], locked: str, files: str, uv: str, prefix: str) -> None:
    """Exactly the lock into the environment."""
    count = len(re.findall(r"^[^\s#-]", locked, re.MULTILINE))
    telling.status("Installing %s of the pip part" % pip.counted(count))
    write(files, "pip.txt", [locked])
    argv = [uv, "pip", "install", "--no-deps", "--no-progress"]
    argv += ["--python", os.path.join(prefix, "bin", "python")]
    argv += [*wanted["pip_options"], *pip.sources(wanted["pip_options"])]
    argv += ["-r", os.path.join(files, "pip.txt")]
    code, said = telling.run(argv, pip.environment(), pip.heard)
    if code:
        raise BuildError(conda_failures.pip_part(said, {}, wanted))


def write(files: str, name: str, lines: list[str]) -> None:
    with open(os.path.join(files, name), "w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines))


def discard(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.exists(path):
        os.unlink(path)
