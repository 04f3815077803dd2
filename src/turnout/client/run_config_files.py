"""`.runconfig` files: found by a project's folder and a name, read, written, removed.

v1 kept them in `aml_config/` until May 2019, and in `.azureml/` from then on.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from turnout.client import commented_yaml
from turnout.client.commented_yaml import Place
from turnout.client.conda_dependencies import FILE_NAME, CondaDependencies
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.client.run_config import RunConfiguration
from turnout.client.run_config_comments import COMMENTS, ORDER
from turnout.client.run_config_data import TEXTS, Reader, Taken, data_of, packages_path
from turnout.spec.records import nearest

#: Folders of a project that hold its configuration, the first that is there.
FOLDERS = ("aml_config", ".azureml")
SUFFIX = ".runconfig"
MEANT = (SUFFIX, ".yml", ".yaml", ".json")


# -- where -------------------------------------------------------------------------------------


def config_folder(project: Path) -> Path:
    """The folder of the project that holds its configuration, whether it is there or not."""
    if project.name in FOLDERS:
        return project
    return next((project / n for n in FOLDERS if (project / n).is_dir()), project / FOLDERS[-1])


def project_folder(path: Path) -> Path:
    """The folder that paths in a run configuration begin at, absolute: the project's, for one of
    its files or folders of configuration."""
    folder = path.absolute()
    folder = folder if folder.is_dir() else folder.parent
    return folder.parent if folder.name in FOLDERS else folder


def names(project: Path) -> list[str]:
    """Names of the project's run configurations."""
    return sorted(p.name.removesuffix(SUFFIX) for p in config_folder(project).glob(f"*{SUFFIX}"))


def has(project: Path, name: str) -> bool:
    return file_of(project, name).is_file()


def file_of(project: Path, name: str) -> Path:
    """Where the run configuration of that name is or comes to be; one with a folder in its name
    (`config/cpu`) lies below the project's."""
    if not name or name.startswith("/") or ".." in name.split("/") or name.endswith("/"):
        raise UserErrorException(f"'{name}' cannot name a run configuration.")
    folder = project if "/" in name else config_folder(project)
    return folder / (name.removesuffix(SUFFIX) + SUFFIX)


def find(path: Path, name: str | None = None) -> Path:
    """The file that is meant; see `RunConfiguration.load`. Raises `UserErrorException`."""
    path = path.expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        if name is None and path.suffix in MEANT:
            raise UserErrorException(
                f"There is no run configuration '{path}'{nearest(path.stem, names(path.parent))}."
            )
        raise UserErrorException(f"There is no folder '{path}'.")
    known = names(path)
    if name is None:
        if len(known) == 1:
            return file_of(path, known[0])
        there = f"there are {', '.join(known)}" if known else "it has none"
        raise UserErrorException(f"Name a run configuration of '{path}': {there}.")
    found = file_of(path, name)
    if not found.is_file():
        there = f" It has: {', '.join(known)}." if known else ""
        there = there or " `turnout folder attach` writes one for each target."
        raise UserErrorException(
            f"There is no run configuration '{name}' in '{found.parent}'"
            f"{nearest(name, known)}.{there}"
        )
    return found


# -- reading -----------------------------------------------------------------------------------


def load(
    path: Path,
    name: str | None = None,
    warn: Callable[[str], None] | None = None,
    *,
    packages: bool = True,
) -> RunConfiguration:
    """`RunConfiguration.load`; `warn` is told of keys that have no effect. Without `packages` the
    file that lists them is left alone: another list is to come."""
    file = find(path, name)
    # A name's paths begin at the project, wherever below it the file is.
    folder = project_folder(file if path.expanduser().is_file() else path.expanduser())
    reader = Reader(commented_yaml.read(file, TEXTS), folder, packages=packages)
    found = reader.read()
    for note in reader.notes:
        (warn or warn_caller)(note)
    return found


def warn_caller(text: str) -> None:
    import warnings

    # Of `load`, of `RunConfiguration.load`, and then the person's line.
    warnings.warn(text, stacklevel=4)


# -- writing -----------------------------------------------------------------------------------


def save(
    config: RunConfiguration, path: Path | None, name: str | None = None, *, separate: bool = False
) -> Path:
    """`RunConfiguration.save`; the file written."""
    file = goal(config, path, name)
    taken: Taken | None = config.__dict__.get("_taken")
    folder = taken.folder if taken and taken.path == file.absolute() else project_folder(file)
    python = config.environment.python
    if separate and not python.user_managed_dependencies and not python.conda_dependencies_file:
        python._conda_dependencies_file = packages_file(config, file, folder)
    save_packages(config, file, folder)
    data = ordered(data_of(config, folder), ())
    if taken and taken.is_json and file.suffix not in (".yml", ".yaml"):
        text = json.dumps(data, indent=4, ensure_ascii=False) + "\n"
    else:
        text = commented_yaml.render(data, {**COMMENTS, **(taken.comments if taken else {})})
    write(file, text)
    if config.environment.docker.base_image_registry.password:
        import warnings

        warnings.warn(
            f"The password of base_image_registry is not written to '{file}': `turnout registry "
            "login` keeps it.",
            stacklevel=3,
        )
    return file


def goal(config: RunConfiguration, path: Path | None, name: str | None) -> Path:
    known = config.__dict__.get("_taken")
    if path is None:
        if known is not None:
            return known.path if name is None else file_of(known.path.parent, name)
        path = Path()
    path = path.expanduser()
    if path.is_file() or (name is None and not path.is_dir() and path.suffix in MEANT):
        return path
    own = known.path.name if known is not None else config.target
    return file_of(path, name or own)


def packages_file(config: RunConfiguration, file: Path, folder: Path) -> str:
    """Where the list of packages goes, from the project's folder on: no other's list is lost."""
    packages = config.environment.python.conda_dependencies
    for name in (FILE_NAME, f"{file.stem}_{FILE_NAME}"):
        path = file.absolute().parent / name
        if not path.exists() or same(path, packages):
            break
    return path.relative_to(folder).as_posix()


def save_packages(config: RunConfiguration, file: Path, folder: Path) -> None:
    """Write the file that lists the packages, unless it says just that: it may have comments."""
    python = config.environment.python
    name = python.conda_dependencies_file
    if not name or python.user_managed_dependencies:
        return
    path = packages_path(name, folder, file)
    if not same(path, python.conda_dependencies):
        write(path, python.conda_dependencies.serialize_to_string())


def same(path: Path, packages: CondaDependencies) -> bool:
    try:
        return CondaDependencies(path) == packages
    except (UserErrorException, RunConfigurationException):
        return False


def write(path: Path, text: str) -> None:
    """Replace the file in one step: whoever reads it meanwhile has the old or the new one."""
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    except (OSError, UnicodeEncodeError) as e:
        with contextlib.suppress(OSError):
            beside.unlink()
        why = e.strerror if isinstance(e, OSError) else "it has characters that are none"
        raise UserErrorException(f"'{path}' cannot be written: {why}.") from None


def ordered(data: Mapping[str, Any], place: Place) -> dict[str, Any]:
    keys = sorted(data, key=lambda key: ORDER.get((*place, key), len(ORDER)))
    return {
        key: ordered(value, (*place, key)) if isinstance(value := data[key], dict) else value
        for key in keys
    }


def delete(path: Path, name: str | None = None) -> None:
    find(path, name).unlink(missing_ok=True)
