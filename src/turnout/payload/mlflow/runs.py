"""Runs as MLflow's store and file repository need them, wherever they are kept."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Optional

#: Beginning of the property that keeps a parameter: like those, it never changes.
PARAMETER = "mlflow.param."
#: Beginning of the property that keeps a dataset that a run read.
DATASET = "mlflow.dataset."
#: Values of numbers that metrics are made of; texts that were logged by `Run.log` are left out.
NUMBERS = (int, float)


class View:
    """What is known of a run; times in ms since the epoch."""

    def __init__(self, identity: str, experiment: str, name: str, parent: Optional[str]) -> None:
        self.id = identity
        self.experiment = experiment
        self.name = name
        self.parent = parent
        self.description = ""
        self.user = ""
        #: A `RunState`'s value.
        self.state = "running"
        self.started: Optional[int] = None
        self.ended: Optional[int] = None
        self.tags: Dict[str, Optional[str]] = {}
        self.properties: Dict[str, Optional[str]] = {}
        #: Records of kind "metric", in order.
        self.metrics: List[Dict[str, Any]] = []


class Runs:
    """Where runs are kept. `KeyError` for a run or a file that is not there."""

    #: The run that `mlflow.start_run()` takes first, if there is one around.
    around: Optional[str] = None

    def experiments(self) -> List[Dict[str, Any]]:
        """`{"name", "created_at" (ms), "tags", "archived"}` of each."""
        raise NotImplementedError

    def experiment(self, name: str) -> Optional[Dict[str, Any]]:
        """The one that a script or notebook means by this name or id."""
        raise NotImplementedError

    def change_experiment(self, name: str, **change: Any) -> None:
        """`tags` to set, `archived`; the experiment comes to be."""
        raise NotImplementedError

    def begin(self, experiment: str, parent: Optional[str], name: Optional[str]) -> str:
        """Begin a run; its id."""
        raise NotImplementedError

    def view(self, run: str) -> View:
        raise NotImplementedError

    def views(self, experiment: str) -> List[View]:
        raise NotImplementedError

    def write(self, run: str, records: Iterable[Dict[str, Any]]) -> None:
        """Records as in docs/design/run-folder.md, without "run"."""
        raise NotImplementedError

    def files(self, run: str) -> Dict[str, int]:
        """Sizes by name. `run`, here and in `fetch`, may be a model: "NAME/VERSION"."""
        raise NotImplementedError

    def put_file(self, run: str, name: str, path: str) -> None:
        raise NotImplementedError

    def fetch(self, run: str, name: str, path: str) -> None:
        """Copy a file to `path`."""
        raise NotImplementedError

    # -- models: {"name", "version", "run", "uri", "tags", "description", "at" (ms)} --------------

    def models(self, name: Optional[str]) -> List[Dict[str, Any]]:
        """All, or those of the name; the newest first."""
        raise NotImplementedError

    def add_model(
        self, name: str, run: str, path: str, tags: Dict[str, Any], description: Optional[str]
    ) -> Dict[str, Any]:
        """Make a version of a file or folder of the run. ValueError when that cannot be."""
        raise NotImplementedError

    def change_model(
        self, model: Dict[str, Any], set: Optional[Dict[str, Any]] = None,
        remove: Iterable[str] = (), description: Optional[str] = None,
    ) -> None:  # fmt: skip
        raise NotImplementedError

    def delete_model(self, model: Dict[str, Any]) -> None:
        raise NotImplementedError


def points(metrics: Iterable[Dict[str, Any]]) -> Dict[str, List[Dict[str, Any]]]:
    """`{name: [{"value", "at" (s since the epoch), "step"}]}` of records of kind "metric"; values
    that were logged without a step are counted from 0.

    >>> points([{"name": "mse", "value": 2.0, "at": 5.0}])
    {'mse': [{'value': 2.0, 'at': 5.0, 'step': 0}]}
    """
    found: Dict[str, List[Dict[str, Any]]] = {}
    for record in metrics:
        if not isinstance(record["value"], NUMBERS):
            continue
        series = found.setdefault(record["name"], [])
        step = record.get("step")
        step = len(series) if step is None else step
        series.append({"value": float(record["value"]), "at": record["at"], "step": step})
    return found


def outside(identity: str) -> str:
    """The id as MLflow takes it, which knows no dots.

    >>> outside("exp-1.5_1_ab")
    'exp-1-2E-5_1_ab'
    """
    return identity.replace(".", "-2E-")


def inside(identity: str) -> str:
    """What `outside` was given."""
    return str(identity).replace("-2E-", ".")
