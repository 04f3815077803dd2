"""Past the limit the person learns what is big and how to go on."""

import re
from pathlib import Path

import pytest

from turnout.snapshots import capture
from turnout.spec.errors import SnapshotError, UserError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    sizes = {"train.py": 10, "data/raw/big.bin": 5000, "data/small": 10, "many/1": 1, "many/2": 1}
    for name, size in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    return folder


def test_bytes(source: Path, tmp_path: Path) -> None:
    with pytest.raises(SnapshotError) as caught:
        capture(source, tmp_path / "home", limit_bytes=3000)
    text = caught.value.message
    assert "in 5 files" in text
    assert "data/raw/big.bin" in text
    assert "TURNOUT_SNAPSHOT_LIMIT_MB=1 " in text
    # Following the advice is enough.
    lines = re.findall(r"^  (/\S+)$", text, re.MULTILINE)
    assert lines[0] == "/data/raw/big.bin"
    (source / ".amlignore").write_text(lines[0] + "\n")
    assert capture(source, tmp_path / "home", limit_bytes=3000).file_count == 5


def test_files(source: Path, tmp_path: Path) -> None:
    for i in range(20):
        (source / "many" / f"n{i}").touch()
    with pytest.raises(SnapshotError, match="TURNOUT_SNAPSHOT_LIMIT_FILES=25") as caught:
        capture(source, tmp_path / "home", limit_files=10)
    assert re.search(r"^  /many/$", caught.value.message, re.MULTILINE)


def test_a_walk_past_all_bounds_is_cut_short(source: Path, tmp_path: Path) -> None:
    for i in range(40):
        (source / "many" / f"n{i}").touch()
    with pytest.raises(SnapshotError, match="more than"):
        capture(source, tmp_path / "home", limit_files=2)


def test_the_ignore_file_in_use_is_named(source: Path, tmp_path: Path) -> None:
    (source / ".gitignore").write_text("*.tmp\n")
    with pytest.raises(SnapshotError, match=r"source/\.gitignore'"):
        capture(source, tmp_path / "home", limit_bytes=100)


def test_variables(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source / "data" / "raw" / "big.bin").write_bytes(b"x" * 1024 * 1024)
    monkeypatch.setenv("TURNOUT_SNAPSHOT_LIMIT_MB", "1")
    with pytest.raises(SnapshotError, match=r"limit is 1\.0 MB"):
        capture(source, tmp_path / "home")
    monkeypatch.setenv("TURNOUT_SNAPSHOT_LIMIT_MB", "2")
    assert capture(source, tmp_path / "home").file_count == 5
    monkeypatch.setenv("TURNOUT_SNAPSHOT_LIMIT_FILES", "4")
    with pytest.raises(SnapshotError, match="limit is 4 files"):
        capture(source, tmp_path / "home")


@pytest.mark.parametrize("text", ["2GB", "-1", "0", "1.5"])
def test_a_limit_that_is_no_number(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("TURNOUT_SNAPSHOT_LIMIT_MB", text)
    with pytest.raises(UserError, match="TURNOUT_SNAPSHOT_LIMIT_MB must be"):
        capture(source, tmp_path / "home")
