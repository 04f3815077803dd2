"""What a run is told of its data, by its configuration and among its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from turnout.client.datastore import to_spec
from turnout.client.exceptions import RunConfigurationException
from turnout.spec.data import DataInput, DataOutput

if TYPE_CHECKING:
    from turnout.client.run_config import RunConfiguration


def run_data(config: RunConfiguration, words: list[Any]) -> dict[str, Any]:
    """`inputs` and `outputs` of the run: those of the configuration, and those that stand among
    its arguments."""
    found: dict[str, DataInput | DataOutput] = {}
    named = {**config.data_references, **config.data, **config.output_data}
    for name, item in [*named.items(), *(("", word) for word in words)]:
        data = data_of(name, item)
        if data is None:
            continue
        if found.setdefault(data.name, data) != data:
            raise RunConfigurationException(
                f"Two inputs or outputs of the run are called '{data.name}': name them apart."
            )
    return {
        "inputs": tuple(d for d in found.values() if isinstance(d, DataInput)),
        "outputs": tuple(d for d in found.values() if isinstance(d, DataOutput)),
    }


def data_of(name: str, item: Any) -> DataInput | DataOutput | None:
    """A data reference, a dataset or an output; None for a plain argument. Raises
    `RunConfigurationException` for a plain value under a name."""
    if hasattr(item, "to_run_data"):
        return item.to_run_data()
    if hasattr(item, "data_store_name"):
        if not item.data_store_name:
            raise RunConfigurationException(f"The data reference '{name}' names no datastore.")
        return to_spec(
            name, item.data_store_name, item.path_on_data_store, item.mode, item.path_on_compute,
            item.overwrite,
        )  # fmt: skip
    if not name:
        return None
    if isinstance(item, dict):
        return of_file(name, item)
    raise RunConfigurationException(
        f"The input '{name}' must be a data reference, an input or an output, "
        f"not {type(item).__name__}."
    )


def of_file(name: str, item: dict[str, Any]) -> DataInput | DataOutput:
    """An entry of `data` in a run configuration file: a place in a datastore."""
    where = (item.get("dataLocation") or {}).get("dataPath") or {}
    if not where.get("datastoreName"):
        raise RunConfigurationException(
            f"The input '{name}' of the run configuration file is no place in a datastore "
            "(dataLocation.dataPath with datastoreName and relativePath): give datasets among the "
            "arguments of a ScriptRunConfig."
        )
    return to_spec(
        name, where["datastoreName"], where.get("relativePath"),
        str(item.get("mechanism") or "mount").lower(), item.get("pathOnCompute"),
        bool(item.get("overwrite")),
    )  # fmt: skip
