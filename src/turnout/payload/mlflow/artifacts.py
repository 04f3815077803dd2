"""MLflow's artifacts: files of the run. Imported by MLflow alone, so MLflow is there."""

from __future__ import annotations

import os
import posixpath

from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from turnout.payload.mlflow.runs import inside
from turnout.payload.mlflow.store import ARTIFACTS, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

    from turnout.payload.mlflow.runs import Runs

MODELS = "turnout://models/"


class Artifacts(ArtifactRepository):
    """Files below `turnout://artifacts/<run>[/…]` or `turnout://models/<name>/<version>[/…]`."""

    def __init__(self, runs: Runs, artifact_uri: str) -> None:
        super().__init__(artifact_uri)
        parts = artifact_uri.rstrip("/").split("/")
        area = "/".join(parts[:3]) + "/"
        #: How many parts of the address are the run's or the model's.
        count = {ARTIFACTS: 1, MODELS: 2}.get(area, 0)
        if not count or len(parts) < 3 + count:
            raise refusal("'%s' is no address of a run's or a model's files." % artifact_uri)
        self.runs = runs
        self.run = inside("/".join(parts[3 : 3 + count]))
        self.folder = "/".join(parts[3 + count :])

    def name(self, *parts: Optional[str]) -> str:
        joined = posixpath.join(self.folder, *(part for part in parts if part))
        return posixpath.normpath(joined) if joined else ""

    def log_artifact(self, local_file: str, artifact_path: Optional[str] = None) -> None:
        self.put(self.name(artifact_path, os.path.basename(local_file)), local_file)

    def log_artifacts(self, local_dir: str, artifact_path: Optional[str] = None) -> None:
        for folder, _, files in os.walk(local_dir):
            inner = os.path.relpath(folder, local_dir).replace(os.sep, "/")
            for file in sorted(files):
                self.put(self.name(artifact_path, inner, file), os.path.join(folder, file))

    def put(self, name: str, path: str) -> None:
        try:
            self.runs.put_file(self.run, name, path)
        except ValueError as e:
            raise refusal(str(e)) from None

    def list_artifacts(self, path: Optional[str] = None) -> List[Any]:
        base = self.name(path)
        prefix = base + "/" if base else ""
        found: Dict[str, Any] = {}
        for name, size in self.files().items():
            if not name.startswith(prefix):
                continue
            first, slash, _ = name[len(prefix) :].partition("/")
            shown = posixpath.join(path or "", first)
            found.setdefault(first, FileInfo(shown, bool(slash), None if slash else size))
        return [found[first] for first in sorted(found)]

    def files(self) -> Dict[str, int]:
        try:
            return self.runs.files(self.run)
        except KeyError:
            raise MlflowException(
                "There is no '%s' within reach." % self.run, RESOURCE_DOES_NOT_EXIST
            ) from None

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        name = self.name(remote_file_path)
        try:
            self.runs.fetch(self.run, name, local_path)
        except KeyError:
            raise MlflowException(
                "'%s' has no file '%s'." % (self.run, name), RESOURCE_DOES_NOT_EXIST
            ) from None

    def delete_artifacts(self, artifact_path: Optional[str] = None) -> None:
        raise refusal("Turnout keeps the files of runs: nothing is deleted.")
