"""A run configuration as plain data in v1's spelling, and back from what a file says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnout.client import databricks_sections as databricks
from turnout.client.commented_yaml import Document, Place, folded
from turnout.client.conda_dependencies import CondaDependencies
from turnout.client.environment_folders import camel_name, snake
from turnout.client.environment_sections import DockerSection, PythonSection, SparkPackage
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.client.run_config import DataReferenceConfiguration, RunConfiguration
from turnout.client.run_config_inputs import with_inputs_named
from turnout.client.sections import Section
from turnout.spec.records import nearest

#: Values that are what stands in the file, whatever YAML makes of it.
TEXTS: tuple[Place, ...] = tuple(
    tuple(path.split("."))
    for path in (
        "script",
        "target",
        "communicator",
        "framework",
        "arguments.*",
        "command",
        "command.*",
        "environmentVariables.*",
        "amlcompute.name",
        "amlcompute.vmSize",
        "environment.name",
        "environment.version",
        "environment.environmentVariables.*",
        "environment.python.interpreterPath",
        "environment.docker.arguments.*",
        "environment.docker.shmSize",
        "environment.docker.baseImage",
        "environment.docker.baseImageRegistry.*",
        "docker.arguments.*",
        "docker.shmSize",
        "dataReferences.*.dataStoreName",
        "dataReferences.*.pathOnDataStore",
        "dataReferences.*.pathOnCompute",
        "data.*.dataLocation.dataset.*",
        "data.*.dataLocation.dataPath.*",
        "data.*.pathOnCompute",
    )
)
#: Lists and mappings whose entries are sections of their own.
ENTRIES: dict[str, type[Section]] = {
    "DatabricksSection.egg_libraries": databricks.EggLibrary,
    "DatabricksSection.jar_libraries": databricks.JarLibrary,
    "DatabricksSection.maven_libraries": databricks.MavenLibrary,
    "DatabricksSection.pypi_libraries": databricks.PyPiLibrary,
    "DatabricksSection.rcran_libraries": databricks.RCranLibrary,
    "RunConfiguration.data_references": DataReferenceConfiguration,
    "SparkSection.packages": SparkPackage,
}
#: Said by other keys.
CONDA = ("conda_dependencies", "conda_dependencies_file")


@dataclass
class Taken:
    """What a file said that the object has no place for, so that it can be written back."""

    path: Path
    #: The project's folder, absolute: paths in the file begin there.
    folder: Path
    #: Values of keys that are not known here.
    unknown: dict[Place, Any] = field(default_factory=dict[Place, Any])
    comments: dict[Place, list[str]] = field(default_factory=dict[Place, list[str]])
    is_json: bool = False


# -- from a file -------------------------------------------------------------------------------


class Reader:
    """Takes what a file says into a run configuration."""

    def __init__(self, document: Document, folder: Path, *, packages: bool = True) -> None:
        self.document = document
        #: Whether the file that lists the packages is read; another list is to come.
        self.packages = packages
        #: The project's folder, which paths in the file begin at.
        self.folder = folder
        #: What a person should know about what was read.
        self.notes: list[str] = []
        self.taken = Taken(document.path.absolute(), folder, is_json=document.is_json)
        #: Where each key comes to stand when it is written: in the spelling of a new file.
        self.written: dict[Place, Place] = {(): ()}

    def read(self) -> RunConfiguration:
        found = RunConfiguration()
        self.take(found, self.document.data, ())
        said = self.document.data.get("environment")
        named = {k for k, v in said.items() if v not in (None, {}, [])} if said else set[str]()
        if "name" in named and named <= {"name", "version"}:
            # The workspace knows the rest; a run asks it.
            found.environment.__dict__["_by_name"] = True
        for place, lines in self.document.comments.items():
            self.taken.comments[self.written.get(place, place)] = lines
        found.__dict__["_taken"] = self.taken
        return found

    def take(self, section: Section, data: Any, place: Place) -> None:
        if not isinstance(data, dict):
            raise self.wrong(place, "must be a mapping of names to values", data)
        for key, value in data.items():
            here = (*place, str(key))
            name = field_of(section, str(key))
            spelled = str(key) if name is None else yaml_name(section, name)
            self.written[here] = (*self.written[place], spelled)
            if name is None:
                self.keep(section, here, value)
            elif isinstance(section, PythonSection) and name.lstrip("_") in CONDA:
                pass
            elif value is None:
                if name == "base_image":  # only "no image" says something
                    setattr(section, name, None)
            else:
                self.take_value(section, name, value, here)
        if isinstance(section, PythonSection):
            self.take_packages(section, data, place)
        if isinstance(section, DockerSection):
            self.take_dockerfile(section)

    def keep(self, section: Section, place: Place, value: Any) -> None:
        self.taken.unknown[self.written[place]] = value
        if value not in (None, {}, []):
            known = [yaml_name(section, name) for name in section.__dataclass_fields__]
            self.notes.append(
                f"{self.document.where(place)}: '{'.'.join(place)}' is not known here"
                f"{nearest(place[-1], known)}. It is kept and has no effect."
            )

    def take_value(self, section: Section, name: str, value: Any, place: Place) -> None:
        current = getattr(section, name)
        if isinstance(current, Section):
            self.take(current, value, place)
            return
        entry = ENTRIES.get(f"{type(section).__name__}.{name}")
        try:
            if entry is not None:
                value = self.entries(entry, current, value, place)
            else:
                value = converted(str(section.__dataclass_fields__[name].type), value)
            # v1's service wrote `Mount`, its SDK `mount`.
            setattr(section, name, value.lower() if name == "mode" else value)
        except Wrong as e:
            raise self.wrong(place, f"must be {e}", value) from None
        except RunConfigurationException as e:
            raise RunConfigurationException(f"{self.document.where(place)}: {e.message}") from None

    def entries(self, kind: type[Section], current: Any, value: Any, place: Place) -> Any:
        if isinstance(current, dict):
            if not isinstance(value, dict):
                raise Wrong("a mapping")
            return {str(k): self.entry(kind, v, (*place, str(k))) for k, v in value.items()}
        if not isinstance(value, list):
            raise Wrong("a list")
        return [self.entry(kind, v, (*place, str(i))) for i, v in enumerate(value)]

    def entry(self, kind: type[Section], value: Any, place: Place) -> Section:
        found = kind()
        self.written[place] = (*self.written[place[:-1]], place[-1])
        self.take(found, value, place)
        return found

    def take_packages(self, section: PythonSection, data: dict[str, Any], place: Place) -> None:
        """The list of packages: inline, or in a file below the project's folder."""
        said = {snake(str(key)): (key, value) for key, value in data.items()}
        key, file = said.get("conda_dependencies_file", ("", None))
        if file is not None:
            section._conda_dependencies_file = str(file)
        inline_key, inline = said.get("conda_dependencies", ("", None))
        where = self.document.where((*place, str(inline_key if inline else key)))
        try:
            if inline:
                section.conda_dependencies = CondaDependencies(_underlying_structure=inline)
            elif file is not None and self.packages:
                path = packages_path(str(file), self.folder, self.document.path)
                if not path.is_file() and not section.user_managed_dependencies:
                    raise UserErrorException(
                        f"there is no file '{file}' in '{self.folder}'. Write the list of "
                        "packages there, or remove the key."
                    )
                if path.is_file():
                    section.conda_dependencies = CondaDependencies(path)
        except UserErrorException as e:
            raise RunConfigurationException(f"{where}: {e.message}") from None

    def take_dockerfile(self, section: DockerSection) -> None:
        """A path begins at the project's folder, wherever this process is."""
        path = section.base_dockerfile
        if path and "\n" not in path and (self.folder / path).is_file():
            section.base_dockerfile = str(self.folder / path)

    def wrong(self, place: Place, what: str, value: Any) -> RunConfigurationException:
        name = ".".join(place) or "the whole"
        return RunConfigurationException(
            f"{self.document.where(place)}: '{name}' {what}, not {value!r}."
        )


