"""The packages of an estimator: those that are listed, and those of its framework."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from turnout.client import requirements_files
from turnout.client.conda_dependencies import CondaDependencies, key

#: Other names under which a list may have a framework already.
SAME = {
    "torch": ("pytorch", "pytorch-gpu", "pytorch-cpu"),
    "tensorflow": ("tensorflow-gpu", "tensorflow-cpu", "tf-nightly"),
    "scikit-learn": ("sklearn",),
}


def packages(
    folder: Path,
    conda: Iterable[str] | None,
    pip: Iterable[str] | None,
    conda_file: str | None,
    pip_file: str | None,
    framework: list[str],
) -> CondaDependencies:
    """What is listed, and those of the framework that are not among it."""
    found = CondaDependencies(None if conda_file is None else located(folder, conda_file))
    if pip_file is not None:
        path = located(folder, pip_file)
        found.add_requirements(requirements_files.read(os.fspath(path)))
    more = CondaDependencies.create(pip_packages=pip, conda_packages=conda)
    for line in more.conda_packages:
        found.add_conda_package(line)
    for line in more.pip_packages:
        found.add_pip_package(line)
    if more.get_python_version():
        found.set_python_version(more.get_python_version())
    there = {key(line) for line in (*found.conda_packages, *found.pip_packages)}
    for line in framework:
        if there.isdisjoint((key(line), *SAME.get(key(line), ()))):
            found.add_pip_package(line)
    return found


def located(folder: Path, name: str | os.PathLike[str]) -> Path:
    """A file of the source folder, or else of the current one."""
    inside = folder / name
    return inside if inside.exists() else Path(name)


def exact(version: str) -> str:
    """v1's versions have two parts for any patch of them.

    >>> exact("1.4"), exact("0.20.3")
    ('1.4.*', '0.20.3')
    """
    return f"{version}.*" if version.count(".") == 1 else version
