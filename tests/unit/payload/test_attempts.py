"""What a further attempt takes over, also from attempts that were lost while they did so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from turnout.payload import attempts


@pytest.fixture
def put(tmp_path: Path) -> Callable[[int, str, str], None]:
    def put(attempt: int, name: str, content: str) -> None:
        path = tmp_path / "runs" / f"exp_1.{attempt}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    return put


def taken(root: Path, attempt: int) -> dict[str, str]:
    """What the attempt has once it took over from the one before; nothing else is left."""
    folder = root / "runs" / f"exp_1.{attempt}"
    (folder / "work").mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        attempts.take_over(str(root), f"exp_1.{attempt - 1}", str(folder / "work"))
    assert [path.name for path in (root / "runs").iterdir()] == [folder.name]
    assert not list((root / "trash").iterdir()) if (root / "trash").exists() else True
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_outputs_and_uploads_go_along_and_nothing_else(
    tmp_path: Path, put: Callable[[int, str, str], None]
) -> None:
    put(1, "work/outputs/a/deep", "1")
    put(1, "files/plots/p", "1")
    put(1, "work/train.py", "1")
    put(1, "driver.log", "1")
    assert taken(tmp_path, 2) == {"work/outputs/a/deep": "1", "files/plots/p": "1"}


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_the_run_wrote_is_newer_than_its_snapshot(
    tmp_path: Path, put: Callable[[int, str, str], None], kind: str
) -> None:
    put(1, "work/outputs/x", "written")
    put(2, "work/outputs/of_the_snapshot", "kept")
    place = tmp_path / "runs/exp_1.2/work/outputs/x"
    if kind == "file":
        put(2, "work/outputs/x", "older")
    elif kind == "folder":
        put(2, "work/outputs/x/below", "older")
    else:
        place.symlink_to("of_the_snapshot")
    found = taken(tmp_path, 2)
    assert found == {"work/outputs/of_the_snapshot": "kept", "work/outputs/x": "written"}


def test_nothing_is_lost_with_an_attempt_that_had_not_taken_it_yet(
    tmp_path: Path, put: Callable[[int, str, str], None]
) -> None:
    """The second was lost in the middle of it, the third before it began."""
    put(1, "work/outputs/b", "1")
    put(1, "work/outputs/both", "1")
    put(2, "work/outputs/a", "1")
    put(2, "work/outputs/both", "of the snapshot")
    put(3, "ticket.json", "{}")
    assert taken(tmp_path, 4) == {f"work/outputs/{name}": "1" for name in ("a", "b", "both")}


def test_a_link_of_the_script_leads_to_what_stays(
    tmp_path: Path, put: Callable[[int, str, str], None]
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "data").write_text("1")
    put(1, "work/train.py", "1")
    (tmp_path / "runs/exp_1.1/work/outputs").symlink_to(mine)
    assert taken(tmp_path, 2) == {}
    assert (mine / "data").read_text() == "1"


def test_attempts_that_are_gone_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert taken(tmp_path, 3) == {}
