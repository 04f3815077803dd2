"""An environment as a folder of files that a person edits: v1's names and shapes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from turnout.client.conda_dependencies import FILE_NAME, CondaDependencies
from turnout.client.environment import Environment
from turnout.client.exceptions import UserErrorException
from turnout.client.sections import Section

DEFINITION = "azureml_environment.json"
DOCKERFILE = "BaseDockerfile"
#: Settings whose keys are the person's own.
FREE = ("environment_variables",)
#: Said by the other files.
ELSEWHERE = ("conda_dependencies", "conda_dependencies_file")


def save(environment: Environment, folder: Path, *, overwrite: bool) -> None:
    folder = folder.expanduser()
    if folder.exists() and not folder.is_dir():
        raise UserErrorException(f"'{folder}' is a file, not a folder.")
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise UserErrorException(
            f"The folder '{folder}' is there already. Name another, or say overwrite=True."
        )
    folder.mkdir(parents=True, exist_ok=True)
    definition = environment.definition()
    data = environment.as_dict()
    for name in ELSEWHERE:
        data["python"].pop(name, None)
    data["docker"]["base_image_registry"]["password"] = None
    if definition.docker.base_dockerfile:
        data["docker"]["base_dockerfile"] = DOCKERFILE
        (folder / DOCKERFILE).write_text(definition.docker.base_dockerfile)
    (folder / DEFINITION).write_text(json.dumps(camel(data), indent=4) + "\n")
    environment.python.conda_dependencies.save_to_file(folder)


def load(folder: Path) -> Environment:
    folder = folder.expanduser()
    path = folder / DEFINITION
    try:
        data = json.loads(path.read_text())
        if not isinstance(data, dict):
            raise ValueError("it is no mapping")
    except FileNotFoundError:
        raise UserErrorException(
            f"There is no environment in '{folder}': it has no {DEFINITION}."
        ) from None
    except (OSError, ValueError) as e:
        raise UserErrorException(f"'{path}' cannot be read: {e}.") from None
    found = Environment(data.pop("name", None), data.pop("version", None))
    inline = (data.get("python") or {}).get("condaDependencies")
    fill(found, data, str(path))
    docker = found.docker
    if docker.base_dockerfile and (folder / docker.base_dockerfile).is_file():
        docker.base_dockerfile = (folder / docker.base_dockerfile).read_text()
    if isinstance(inline, dict):
        found.python.conda_dependencies = CondaDependencies(_underlying_structure=inline)
    if (folder / FILE_NAME).is_file():
        found.python.conda_dependencies = CondaDependencies(folder / FILE_NAME)
    return found


def fill(section: Section, data: dict[str, Any], where: str) -> None:
    """Set what `data` says; unknown names are refused with the nearest."""
    for key, value in data.items():
        name = snake(key)
        # Only "no image" says something: a Dockerfile makes it.
        if name in ELSEWHERE or (value is None and name != "base_image"):
            continue
        if f"_{name}" in section.__dataclass_fields__:
            name = f"_{name}"
        current = getattr(section, name, None)
        if isinstance(current, Section) and isinstance(value, dict):
            fill(current, value, f"{where}: {key}")
        else:
            setattr(section, name, value)


def camel(data: Any) -> Any:
    """
    >>> camel({"base_image": "x", "environment_variables": {"a_b": "c"}})
    {'baseImage': 'x', 'environmentVariables': {'a_b': 'c'}}
    """
    if not isinstance(data, dict):
        return data
    return {camel_name(key): value if key in FREE else camel(value) for key, value in data.items()}


def camel_name(name: str) -> str:
    return re.sub(r"_([a-z])", lambda m: m[1].upper(), name)


def snake(key: str) -> str:
    """
    >>> snake("baseImageRegistry"), snake("shm_size")
    ('base_image_registry', 'shm_size')
    """
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: "_" + m[1].lower(), key)
