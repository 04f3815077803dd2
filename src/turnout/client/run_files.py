"""What a run left behind, from outside: its files, its logs, its snapshot, its environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.client.exceptions import UserErrorException
from turnout.client.http import Client, segment
from turnout.payload import tracking, values
from turnout.spec.errors import NotFoundError
from turnout.spec.records import nearest

if TYPE_CHECKING:
    from turnout.client.environment import Environment


class Uploaded(dict[str, Any]):
    """What an upload left with the run, in v1's form: `{"artifacts": {name: {…}}}`."""

    @property
    def artifacts(self) -> dict[str, dict[str, str]]:
        return self["artifacts"]

    def serialize(self) -> dict[str, Any]:
        return dict(self)


class RunFiles(tracking.Run):
    """The part of `turnout.Run` that collects."""

    _client: Client
    _view: dict[str, Any]

    @property
    def _path(self) -> str:
        return f"/v1/runs/{segment(self.id)}"

    # -- files ----------------------------------------------------------------------------------

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: Any = None) -> Uploaded:
        """Keep a file with the run under `name`, such as "outputs/model.pkl".

        `path_or_stream` is a path or an open file. A file of that name is replaced.
        """
        super().upload_file(name, path_or_stream)
        name = values.file_name(name)
        place = {"origin": "ExperimentRun", "container": f"dcid.{self.id}", "path": name}
        whole = {"artifactId": "/".join(place.values()), **place}
        return Uploaded(artifacts={name: whole})

    def get_file_names(self) -> list[str]:
        """Outputs, uploads and logs, by run-relative name."""
        return self._need_sink().file_names()

    def download_file(
        self,
        name: str,
        output_file_path: str | os.PathLike[str] | None = None,
        _validate_checksum: bool = False,
    ) -> None:
        """Copy a file of the run to `output_file_path` (its own name in the current folder; a
        folder that is there takes it by its name). Raises `NotFoundError` with similar names."""
        base = name.rpartition("/")[2]
        goal = Path(output_file_path or base)
        if goal.is_dir() or (output_file_path and str(output_file_path).endswith("/")):
            goal = goal / base
        names = self.get_file_names()
        if name not in names:
            raise NotFoundError(
                f"Run {self.id} has no file '{name}'{nearest(name, names)}."
                + (f" It has {len(names)} files; get_file_names() lists them." if names else "")
            )
        self._download(name, goal)

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | os.PathLike[str] | None = None,
        output_paths: list[str] | None = None,
        batch_size: int = 100,
        append_prefix: bool = True,
        timeout_seconds: int | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Copy all files whose name begins with `prefix` below `output_directory` (the current
        folder), the prefix left out with `append_prefix=False`; or to `output_paths`."""
        names = [n for n in self.get_file_names() if n.startswith(prefix or "")]
        if output_paths is not None and len(output_paths) != len(names):
            raise UserErrorException(
                f"output_paths has {len(output_paths)} entries for {len(names)} files."
            )
        base = Path(output_directory or ".")
        for i, name in enumerate(names):
            # The name comes from elsewhere: it must not lead out of the folder.
            safe = values.inner_path(name)
            if not append_prefix and prefix and "/" in prefix.rstrip("/") + "/":
                safe = values.inner_path(
                    safe[len(prefix) :].lstrip("/") or safe.rpartition("/")[2]
                )
            goal = Path(output_paths[i]) if output_paths else base / safe
            if progress:
                progress(f"Fetching {i + 1} of {len(names)}: {name}")
            self._download(name, goal)

    def _download(self, name: str, goal: Path) -> None:
        folder = "logs" if name in self._log_names() else "files"
        try:
            goal.parent.mkdir(parents=True, exist_ok=True)
            if folder == "logs":
                self._download_log(name, goal)
            else:
                self._client.download(f"{self._path}/files/{segment(name)}", goal)
        except OSError as e:
            raise UserErrorException(f"'{goal}' cannot be written: {e.strerror or e}.") from None

    def _log_names(self) -> set[str]:
        if "log names" not in self.__dict__:
            logs = self._client.get(f"{self._path}/logs")["logs"]
            self.__dict__["log names"] = {found["name"] for found in logs}
        return self.__dict__["log names"]

    def _download_log(self, name: str, goal: Path) -> None:
        """Logs are read in parts: one answer holds a few megabytes of them at most."""
        with goal.open("wb") as file:
            while True:
                query = {"offset": file.tell()}
                path = f"{self._path}/logs/{segment(name)}"
                with self._client.open("GET", path, query=query) as answer:
                    data = answer.read()
                if not data:
                    return
                file.write(data)

    def get_all_logs(self, destination: str | os.PathLike[str] | None = None) -> list[str]:
        """Copy all logs below `destination` (a folder named by the run); their paths."""
        base = Path(destination or self.id)
        found: list[str] = []
        for name in sorted(self._log_names() & set(self.get_file_names())):
            goal = base / values.inner_path(name)
            self._download(name, goal)
            found.append(str(goal))
        return found

    # -- snapshot -------------------------------------------------------------------------------

    def get_environment(self) -> Environment:
        """The environment that the run asked for."""
        from turnout.client.environment import of_run

        return of_run(self._view)

    def get_snapshot_id(self) -> str:
        found = self._view["snapshot"] or self.get_properties().get("ContentSnapshotId")
        if not found:
            raise UserErrorException(f"Run {self.id} has no snapshot.")
        return found

    def restore_snapshot(
        self, snapshot_id: str | None = None, path: str | os.PathLike[str] | None = None
    ) -> str:
        """Write the source folder as it was submitted below `path` (a folder named by the
        run); the folder's path. What is there already is not touched: the folder must be empty."""
        from turnout.snapshots import restore

        goal = Path(path or f"{self.id}-snapshot")
        digest = snapshot_id or self.get_snapshot_id()
        restore(self._client.stream(f"/v1/snapshots/{segment(digest)}"), goal)
        return str(goal.absolute())
