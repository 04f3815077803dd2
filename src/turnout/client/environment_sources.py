"""Environments that are there already: conda's on this machine, and this very Python."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from turnout.client.conda_dependencies import CondaDependencies
from turnout.client.exceptions import UserErrorException
from turnout.spec.records import nearest
from turnout.spec.sources import hidden

#: Folders in which installers of conda put themselves.
ROOTS = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", ".conda", "conda")
#: Provided to every run; never installed from an index.
OURS = frozenset({"turnout", "turnout-azureml"})
ANACONDA = "https://conda.anaconda.org/"


# -- conda -------------------------------------------------------------------------------------


def conda_environment(name: str) -> CondaDependencies:
    """The packages of the conda environment of this name, or at this path."""
    prefix = find_prefix(name)
    found = CondaDependencies()
    channels: list[str] = []
    for record in records(prefix):
        package, version = str(record["name"]), str(record["version"])
        if package == "python":
            found.set_python_version(version)
        else:
            found.add_conda_package(f"{package}={version}")
        channel = channel_of(str(record.get("channel") or ""))
        if channel and channel not in channels:
            channels.append(channel)
    for channel in channels:
        found.add_channel(channel)
    folders = [str(p) for p in prefix.glob("lib/python3*/site-packages")]
    by_conda = {"conda", ""}
    for line in requirements(
        d
        for d in metadata.distributions(path=folders)
        if (d.read_text("INSTALLER") or "").strip() not in by_conda
    )[0]:
        found.add_pip_package(line)
    return found


def records(prefix: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            record = json.loads(path.read_text())
            found.append({**record, "name": record["name"], "version": record["version"]})
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise UserErrorException(
                f"The record '{path}' of the conda environment cannot be read ({e!r}). Mend the "
                "environment, or list its packages in a file."
            ) from None
    return found


def channel_of(url: str) -> str:
    """The channel's name, or its address, without platform and token.

    >>> channel_of("https://conda.anaconda.org/conda-forge/linux-64")
    'conda-forge'
    >>> channel_of("https://repo.anaconda.com/pkgs/main/noarch")
    'https://repo.anaconda.com/pkgs/main'
    """
    text = re.sub(r"/t/[^/]+", "", url.rstrip("/"))
    text = re.sub(r"/(noarch|(linux|osx|win)-[a-z0-9]+)$", "", text)
    text = re.sub(r"://[^/@]+@", "://", text)
    if text in ("pypi", "<unknown>"):
        return ""
    return text.removeprefix(ANACONDA)


def find_prefix(name: str) -> Path:
    """The folder of the environment. Raises `UserErrorException` when there is none."""
    if "/" in name:
        path = Path(name).expanduser()
        if is_prefix(path):
            return path
        raise UserErrorException(f"'{name}' is no conda environment: it has no conda-meta folder.")
    known = {place.name: place for place in reversed(list(prefixes()))}
    roots = [root for root in root_folders() if is_prefix(root)]
    if name in ("base", "root") and roots:
        return roots[0]
    if name in known:
        return known[name]
    there = f" There are: {', '.join(sorted(known))}." if known else " None was found at all."
    raise UserErrorException(
        f"There is no conda environment '{name}' on this machine{nearest(name, known)}.{there} "
        "Its folder will do as well."
    )


def is_prefix(path: Path) -> bool:
    return (path / "conda-meta").is_dir()


def root_folders() -> Iterator[Path]:
    """Where conda may be installed, the one in use first."""
    environ = os.environ
    program = environ.get("CONDA_EXE") or environ.get("MAMBA_EXE")
    if program:
        yield Path(program).parent.parent
    for variable in ("MAMBA_ROOT_PREFIX", "CONDA_ROOT"):
        if environ.get(variable):
            yield Path(environ[variable])
    prefix = environ.get("CONDA_PREFIX")
    if prefix:
        place = Path(prefix)
        yield place.parent.parent if place.parent.name == "envs" else place
    yield from (Path.home() / name for name in ROOTS)
    yield from (Path("/opt") / name for name in ROOTS)


def prefixes() -> Iterator[Path]:
    """Environments of this machine, those in use first."""
    active = os.environ.get("CONDA_PREFIX")
    if active and is_prefix(Path(active)):
        yield Path(active)
    folders = [Path(p) for p in os.environ.get("CONDA_ENVS_PATH", "").split(os.pathsep) if p]
    folders += [root / "envs" for root in root_folders()]
    for folder in folders:
        if folder.is_dir():
            yield from (place for place in sorted(folder.iterdir()) if is_prefix(place))
    try:
        # Every environment that conda ever made for this user.
        lines = (Path.home() / ".conda" / "environments.txt").read_text().splitlines()
    except OSError:
        return
    yield from (Path(line) for line in lines if line.strip() and is_prefix(Path(line)))


# -- this Python -------------------------------------------------------------------------------


def current_interpreter() -> tuple[CondaDependencies, list[str]]:
    """(what this Python has installed, names of packages that lie on this machine alone)."""
    lines, left_out = requirements(metadata.distributions())
    version = ".".join(str(part) for part in sys.version_info[:3])
    return CondaDependencies.create(pip_packages=lines, python_version=version), left_out


def requirements(found: Iterable[metadata.Distribution]) -> tuple[list[str], list[str]]:
    """(a requirement for each distribution, names of those that are of this machine alone)."""
    lines: dict[str, str] = {}
    left_out: list[str] = []
    for distribution in found:
        name = distribution.metadata["Name"]
        key = re.sub(r"[-_.]+", "-", name or "").lower()
        # The first on the path is the one that is imported.
        if not key or key in OURS or key in lines or name in left_out:
            continue
        line = requirement(distribution)
        if line:
            lines[key] = line
        else:
            left_out.append(name)
    return [lines[key] for key in sorted(lines)], sorted(left_out)


def requirement(distribution: metadata.Distribution) -> str | None:
    """None for what was installed from this machine's disk."""
    name = distribution.metadata["Name"]
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        url = str(origin.get("url", ""))
        vcs = origin.get("vcs_info") or {}
    except (ValueError, AttributeError):
        url, vcs = "", {}
    if not url:
        return f"{name}=={distribution.version}"
    if url.startswith("file:") or hidden(url) != url:
        return None
    if vcs:
        return f"{name} @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    return f"{name} @ {url}"


def left_out_note(names: list[str]) -> str:
    are = "is" if len(names) == 1 else "are"
    return (
        f"{', '.join(names)} {are} installed from a folder of this machine and left out of the "
        "environment. What the source folder has is imported from there; for the rest, name an "
        "index or an address that has it."
    )
