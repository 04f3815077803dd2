"""`Run.register_model` in a script: what is asked for, as a record. The service carries it out
when it has the run's files."""

from __future__ import annotations

from turnout.payload.values import TrackingError, file_name, label, plain, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional


class AskedModel:
    """A model as the script that asked for it sees it: its version is known after the run."""

    def __init__(self, record: Dict[str, Any], run: Any) -> None:
        self.name: str = record["name"]
        #: None: the service counts the versions, when it has the files.
        self.version: Optional[int] = None
        self.id: str = record["name"]
        self.tags: Dict[str, Optional[str]] = record.get("tags") or {}
        self.properties: Dict[str, Optional[str]] = record.get("properties") or {}
        self.description: str = record.get("description") or ""
        self.model_framework: Optional[str] = record.get("framework")
        self.model_framework_version: Optional[str] = record.get("framework_version")
        self.run = run
        self.run_id: str = run.id

    def __repr__(self) -> str:
        return "Model(name=%s, to be registered when the run is over)" % self.name


def asked(
    name: Any, path: Any, tags: Any, properties: Any, framework: Any, framework_version: Any,
    description: Any, details: Dict[str, Any],
) -> Dict[str, Any]:  # fmt: skip
    """The fields of the record; without a path the model's name is one, as in v1."""
    name = label(name, "A model")
    wanted = name if path is None else str(path)
    while wanted.startswith("./"):
        wanted = wanted[2:]
    found: Dict[str, Any] = {
        "name": name,
        "path": file_name(wanted.rstrip("/\\")),
        "tags": texts(tags or {}, "Tags"),
        "properties": texts(properties or {}, "Properties"),
        "description": None if description is None else str(description),
        "framework": None if framework is None else str(framework),
        "framework_version": None if framework_version is None else str(framework_version),
        "details": kept(details),
    }
    return {key: value for key, value in found.items() if value not in (None, {})}


def kept(details: Dict[str, Any]) -> Dict[str, Any]:
    """Datasets, sample data and resources, as plain data."""
    found: Dict[str, Any] = {}
    for key, value in details.items():
        if value is None:
            continue
        if key == "datasets":
            found[key] = [[str(purpose), reference(data)] for purpose, data in value]
        elif hasattr(value, "serialize"):
            found[key] = plain(value.serialize(), key)
        else:
            found[key] = reference(value)
    return found


def reference(data: Any) -> str:
    """What names a dataset: its id, its name, or how it prints itself."""
    for name in ("id", "name"):
        value = getattr(data, name, None)
        if value:
            return str(value)
    return str(data)


#: Arguments of v1 that are kept as they are said.
DETAILS = (
    "datasets", "sample_input_dataset", "sample_output_dataset", "resource_configuration",
)  # fmt: skip


def split(kwargs: Dict[str, Any]) -> Dict[str, Any]:
    """The details among keyword arguments. Raises `TrackingError` for an argument that is none."""
    unknown: List[str] = [k for k in kwargs if k not in DETAILS and not k.startswith("_")]
    if unknown:
        raise TrackingError("register_model() has no argument '%s'." % unknown[0])
    return {key: value for key, value in kwargs.items() if key in DETAILS}
