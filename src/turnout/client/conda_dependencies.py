"""`CondaDependencies`: the packages of a system-managed environment, as v1 writes them down."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.client import conda_files, requirements_files
from turnout.client.exceptions import RunConfigurationException
from turnout.spec.environments import PYTHON_RANGE
from turnout.spec.errors import EnvironmentSpecError
from turnout.spec.sources import REPEATABLE, normal_option

FILE_NAME = "conda_dependencies.yml"
PYTHON = re.compile(r"python(?:\s*[=<>~!\s].*|\s*)")
VERSION = re.compile(r"\d+(\.\d+){0,2}(\.\*)?")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
REQUIREMENT_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


class CondaDependencies:
    """A list of conda packages, pip packages and a Python version.

    Example::

        cd = CondaDependencies.create(pip_packages=["scikit-learn==1.5"], python_version="3.11")
        cd.add_pip_package("pandas")

    Nothing is checked until a run that uses it is submitted. Raises `RunConfigurationException`
    for what is no package requirement.
    """

    def __init__(
        self,
        conda_dependencies_file_path: str | os.PathLike[str] | None = None,
        _underlying_structure: dict[str, Any] | None = None,
    ) -> None:
        self._python: str | None = None
        self._conda: list[str] = []
        self._pip: list[str] = []
        self._pip_options: list[str] = []
        self._channels: list[str] = []
        self._name = "project_environment"
        #: Where a requirement was written, by the requirement.
        self._origins: dict[str, str] = {}
        if conda_dependencies_file_path is not None:
            path = Path(conda_dependencies_file_path)
            data, lines = conda_files.read(path)
            self._take(data, lines, path)
        elif _underlying_structure is not None:
            self._take(_underlying_structure)

    @staticmethod
    def create(
        pip_indexurl: str | None = None,
        pip_packages: Iterable[str] | None = None,
        conda_packages: Iterable[str] | None = None,
        python_version: str | None = None,
        pin_sdk_version: bool = True,
    ) -> CondaDependencies:
        """A list of these packages. Without `python_version` it is the target's own Python."""
        found = CondaDependencies()
        if pip_indexurl:
            found.set_pip_index_url(pip_indexurl)
        for package in listed("pip_packages", pip_packages):
            found.add_pip_package(package)
        for package in listed("conda_packages", conda_packages):
            found.add_conda_package(package)
        if python_version:
            found.set_python_version(python_version)
        return found

    @staticmethod
    def from_requirements(path: str | os.PathLike[str]) -> CondaDependencies:
        """The pip packages of a requirements file, and its options that say where they are."""
        read = requirements_files.read(os.fspath(path))
        found = CondaDependencies()
        found.add_requirements(read)
        return found

    def add_requirements(self, found: requirements_files.Requirements) -> None:
        for option in found.options:
            self.set_pip_option(option)
        for package in found.packages:
            self.add_pip_line(package)
        self._origins.update(found.origins)

    # -- packages -------------------------------------------------------------------------------

    @property
    def conda_packages(self) -> list[str]:
        return list(self._conda)

    @property
    def pip_packages(self) -> list[str]:
        return list(self._pip)

    @property
    def pip_options(self) -> list[str]:
        return list(self._pip_options)

    @property
    def conda_channels(self) -> list[str]:
        return list(self._channels)

    @property
    def origins(self) -> dict[str, str]:
        """Where each package was written: `{"idna==99": "conda_dependencies.yml, line 7"}`.
        Those that were added by a program are not in it."""
        held = {*self._conda, *self._pip}
        return {k: v for k, v in self._origins.items() if k in held or PYTHON.fullmatch(k)}

    def add_conda_package(self, conda_package: str) -> None:
        """Add, or replace the one of that name: `scikit-learn=1.5`."""
        text = checked(conda_package)
        if PYTHON.fullmatch(text):
            version = text[len("python") :].strip().lstrip("=").strip()
            # "3.11=h1234_0": the build of one platform says nothing on another.
            exact = version if version[:1] in "<>!~" else version.split("=")[0]
            self.set_python_version(exact or None)
        else:
            replace_or_add(self._conda, text)

    def add_conda_line(self, line: str) -> None:
        """Add a line of a list, beside others of that name: together they must hold."""
        text = checked(line)
        if PYTHON.fullmatch(text):
            self.add_conda_package(text)
        else:
            add(self._conda, text)

    def remove_conda_package(self, conda_package: str) -> None:
        self._conda = [p for p in self._conda if key(p) != key(conda_package)]

    def add_pip_package(self, pip_package: str) -> None:
        """Add, or replace the one of that name: `scikit-learn==1.5`."""
        replace_or_add(self._pip, checked(pip_package))

    def add_pip_line(self, line: str) -> None:
        """Add a line of a list, beside others of that name: they may hold for different machines
        (`numpy<2 ; python_version < "3.9"`), and a contradiction is for the solver to tell."""
        add(self._pip, checked(line))

    def remove_pip_package(self, pip_package: str) -> None:
        self._pip = [p for p in self._pip if key(p) != key(pip_package)]

    def set_pip_requirements(self, pip_requirements: Iterable[str]) -> None:
        """These pip packages and no others."""
        self._pip = []
        for package in listed("pip_requirements", pip_requirements):
            self.add_pip_package(package)

    def add_tensorflow_conda_package(
        self, core_type: str = "cpu", version: str | None = None
    ) -> None:
        """TensorFlow from conda; one package serves CPU and GPU today."""
        self.add_conda_package(f"tensorflow={version}" if version else "tensorflow")

    def add_tensorflow_pip_package(
        self, core_type: str = "cpu", version: str | None = None
    ) -> None:
        """As `add_tensorflow_conda_package`, from PyPI."""
        self.add_pip_package(f"tensorflow=={version}" if version else "tensorflow")

    def add_channel(self, channel: str) -> None:
        if channel not in self._channels:
            self._channels.append(channel)

    def remove_channel(self, channel: str) -> None:
        self._channels = [c for c in self._channels if c != channel]

    def set_pip_index_url(self, index_url: str) -> None:
        self.set_pip_option(f"--index-url {index_url}")

    def set_pip_option(self, pip_option: str) -> None:
        """Add an option such as "--extra-index-url https://…"; those that can be there only once
        replace the one before. Raises `RunConfigurationException` for what is not supported, and
        for a password in an address."""
        try:
            option = normal_option(pip_option)
        except EnvironmentSpecError as e:
            raise RunConfigurationException(e.message) from None
        name = option.partition("=")[0]
        if name not in REPEATABLE:
            self.remove_pip_option(name)
        if option not in self._pip_options:
            self._pip_options.append(option)

    def remove_pip_option(self, pip_option: str) -> None:
        """Remove the option: all of that name, or with a value only that one."""
        name, _, value = pip_option.strip().replace(" ", "=", 1).partition("=")
        gone = f"{name}={value.strip()}" if value else None
        self._pip_options = [
            o for o in self._pip_options if o.partition("=")[0] != name or gone not in (None, o)
        ]

    def set_python_version(self, version: str | None) -> None:
        """Such as "3.11", "3.11.7" or ">=3.9,<3.12"; None for the target's own."""
        if version is not None:
            version = re.sub(r"\s+", "", version)
            if not (VERSION.fullmatch(version) or PYTHON_RANGE.fullmatch(version)):
                raise RunConfigurationException(
                    f"'{version}' is no Python version; write it like '3.11', '3.11.7' or "
                    "'>=3.9,<3.12'."
                )
            version = version.removesuffix(".*")
        # "3" is what every Python is that a target may have.
        self._python = None if version == "3" else version

    def get_python_version(self) -> str | None:
        return self._python

    # -- as data --------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """The content of a conda environment file."""
        dependencies: list[Any] = []
        if self._python:
            dependencies.append(f"python{'' if self._python[0] in '<>!~' else '='}{self._python}")
        if self._pip or self._pip_options:
            dependencies.append({"pip": [*self._pip_options, *self._pip]})
        dependencies += self._conda
        found: dict[str, Any] = {"name": self._name, "dependencies": dependencies}
        if self._channels:
            found["channels"] = list(self._channels)
        return copy.deepcopy(found)

    def serialize_to_string(self) -> str:
        import yaml

        return yaml.safe_dump(self.as_dict(), sort_keys=False)

    def save_to_file(
        self, base_directory: str | os.PathLike[str], conda_file_path: str | None = None
    ) -> str:
        """Write the list below `base_directory`; the path relative to it."""
        relative = conda_file_path or FILE_NAME
        path = Path(base_directory) / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.serialize_to_string())
        return relative

    def save(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write the list to `path`, a file or a folder; the path written."""
        goal = Path(path or ".")
        goal = goal / FILE_NAME if goal.is_dir() else goal
        goal.write_text(self.serialize_to_string())
        return str(goal)

    def _take(
        self,
        data: Any,
        lines: Mapping[tuple[int, ...], int] | None = None,
        path: Path | None = None,
    ) -> None:
        """Take the content of a conda environment file; `lines` has where its entries are."""
        if not isinstance(data, dict):
            name = f"'{path}' is none: a" if path else "A"
            raise RunConfigurationException(
                f"{name} conda environment file is a mapping that has 'dependencies:'."
            )
        self._name = str(data.get("name") or self._name)
        self._channels = [str(c) for c in data.get("channels") or []]
        for i, item in enumerate(conda_files.entries(data.get("dependencies"), "dependencies")):
            if not isinstance(item, dict):
                self._take_entry(
                    str(item), conda_files.where(path, lines, (i,)), self.add_conda_line
                )
                continue
            unknown = [key for key in item if key != "pip"]
            if unknown:
                place = conda_files.where(path, lines, (i,))
                raise RunConfigurationException(
                    f"{place}'{unknown[0]}' is no list of packages; a conda environment file may "
                    "have 'pip:' there."
                )
            for j, line in enumerate(conda_files.entries(item.get("pip"), "pip")):
                self._take_pip(str(line), conda_files.where(path, lines, (i, j)), path)

    def _take_pip(self, text: str, origin: str, path: Path | None) -> None:
        include = requirements_files.INCLUDE.fullmatch(text)
        if include and path is not None:
            self.add_requirements(requirements_files.read(path.parent / include["file"]))
        else:
            is_option = text.startswith("-")
            if requirements_files.EDITABLE.match(text):
                raise requirements_files.refused(origin.rstrip(": "), text)
            self._take_entry(text, origin, self.set_pip_option if is_option else self.add_pip_line)

    def _take_entry(self, text: str, origin: str, take: Callable[[str], None]) -> None:
        try:
            take(text)
        except RunConfigurationException as e:
            raise RunConfigurationException(f"{origin}{e.message}") from None
        if origin:
            self._origins[text.strip()] = origin.rstrip(": ")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CondaDependencies) and self.as_dict() == other.as_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"CondaDependencies({self.as_dict()!r})"


def listed(name: str, given: Iterable[str] | None) -> Sequence[str]:
    if isinstance(given, str):
        raise RunConfigurationException(f"{name} must be a list: ['{given}'].")
    return list(given or [])


def checked(package: object) -> str:
    if not isinstance(package, str) or not package.strip() or package.lstrip().startswith("-"):
        raise RunConfigurationException(
            f"{package!r} is not a package requirement. Write a name with an optional version, "
            "for example 'scikit-learn==1.5'."
        )
    return package.strip()


def key(package: str) -> str:
    """What a requirement is about: two of the same are one.

    >>> key("Scikit_Learn==1.5"), key("conda-forge::numpy=1.26"), key("https://x.org/a.whl")
    ('scikit-learn', 'numpy', 'https://x.org/a.whl')
    """
    if ADDRESS.match(package):
        return package
    found = REQUIREMENT_NAME.match(package.rpartition("::")[2])
    return (found.group(1) if found else package).lower().replace("_", "-").replace(".", "-")


def add(packages: list[str], package: str) -> None:
    if package not in packages:
        packages.append(package)


def replace_or_add(packages: list[str], package: str) -> None:
    """Where the first of that name stands; a program that names it again changes its mind."""
    at = next((i for i, p in enumerate(packages) if key(p) == key(package)), len(packages))
    packages[:] = [p for p in packages if key(p) != key(package)]
    packages.insert(at, package)
