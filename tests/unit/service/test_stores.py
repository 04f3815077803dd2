"""Names of files in datastores: what patterns mean, and that none leads out."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.service.data.stores import DataStores
from turnout.spec.data import DataSource
from turnout.spec.errors import NotFoundError, UserError

STORE = "workspaceblobstore"


@pytest.fixture
def stores(tmp_path: Path) -> DataStores:
    found = DataStores(tmp_path)
    for name in ("a.csv", "b/c.csv", "b/d/e.csv", "b/note.txt"):
        path = found.path(STORE, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return found


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("", ["a.csv", "b/c.csv", "b/d/e.csv", "b/note.txt"]),
        ("a.csv", ["a.csv"]),
        ("/b/", ["c.csv", "d/e.csv", "note.txt"]),
        ("b/*.csv", ["c.csv"]),
        ("b/**/*.csv", ["c.csv", "d/e.csv"]),
        ("**", ["a.csv", "b/c.csv", "b/d/e.csv", "b/note.txt"]),
        ("?.csv", ["a.csv"]),
        ("b/d", ["e.csv"]),
    ],
)
def test_what_a_path_means(stores: DataStores, path: str, names: list[str]) -> None:
    assert sorted(f.name for f in stores.find([DataSource(STORE, path)])) == names


def test_files_of_several_sources_keep_their_whole_names(stores: DataStores) -> None:
    found = stores.find([DataSource(STORE, "b/d"), DataSource(STORE, "a.csv")])
    assert {f.name: f.path.read_text() for f in found} == {
        "b/d/e.csv": "b/d/e.csv", "a.csv": "a.csv",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["../token", "b/../../token", "b//c.csv", "b/./c.csv", "b\0"])
def test_names_that_lead_out_are_refused(stores: DataStores, name: str) -> None:
    with pytest.raises(UserError):
        stores.path(STORE, name)


def test_links_that_lead_out_are_refused_and_not_listed(
    stores: DataStores, tmp_path: Path
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("x")
    (stores.root(STORE) / "link").symlink_to(tmp_path / "secret")
    for name in ("link", "link/key"):
        with pytest.raises(UserError, match="leads out"):
            stores.path(STORE, name)
    assert "link/key" not in stores.names(STORE)


def test_unknown_stores_and_empty_places_are_named(stores: DataStores) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'workspaceblobstore'"):
        stores.root("workspaceblobstor")
    with pytest.raises(UserError, match=r"no file at 'b/\*.parquet'"):
        stores.match(DataSource(STORE, "b/*.parquet"))


def test_what_a_run_wrote_is_taken_in_once_or_twice(stores: DataStores, tmp_path: Path) -> None:
    made = tmp_path / "made"
    (made / "deep").mkdir(parents=True)
    (made / "deep" / "x").write_text("new")
    for _ in range(2):
        assert stores.take_in(STORE, "out/", made, overwrite=True) == ["out/deep/x"]
    (made / "deep" / "x").write_text("newer")
    stores.take_in(STORE, "out", made, overwrite=False)
    assert stores.path(STORE, "out/deep/x").read_text() == "new"
    assert list((tmp_path / "datastores" / ".parts").iterdir()) == []