class Wrong(Exception):
    """A value is not what it must be; the text says what that is."""


def packages_path(name: str, folder: Path, file: Path) -> Path:
    """The list of packages that the run configuration `file` names: below the project's folder,
    beside the file or here, the first that is there; else where it would be."""
    places = (folder / name, file.absolute().parent / name, Path(name).absolute())
    return next((place for place in places if place.is_file()), places[0])


def field_of(section: Section, key: str) -> str | None:
    """The field that a key of a file means, in whatever case; v1 had `amlCompute` too."""
    wanted = folded(key)
    for name in section.__dataclass_fields__:
        if folded(yaml_name(section, name)) == wanted or folded(name) == wanted:
            return name
    return None


def converted(kind: str, value: Any) -> Any:
    """The value as the field holds it. Raises `Wrong`.

    >>> converted("int | None", "4"), converted("str", 7), converted("bool", "true")
    (4, '7', True)
    """
    kind = kind.removesuffix(" | None")
    convert = SCALARS.get(kind)
    if convert is not None:
        return convert(value)
    if kind.startswith("list["):
        return a_list(kind, value)
    if kind.startswith("dict["):
        return a_mapping(kind, value)
    return value


def a_switch(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise Wrong("true or false")
    return value


def a_count(value: Any) -> int:
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong("a whole number")
    return value


def a_number(value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise Wrong("a number") from None


def a_text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise Wrong("a text")
    return str(value)


def a_list(kind: str, value: Any) -> Any:
    if kind == "list[Any]" and isinstance(value, str):
        return value  # arguments in one line
    if not isinstance(value, list):
        raise Wrong("a list")
    if kind != "list[str]":
        return value
    if any(isinstance(item, dict | list) for item in value):
        raise Wrong("a list of texts")
    return ["" if item is None else str(item) for item in value]


def a_mapping(kind: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong("a mapping")
    empty = "" if kind == "dict[str, str]" else None
    return {str(k): empty if v is None else v for k, v in value.items()}


SCALARS: dict[str, Callable[[Any], Any]] = {
    "bool": a_switch,
    "int": a_count,
    "float": a_number,
    "str": a_text,
}


# -- to a file ---------------------------------------------------------------------------------


def data_of(config: RunConfiguration, folder: Path) -> dict[str, Any]:
    """The run configuration as v1 spells it, as plain data; paths begin at the project's
    `folder`."""
    found = spelled_out(with_inputs_named(config))
    docker = found["environment"]["docker"]
    if isinstance(text := docker["baseDockerfile"], str) and text.startswith(f"{folder}/"):
        docker["baseDockerfile"] = text.removeprefix(f"{folder}/")
    environment = config.environment
    if environment.is_by_name():
        found["environment"] = {"name": environment.name, "version": environment.version}
    taken: Taken | None = config.__dict__.get("_taken")
    for place, value in taken.unknown.items() if taken else ():
        put(found, place, value)
    return found


def put(data: Any, place: Place, value: Any) -> None:
    """Set what stands at `place`, unless the entry that it belongs to is gone."""
    if place[0] == "dataReferences" and place[1] not in data[place[0]]:
        return
    for key in place[:-1]:
        if isinstance(data, list):
            if int(key) >= len(data):
                return
            data = data[int(key)]
        else:
            data = data.setdefault(key, {})
        if not isinstance(data, dict | list):
            return
    if isinstance(data, dict):
        data.setdefault(place[-1], value)


def spelled_out(section: Section) -> dict[str, Any]:
    found: dict[str, Any] = {}
    fresh = type(section)()
    for name in section.__dataclass_fields__:
        value = getattr(section, name)
        if name in section.rare and value == getattr(fresh, name):
            continue
        key = yaml_name(section, name)
        if isinstance(section, PythonSection) and name.lstrip("_") in CONDA:
            if is_said(section, name):
                found[key] = plain(value)
        elif name == "password":
            found[key] = None
        elif name != "conda_dependencies":
            # What a script is given is text in the end.
            as_text = name in ("arguments", "command", "environment_variables")
            found[key] = texts(value) if as_text else plain(value)
    return found


def is_said(section: PythonSection, name: str) -> bool:
    """Whether a file says the list of packages by this field."""
    if name != "conda_dependencies":
        return section._conda_dependencies_file is not None
    nothing = (
        section.user_managed_dependencies and section.conda_dependencies == CondaDependencies()
    )
    return not section._conda_dependencies_file and not nothing


def yaml_name(section: Section, name: str) -> str:
    back = {field: key for key, field in section.spelled.items()}
    return camel_name(back.get(name, name.lstrip("_")))


def texts(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    if isinstance(value, dict):
        return {str(key): str(item) for key, item in value.items()}
    return value


def plain(value: Any) -> Any:
    if isinstance(value, Section):
        return spelled_out(value)
    if isinstance(value, CondaDependencies):
        return value.as_dict()
    if hasattr(value, "to_config"):  # a data reference
        return plain(value.to_config())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
