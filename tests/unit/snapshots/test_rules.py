"""Ignore rules: git's own verdicts for the same patterns, our defaults, what is remembered."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnout.snapshots import capture
from turnout.snapshots.rules import Rules, escape
from turnout.snapshots.trees import walk

NAMES = ["a", "b", "a.log", "b.py", "keep", "#x", "!y", "s p"]


def kept(folder: Path, home: Path) -> set[str]:
    made = capture(folder, home)
    return set(made.memory.stamps)


def make(folder: Path, *paths: str) -> None:
    for path in paths:
        full = folder / path
        if path.endswith("/"):
            full.mkdir(parents=True, exist_ok=True)
        else:
            full.parent.mkdir(parents=True, exist_ok=True)
            full.touch()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_defaults(folder: Path, home: Path) -> None:
    make(folder, ".git/HEAD", "__pycache__/x.pyc", "lib/__pycache__/y.pyc", "outputs/model.pkl",
         "lib/outputs/kept", ".ipynb_checkpoints/n", "azureml-logs/l", "azureml-setup/s",
         "env/pyvenv.cfg", "env/lib/site.py", "conda/conda-meta/history", "conda/bin/python",
         "logs/kept", ".azureml/config.json", "train.py", "sub/.git", "outputs.py")  # fmt: skip
    assert kept(folder, home) == {
        "lib/outputs/kept", "logs/kept", ".azureml/config.json", "train.py", "outputs.py",
    }  # fmt: skip


def test_amlignore_beats_gitignore_and_only_one_counts(folder: Path, home: Path) -> None:
    make(folder, "a", "b", "train.py")
    (folder / ".gitignore").write_text("a\n")
    assert kept(folder, home) == {"b", "train.py", ".gitignore"}
    (folder / ".amlignore").write_text("b\n")
    assert kept(folder, home) == {"a", "train.py", ".gitignore", ".amlignore"}


def test_the_ignore_file_brings_defaults_back_but_never_git(folder: Path, home: Path) -> None:
    make(folder, "outputs/start.pkl", ".git/HEAD", "__pycache__/x", "env/pyvenv.cfg")
    (folder / ".amlignore").write_text("!outputs/\n!.git/\n!env/\n")
    assert kept(folder, home) == {"outputs/start.pkl", ".amlignore"}


def test_nested_ignore_files_are_plain_files(folder: Path, home: Path) -> None:
    make(folder, "lib/a", "lib/b")
    (folder / "lib" / ".gitignore").write_text("a\n")
    assert kept(folder, home) == {"lib/a", "lib/b", "lib/.gitignore"}


def test_a_changed_ignore_file_counts_at_once(folder: Path, home: Path) -> None:
    make(folder, "a", "b", "d/c")
    (folder / ".amlignore").write_text("a\n")
    assert kept(folder, home) == {"b", "d/c", ".amlignore"}
    assert kept(folder, home) == {"b", "d/c", ".amlignore"}
    (folder / ".amlignore").write_text("b\nd\n")
    assert kept(folder, home) == {"a", ".amlignore"}
    (folder / ".amlignore").unlink()
    assert kept(folder, home) == {"a", "b", "d/c"}


def test_new_files_get_their_verdict(folder: Path, home: Path) -> None:
    (folder / ".amlignore").write_text("*.log\n")
    make(folder, "a")
    assert kept(folder, home) == {"a", ".amlignore"}
    make(folder, "b", "b.log")
    assert kept(folder, home) == {"a", "b", ".amlignore"}


def test_lines_that_mean_nothing_do_nothing(folder: Path, home: Path) -> None:
    make(folder, "a", "b")
    (folder / ".amlignore").write_text("\n# a\n!\n/\n[a\n\\\n[z-a]\n   \n")
    assert kept(folder, home) == {"a", "b", ".amlignore"}


def test_a_binary_ignore_file_is_no_crash(folder: Path, home: Path) -> None:
    make(folder, "a")
    (folder / ".amlignore").write_bytes(b"\xef\xbb\xbfa\r\n\xff\xfe\n")
    assert kept(folder, home) == {".amlignore"}


@pytest.mark.parametrize("name", ["a*b", "[x]", "!y", "#x", "s p", "end ", "end  ", "b\\s", "?"])
def test_escaped_lines_match_exactly_their_path(folder: Path, home: Path, name: str) -> None:
    make(folder, name, "other", f"sub/{name}")
    (folder / ".amlignore").write_text(escape(name) + "\n")
    assert kept(folder, home) == {"other", f"sub/{name}", ".amlignore"}


patterns = st.lists(
    st.sampled_from(
        [
            "a",
            "/a",
            "a/",
            "*.log",
            "!*.log",
            "!a.log",
            "a/*",
            "!a/b",
            "!a/b/",
            "**/b",
            "a/**",
            "*",
            "!*/",
            "!*.py",
            "/*",
            "!/a",
            "b/keep",
            "!keep",
            "a/**/keep",
            "\\#x",
            "\\!y",
            "# c",
            "s p",
            "?",
            "[ab]",
            "b*",
            "/b/",
            "!/b/keep",
        ]
    ),
    max_size=5,
)
trees = st.sets(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join), max_size=9)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=patterns, paths=trees)
def test_verdicts_are_gits(tmp_path: Path, lines: list[str], paths: set[str]) -> None:
    folder = tmp_path / "compared"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in sorted(paths):
        if not any(other.startswith(path + "/") for other in paths):
            make(folder, path)
    text = "".join(line + "\n" for line in lines)
    (folder / ".gitignore").write_text(text)
    git = ["git", "-c", "core.excludesFile=", "-C", str(folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--others", "--exclude-standard"], check=True, capture_output=True
    ).stdout
    expected = {name for name in listed.decode().split("\0") if name}
    found = walk(str(folder), Rules(".gitignore", text.encode()), frozenset(), 1000)
    assert set(found.files) == expected
