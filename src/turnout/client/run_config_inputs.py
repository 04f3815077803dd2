"""Datasets in run configuration files: v1 wrote them by id and name, and the run asks for them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.spec.data import DataInput
from turnout.spec.errors import NotFoundError

if TYPE_CHECKING:
    from turnout.client.dataset_inputs import DatasetConsumptionConfig
    from turnout.client.run_config import RunConfiguration
    from turnout.client.script_run_config import ScriptRunConfig

#: What stands for an input among the arguments, before its name.
MARK = "DatasetConsumptionConfig:"


# -- from a file -------------------------------------------------------------------------------


def with_datasets(config: ScriptRunConfig) -> ScriptRunConfig:
    """The same, with the datasets that the workspace keeps in place of what a file says of them.

    Raises `RunConfigurationException` for one that is not there, and for an argument that names no
    input."""
    rc = config.run_config
    named = {name: item for name, item in rc.data.items() if dataset_of(item)}
    marked = [word for word in (*rc.arguments, *(config.arguments or ())) if is_mark(word)]
    if not named and not marked:
        return config
    found, found.run_config = copy.copy(config), copy.copy(rc)
    inputs = {name: look_up(name, item) for name, item in named.items()}
    found.run_config.data = {**rc.data, **inputs}
    found.run_config.arguments = [meant(word, inputs) for word in rc.arguments]
    if config.arguments is not None:
        found.arguments = [meant(word, inputs) for word in config.arguments]
    return found


def is_mark(word: Any) -> bool:
    return isinstance(word, str) and word.startswith(MARK)


def dataset_of(item: Any) -> dict[str, Any]:
    """What an entry of `data` says of its dataset; nothing for a place in a datastore."""
    where = item.get("dataLocation") if isinstance(item, dict) else None
    found = where.get("dataset") if isinstance(where, dict) else None
    is_said = isinstance(found, dict) and (found.get("id") or found.get("name"))
    return found if is_said and isinstance(found, dict) else {}


def meant(word: Any, inputs: dict[str, DatasetConsumptionConfig]) -> Any:
    if not is_mark(word):
        return word
    name = word.removeprefix(MARK)
    if name not in inputs:
        raise RunConfigurationException(
            f"The argument '{word}' names no dataset: there is no '{name}' in 'data'."
        )
    return inputs[name]


def look_up(name: str, item: dict[str, Any]) -> DatasetConsumptionConfig:
    """By the id, which another workspace's has not here; else by name and version."""
    from turnout.client.dataset_factories import Dataset
    from turnout.client.dataset_inputs import DatasetConsumptionConfig
    from turnout.client.workspace import Workspace

    said, ws = dataset_of(item), Workspace()
    wanted, called, version = said.get("id"), said.get("name"), said.get("version") or "latest"
    dataset: Any = None
    try:
        if wanted:
            dataset = Dataset.get_by_id(ws, str(wanted))
    except NotFoundError:
        if not called:
            raise RunConfigurationException(
                f"The input '{name}' is the dataset with the id {wanted}, which is not in this "
                "workspace. Say its name instead of the id."
            ) from None
    try:
        dataset = dataset or Dataset.get_by_name(ws, str(called), version)
    except (NotFoundError, ValueError) as e:
        why = e.message if isinstance(e, NotFoundError) else f"'{version}' is no version."
        raise RunConfigurationException(f"The input '{name}': {why}") from None
    mode = "direct" if dataset.kind == "tabular" else str(item.get("mechanism") or "").lower()
    return DatasetConsumptionConfig(
        name, dataset, mode or "direct", item.get("pathOnCompute") or None
    )


# -- to a file ---------------------------------------------------------------------------------


def with_inputs_named(config: RunConfiguration) -> RunConfiguration:
    """The same as it goes into a file: inputs among the arguments are named there, and said in
    `data` and `data_references`. Raises `UserErrorException` for what no file can say."""
    words: list[Any] = []
    data, references = dict(config.data), dict(config.data_references)
    for word in config.arguments:
        if hasattr(word, "to_config"):
            references.setdefault(word.data_reference_name, word.to_config())
        elif hasattr(word, "to_run_data"):
            name = word.to_run_data().name
            data.setdefault(name, word)
            word = f"{MARK}{name}"
        words.append(word)
    found = copy.copy(config)
    found.arguments, found.data_references = words, references
    found.data = {name: written(name, item) for name, item in data.items()}
    return found


def written(name: str, item: Any) -> Any:
    if not hasattr(item, "to_run_data"):
        return item
    given = item.to_run_data()
    if not isinstance(given, DataInput):
        raise UserErrorException(
            f"The output '{name}' cannot be kept in a file: give it among the arguments of the "
            "ScriptRunConfig."
        )
    if not given.dataset_id:
        raise UserErrorException(
            f"The dataset of the input '{name}' has no name, by which a file could say it: "
            "register it before."
        )
    return {
        "dataLocation": {
            "dataset": {
                "id": given.dataset_id,
                "name": given.dataset_name,
                "version": str(given.dataset_version),
            },
            "dataPath": None,
        },
        "createOutputDirectories": False,
        "mechanism": given.mode,
        "environmentVariableName": name,
        "pathOnCompute": given.path_on_compute or None,
        "overwrite": False,
    }
