"""Datasets that a run read (MLflow 2.4 and later), kept as properties of the run."""

from __future__ import annotations

import json

from turnout.payload.mlflow.runs import DATASET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Optional

#: A source longer than this (a table in text) is left out.
SOURCE_LIMIT = 1000


def kept(datasets: Iterable[Any]) -> Dict[str, str]:
    """Properties that say which datasets these were; schema and profile are not among it."""
    found: Dict[str, str] = {}
    for given in datasets:
        dataset = given.dataset
        source = str(dataset.source or "")
        found["%s%s.%s" % (DATASET, dataset.name, dataset.digest)] = json.dumps({
            "name": dataset.name,
            "digest": dataset.digest,
            "source_type": dataset.source_type,
            "source": source if len(source) <= SOURCE_LIMIT else "{}",
            "tags": {tag.key: tag.value for tag in given.tags or ()},
        })  # fmt: skip
    return found


def inputs_of(properties: Dict[str, Optional[str]]) -> Any:
    """MLflow's `RunInputs`; None where this MLflow has none."""
    try:
        from mlflow.entities import Dataset, DatasetInput, InputTag, RunInputs
    except ImportError:
        return None
    found: List[Any] = []
    for key, value in properties.items():
        if key.startswith(DATASET) and value:
            fields: Dict[str, Any] = json.loads(value)
            tags = [InputTag(k, v) for k, v in fields.pop("tags").items()]
            found.append(DatasetInput(Dataset(**fields), tags))
    return RunInputs(dataset_inputs=found)
