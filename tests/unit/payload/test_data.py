"""The supervisor's side of data: where inputs come to lie, and what must stay as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from turnout.payload import bundles, inputs, rundir
from turnout.payload.bundles import StoreError
from turnout.payload.data import Data, needed
from turnout.payload.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def digest(tmp_path: Path, store: Store) -> str:
    """Data in the store: `a.txt` and `b/c.txt`."""
    files: list[list[Any]] = []
    for name in ("a.txt", "b/c.txt"):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        sha, size = store.add_file(path)
        files.append([name, 0, size, sha])
    canonical = bundles.canonical_bytes({"files": files, "folders": [], "links": []})
    found = bundles.manifest_digest(canonical)
    rundir.write_file(store.manifest_path(found), canonical)
    return found


def laid_out(tmp_path: Path, store: Store, run: str = "r_1.1", **row: Any) -> Data:
    folder = tmp_path / "runs" / run
    (folder / "work").mkdir(parents=True, exist_ok=True)
    ticket = {"data": {"inputs": [{"name": "d", "kind": "file", "mode": "mount", **row}]}}
    found = Data(str(tmp_path / "root"), str(folder), ticket, store, lambda: None)
    found.lay_out()
    return found


FILES = ["a.txt", "b/c.txt"]


def test_mounted_data_of_the_store_lies_once_and_cannot_be_written(
    tmp_path: Path, store: Store, digest: str
) -> None:
    places = {
        laid_out(tmp_path, store, run, snapshot=digest, files=FILES).values["d"]
        for run in ("r_1.1", "r_2.1")
    }
    (place,) = places
    assert (Path(place) / "b" / "c.txt").read_text() == "b/c.txt"
    assert (Path(place) / "a.txt").stat().st_mode & 0o222 == 0
    assert inputs.load(str(tmp_path / "runs" / "r_1.1"))["inputs"]["d"]["files"] == FILES


def test_downloaded_data_is_the_runs_own(tmp_path: Path, store: Store, digest: str) -> None:
    found = laid_out(tmp_path, store, snapshot=digest, mode="download", path_on_compute="here")
    assert found.values["d"] == str(tmp_path / "runs" / "r_1.1" / "work" / "here")
    (Path(found.values["d"]) / "a.txt").write_text("mine")


def test_a_folder_of_somebody_keeps_what_it_has(tmp_path: Path, store: Store, digest: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years of work")
    laid_out(tmp_path, store, snapshot=digest, mode="download", path_on_compute=str(home))
    assert (home / "thesis.tex").read_text() == "years of work"
    assert (home / "a.txt").read_text() == "a.txt"
    for row in ({"snapshot": digest}, {"place": str(tmp_path / "source")}):
        with pytest.raises(StoreError, match="is there already"):
            laid_out(tmp_path, store, path_on_compute=str(home), **row)
    assert (home / "thesis.tex").read_text() == "years of work"


def test_a_folder_of_the_snapshot_gives_way_to_a_mount(
    tmp_path: Path, store: Store, digest: str
) -> None:
    old = tmp_path / "runs" / "r_1.1" / "work" / "data"
    old.mkdir(parents=True)
    (old / "old.txt").write_text("of the source folder")
    for _ in range(2):  # A launch may be repeated.
        laid_out(tmp_path, store, snapshot=digest, path_on_compute="data")
        assert sorted(p.name for p in old.iterdir()) == ["a.txt", "b"]


def test_files_that_are_here_are_linked_or_copied(
    tmp_path: Path, store: Store, digest: str
) -> None:
    here = [[name, str(tmp_path / "source" / name)] for name in FILES]
    mounted = Path(laid_out(tmp_path, store, here=here, files=FILES).values["d"])
    assert (mounted / "b" / "c.txt").is_symlink()
    assert (mounted / "b" / "c.txt").read_text() == "b/c.txt"
    copied = Path(laid_out(tmp_path, store, "r_2.1", here=here, mode="download").values["d"])
    (copied / "a.txt").write_text("mine")
    assert (tmp_path / "source" / "a.txt").read_text() == "a.txt"
    gone = [["gone.txt", str(tmp_path / "gone.txt")]]
    with pytest.raises(StoreError, match=r"gone\.txt' of the datastore is gone"):
        laid_out(tmp_path, store, "r_3.1", here=gone, mode="download")


def test_arguments_and_variables(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    rows = [
        {"name": "d", "kind": "file", "mode": "mount", "place": "/x"},
        {"name": "d_2", "kind": "tabular", "mode": "direct", "here": [], "dataset_id": "id7"},
        {"name": "HOME", "kind": "file", "mode": "mount", "place": "/y"},
    ]
    folder = tmp_path / "runs" / "r"
    (folder / "work").mkdir(parents=True)
    ticket = {"data": {"inputs": rows, "outputs": [{"name": "out", "source": ""}]}}
    found = Data(str(tmp_path), str(folder), ticket, store, lambda: None)
    found.lay_out()
    out = str(folder / "files" / "dataset-outputs" / "out")
    text = "--a=$AZUREML_DATAREFERENCE_d_2/$AZUREML_DATAREFERENCE_d $AZUREML_DATAREFERENCE_out"
    assert found.filled(text) == f"--a=id7//x {out}"
    names = found.variables({"d": "taken"})
    assert names["AZUREML_DATAREFERENCE_HOME"] == "/y"
    assert "HOME" not in names  # It means something else already.
    assert "d" not in names
    assert names["d_2"] == "id7"


def test_outputs_that_the_script_left_elsewhere_are_gathered(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "runs" / "r"
    (folder / "work").mkdir(parents=True)
    rows = [{"name": "o", "source": "left"}, {"name": "gone", "source": "nothing"}]
    ticket = {"data": {"outputs": rows}}
    found = Data(str(tmp_path), str(folder), ticket, store, lambda: None)
    found.lay_out()
    (folder / "work" / "left" / "m.txt").write_text("model")
    (folder / "work" / "nothing").rmdir()
    for _ in range(2):
        (note,) = found.gather()
    assert note.startswith("The output 'gone' is not there: ")
    assert (folder / "files" / "dataset-outputs" / "o" / "m.txt").read_text() == "model"


def test_what_is_needed_is_what_the_store_lacks(store: Store, digest: str) -> None:
    other = "0" * 64
    rows = [{"snapshot": digest}, {"snapshot": other}, {"snapshot": other}, {"place": "/x"}]
    assert needed(store, {"data": {"inputs": rows}}) == [other]
    assert needed(store, {}) == []
