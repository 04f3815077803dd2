"""`Experiment`: a name under which runs are kept together."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from turnout.client import portal, submission
from turnout.client.exceptions import UserErrorException
from turnout.client.http import segment
from turnout.client.markup import facts
from turnout.client.run import OUTPUTS, Run, ScriptRun, start
from turnout.client.script_run_config import ScriptRunConfig
from turnout.payload import tracking, values
from turnout.spec.runs import check_name

if TYPE_CHECKING:
    from turnout.client.workspace import Workspace


class Experiment:
    """Runs of one purpose. It comes to be with its first run.

    Example::

        exp = Experiment(workspace=Workspace.from_config(), name="my_experiment")
        run = exp.submit(ScriptRunConfig(source_directory=".", script="train.py"))

    Raises `UserError` for a name that cannot be one.
    """

    def __init__(self, workspace: Workspace, name: str, **ignored: Any) -> None:
        self._workspace = workspace
        self._name = check_name("an experiment", name)

    @property
    def workspace(self) -> Workspace:
        return self._workspace

    @property
    def workspace_object(self) -> Workspace:
        return self._workspace

    @property
    def name(self) -> str:
        return self._name

    @property
    def id(self) -> str:
        return self._name

    @property
    def tags(self) -> dict[str, str | None]:
        """What `set_tags` put there; asked anew."""
        return self._view().get("tags", {})

    @property
    def archived_time(self) -> str | None:
        """When it was archived, as ISO 8601 in UTC; None when it is not."""
        return self._view().get("archived_at")

    def get_portal_url(self) -> str:
        """The address of the list of its runs. A browser is let in by `turnout portal`, once."""
        found = portal.address(self.workspace.client, "runs")
        return found and f"{found}?{urlencode({'experiment': self.name})}"

    def _view(self) -> dict[str, Any]:
        found = self.workspace.client.get("/v1/experiments")["experiments"]
        return next((x for x in found if x["name"] == self.name), {})

    def _change(self, **body: Any) -> None:
        self.workspace.client.request("PATCH", f"/v1/experiments/{segment(self.name)}", body)

    def tag(self, key: str, value: Any = None) -> None:
        """Set one tag. Values become text; None is a tag without a value."""
        self.set_tags({key: value})

    def set_tags(self, tags: dict[str, Any]) -> None:
        """Set several tags at once; others stay."""
        self._change(tags={"set": values.texts(tags, "Tags")})

    def remove_tags(self, tags: Any) -> None:
        """Remove a tag, or several by a list of their keys."""
        self._change(tags={"remove": [tags] if isinstance(tags, str) else list(tags)})

    def archive(self) -> None:
        """Leave it out of `Experiment.list`; its runs stay."""
        self._change(archived=True)

    def reactivate(self, new_name: str | None = None) -> None:
        """Undo `archive`. Names do not change here: `new_name` must be empty."""
        if new_name not in (None, self.name):
            raise UserErrorException("An experiment keeps its name: leave new_name out.")
        self._change(archived=False)

    def refresh(self) -> None:
        """Nothing is remembered: every property asks anew."""

    @staticmethod
    def from_directory(path: str | os.PathLike[str], auth: object = None) -> Experiment:
        """The experiment that the `project.json` of a project folder names."""
        from turnout.client.workspace import Workspace, project_experiment

        return Experiment(Workspace.from_config(path), project_experiment(path))

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name},\nWorkspace: {self.workspace.name})"

    def _repr_html_(self) -> str:
        return facts(self._summary())

    def _summary(self) -> dict[str, object]:
        return {"Name": self.name, "Workspace": self.workspace.name}

    def submit(
        self,
        config: ScriptRunConfig,
        tags: dict[str, Any] | None = None,
        *,
        properties: dict[str, Any] | None = None,
        display_name: str | None = None,
        parent: str | None = None,
        progress: Callable[[str], None] | None = None,
        **kwargs: Any,
    ) -> ScriptRun:
        """Start a run and return at once; `wait_for_completion` watches it.

        `progress` is told what is being done (notes about the source folder go to stderr without
        it). Raises `UserError` before anything is sent for a missing script or folder and for a
        configuration that cannot be run; `SnapshotError` for a folder too large.
        """
        if not isinstance(config, ScriptRunConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserErrorException(
                f"submit() takes a ScriptRunConfig, not {type(config).__name__}."
            )
        config = config.with_overrides(kwargs)
        view = submission.submit(
            self.workspace.client,
            self.name,
            config,
            tags=tags,
            properties=properties,
            display_name=display_name,
            parent=parent,
            progress=progress or note,
        )
        return ScriptRun(self, view["id"], _view=view)

    def start_logging(
        self,
        *,
        display_name: str | None = None,
        outputs: str | None = None,
        snapshot_directory: str | None = None,
        tags: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Run:
        """Begin an interactive run: this process logs to it and ends it by `complete()`.

        `snapshot_directory` is kept with the run if given; files of `outputs` (default
        `./outputs`, which is made now if it can be) when it completes.
        """
        if kwargs:
            raise UserErrorException(f"start_logging() has no argument '{next(iter(kwargs))}'.")
        client = self.workspace.client
        properties: dict[str, str] = {}
        if snapshot_directory is not None:
            digest = submission.send_folder(client, snapshot_directory)
            properties["ContentSnapshotId"] = digest
        view = start(client, self.name, display_name, tags or {}, properties=properties)
        with contextlib.suppress(OSError):
            Path(outputs or OUTPUTS).mkdir(parents=True, exist_ok=True)
        return Run(self, view["id"], outputs, _view=view)

    def get_runs(
        self,
        type: str | None = None,
        tags: Any = None,
        properties: Any = None,
        include_children: bool = False,
    ) -> Generator[Run, None, None]:
        """Runs, newest first."""
        return Run.list(self, type, tags, properties, include_children=include_children)

    @staticmethod
    def list(
        workspace: Workspace,
        experiment_name: str | None = None,
        view_type: str = "ActiveOnly",
        tags: Any = None,
    ) -> list[Experiment]:
        """The workspace's experiments, or those with the given name. `view_type`: "ActiveOnly",
        "ArchivedOnly" or "All"; `tags`: a name, or `{name: value}`."""
        found = workspace.client.get("/v1/experiments")["experiments"]
        kinds = {"ActiveOnly": (False,), "ArchivedOnly": (True,), "All": (False, True)}
        if view_type not in kinds:
            raise UserErrorException(f"view_type must be one of {', '.join(kinds)}.")
        return [
            Experiment(workspace, x["name"])
            for x in found
            if experiment_name in (None, x["name"])
            and (x["archived_at"] is not None) in kinds[view_type]
            and tracking.has_all(x["tags"], tags)
        ]


def note(text: str) -> None:
    """Only what a person should know; the steps themselves are silent."""
    if not text.startswith("Sending"):
        print(text, file=sys.stderr)
