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
from turnout.client.run_config_data import TEXTS, Reader, data_of, taken_of
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


def project_folder(file: Path) -> Path:
    """The folder that paths in a run configuration begin at, absolute."""
    folder = file.absolute().parent
    return folder.parent if folder.name in FOLDERS else folder


def names(project: Path) -> list[str]:
    """Names of the project's run configurations."""
    return sorted(p.name.removesuffix(SUFFIX) for p in config_folder(project).glob(f"*{SUFFIX}"))


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
    folder = config_folder(path)
    if name is None:
        if len(known) == 1:
            return folder / f"{known[0]}{SUFFIX}"
        there = f"there are {', '.join(known)}" if known else "it has none"
        raise UserErrorException(f"Name a run configuration of '{path}': {there}.")
    found = folder / file_name(name)
    if not found.is_file():
        there = f" It has: {', '.join(known)}." if known else ""
        raise UserErrorException(
            f"There is no run configuration '{name}' in '{folder}'{nearest(name, known)}.{there}"
        )
    return found


def file_name(name: str) -> str:
    if not name or "/" in name or name in (".", ".."):
        raise UserErrorException(f"'{name}' cannot name a run configuration.")
    return name.removesuffix(SUFFIX) + SUFFIX


# -- reading -----------------------------------------------------------------------------------


def load(
    path: Path, name: str | None = None, warn: Callable[[str], None] | None = None
) -> RunConfiguration:
    """`RunConfiguration.load`; `warn` is told of keys that have no effect."""
    file = find(path, name)
    reader = Reader(commented_yaml.read(file, TEXTS), project_folder(file))
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
    taken = taken_of(config, file)
    python = config.environment.python
    if separate and not python.user_managed_dependencies and not python.conda_dependencies_file:
        python._conda_dependencies_file = packages_file(config, file)
    save_packages(config, file)
    data = ordered(data_of(config, project_folder(file)), ())
    if taken.is_json and file.suffix not in (".yml", ".yaml"):
        text = json.dumps(data, indent=4, ensure_ascii=False) + "\n"
    else:
        text = commented_yaml.render(data, {**COMMENTS, **taken.comments})
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
            return known.path if name is None else known.path.with_name(file_name(name))
        path = Path()
    path = path.expanduser()
    if path.is_file() or (name is None and not path.is_dir() and path.suffix in MEANT):
        return path
    own = known.path.name if known is not None else config.target
    return config_folder(path) / file_name(name or own)


def packages_file(config: RunConfiguration, file: Path) -> str:
    """Where the list of packages goes, from the project's folder on: no other's list is lost."""
    packages = config.environment.python.conda_dependencies
    for name in (FILE_NAME, f"{file.stem}_{FILE_NAME}"):
        path = file.parent / name
        if not path.exists() or same(path, packages):
            break
    return path.absolute().relative_to(project_folder(file)).as_posix()


def save_packages(config: RunConfiguration, file: Path) -> None:
    """Write the file that lists the packages, unless it says just that: it may have comments."""
    python = config.environment.python
    name = python.conda_dependencies_file
    if not name or python.user_managed_dependencies:
        return
    path = project_folder(file) / name
    # It may stand beside the run configuration, where `load` looks too.
    if not path.is_file() and (file.parent / name).is_file():
        path = file.parent / name
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
