"""The supervisor's side of data: inputs laid out before the script, outputs gathered after it.

What the ticket says of each is in docs/design/run-folder.md, "Data".
"""

from __future__ import annotations

import os

from turnout.payload import rundir, trees
from turnout.payload.bundles import StoreError
from turnout.payload.inputs import INDEX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from turnout.payload.store import Store

#: v1's name of a variable that holds a place; "$" and it is what stands for it in arguments.
VARIABLE = "AZUREML_DATAREFERENCE_"
#: Below the run folder: inputs that have no place of the script's own choice.
DATA = "data"
#: Below the root: data that came from the service, by digest; read by many runs.
KEPT = "datasets"
#: Below the uploads: what outputs hold, by name.
OUTPUTS = "dataset-outputs"


def needed(store: Store, ticket: dict[str, Any]) -> list[str]:
    """Digests of the data that must come first."""
    rows: list[dict[str, Any]] = (ticket.get("data") or {}).get("inputs") or []
    found = {str(row["snapshot"]) for row in rows if row.get("snapshot")}
    return sorted(digest for digest in found if not store.has(digest))


class Data:
    """Inputs and outputs of one run."""

    def __init__(
        self, root: str, folder: str, ticket: dict[str, Any], store: Store,
        tick: Callable[[], None],
    ) -> None:  # fmt: skip
        self.root = root
        self.folder = folder
        self.work = os.path.join(folder, rundir.WORK)
        self.store = store
        self.tick = tick
        asked: dict[str, Any] = ticket.get("data") or {}
        self.inputs: list[dict[str, Any]] = asked.get("inputs") or []
        self.outputs: list[dict[str, Any]] = asked.get("outputs") or []
        #: The script sees its run folder and nothing else of this machine.
        self.inside = bool(asked.get("inside"))
        #: By name: what stands for the input or output in arguments and variables.
        self.values: dict[str, str] = {}

    def lay_out(self) -> None:
        """Put every input in its place, make the outputs' folders, write the index."""
        index: dict[str, Any] = {"inputs": {}, "outputs": {}}
        for row in self.inputs:
            name = str(row["name"])
            path = self.lay_out_input(row)
            files = row.get("files") or []
            index["inputs"][name] = {
                **{k: row.get(k) for k in ("kind", "mode", "definition")},
                **{k: row.get(k) for k in ("dataset_id", "dataset_name", "dataset_version")},
                "path": path,
                "files": files,
            }
            is_table = row.get("kind") == "tabular"
            self.values[name] = (row.get("dataset_id") or name) if is_table else path
        for row in self.outputs:
            name = str(row["name"])
            source = row.get("source") or ""
            path = os.path.join(self.work, source) if source else self.gathered(name)
            os.makedirs(path, exist_ok=True)
            index["outputs"][name] = self.values[name] = path
        if self.inputs or self.outputs:
            rundir.write_json(os.path.join(self.folder, INDEX), index)

    def gathered(self, name: str) -> str:
        return os.path.join(self.folder, rundir.FILES, OUTPUTS, name)

    def lay_out_input(self, row: dict[str, Any]) -> str:
        """The input's place on this machine."""
        asked = str(row.get("path_on_compute") or "")
        goal = os.path.join(self.work, asked) if asked else os.path.join(
            self.folder, DATA, str(row["name"])
        )  # fmt: skip
        copies = row.get("mode") == "download" or (self.inside and not row.get("snapshot"))
        if row.get("snapshot"):
            base = self.from_store(row, goal, copies or self.inside, bool(asked))
        elif row.get("place") and not copies:
            base = str(row["place"])
            if not asked:
                return base
            self.replace_by_link(base, goal)
            return goal
        else:
            for name, path in row.get("here") or []:
                self.tick()
                self.put(path, os.path.join(goal, *name.split("/")), copies)
            os.makedirs(goal, exist_ok=True)
            base = goal
        single = row.get("single")
        return os.path.join(base, str(single)) if single else base

    def from_store(self, row: dict[str, Any], goal: str, copies: bool, asked: bool) -> str:
        """The folder that holds the data that came from the service."""
        if copies:
            self.copy_from_store(str(row["snapshot"]), goal)
            return goal
        kept = os.path.join(self.root, KEPT, str(row["snapshot"]))
        if not os.path.isdir(kept):
            made = "%s.%d.tmp" % (kept, os.getpid())
            trees.remove_tree(made)
            self.write(str(row["snapshot"]), made, 0o222)
            try:
                os.rename(made, kept)
            except OSError:
                # Another run was the quicker.
                trees.remove_tree(made)
                if not os.path.isdir(kept):
                    raise
        os.utime(kept)
        if asked:
            self.replace_by_link(kept, goal)
            return goal
        return kept

    def copy_from_store(self, digest: str, goal: str) -> None:
        """Files of the same name at `goal` are replaced, others stay: it may be any folder."""
        made = os.path.join(self.folder, "data.%d.tmp" % os.getpid())
        trees.remove_tree(made)
        self.write(digest, made, 0)
        for name in [row[0] for row in self.store.manifest(digest)["files"]]:
            self.put(os.path.join(made, name), os.path.join(goal, name), True)
        os.makedirs(goal, exist_ok=True)
        trees.remove_tree(made)

    def put(self, path: str, goal: str, copies: bool) -> None:
        """Put a file where the script is to find it."""
        import shutil

        os.makedirs(os.path.dirname(goal), exist_ok=True)
        try:
            if copies:
                if os.path.islink(goal):
                    os.unlink(goal)
                shutil.copyfile(path, goal)
            else:
                self.replace_by_link(path, goal)
        except FileNotFoundError:
            raise StoreError("The file '%s' of the datastore is gone." % path) from None

    def replace_by_link(self, path: str, goal: str) -> None:
        """Make `goal` a link to `path`. What stood there before gives way if it is the run's own:
        a place of the script's choice may be anywhere, and hold anything."""
        os.makedirs(os.path.dirname(goal), exist_ok=True)
        is_own = os.path.realpath(os.path.dirname(goal)).startswith(
            os.path.realpath(self.folder) + os.sep
        )
        if os.path.islink(goal):
            os.unlink(goal)
        elif os.path.lexists(goal) and not is_own:
            raise StoreError(
                "'%s' is there already, so nothing can be mounted at it: choose another "
                "path_on_compute, or as_download()." % goal
            )
        elif os.path.isdir(goal):
            trees.remove_tree(goal)
        elif os.path.lexists(goal):
            os.unlink(goal)
        os.symlink(path, goal)

    def write(self, digest: str, goal: str, without: int) -> None:
        """The tree of `digest` as `goal`; files lose the mode bits `without`: many share them."""
        manifest = self.store.manifest(digest)
        os.makedirs(goal, exist_ok=True)
        base = trees.encode(goal) + b"/"
        for row in manifest["files"]:
            os.makedirs(os.path.dirname(base + trees.encode(row[0])), exist_ok=True)
        trees.write_files(self.store, manifest["files"], base, self.tick)
        for row in manifest["files"] if without else []:
            os.chmod(base + trees.encode(row[0]), 0o666 & ~without & ~0o022)

    def filled(self, text: str) -> str:
        """`text` with the places of inputs and outputs put in."""
        for name in sorted(self.values, key=len, reverse=True):
            text = text.replace("$" + VARIABLE + name, self.values[name])
        return text

    def variables(self, env: dict[str, str]) -> dict[str, str]:
        """v1's variables: `AZUREML_DATAREFERENCE_<name>`, and for datasets the name itself,
        unless that means something else already."""
        found = {VARIABLE + name: value for name, value in self.values.items()}
        for row in self.inputs:
            name = str(row["name"])
            if row.get("kind") != "reference" and name not in env and name not in os.environ:
                found[name] = self.values[name]
        return found

    def gather(self) -> list[str]:
        """After the script: bring outputs that it wrote where it chose to where they are
        collected. Notes for the person."""
        import shutil

        notes: list[str] = []
        for row in self.outputs:
            if not row.get("source"):
                continue
            source = os.path.join(self.work, str(row["source"]))
            goal = self.gathered(str(row["name"]))
            try:
                if os.path.isdir(source):
                    shutil.copytree(source, goal, dirs_exist_ok=True)
                elif os.path.isfile(source):
                    os.makedirs(goal, exist_ok=True)
                    shutil.copy2(source, goal)
                else:
                    notes.append("The output '%s' is not there: %s." % (row["name"], source))
            except (OSError, shutil.Error) as e:
                notes.append("The output '%s' was not kept whole: %s." % (row["name"], e))
        return notes
