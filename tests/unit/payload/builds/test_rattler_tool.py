"""The child process that has py-rattler: whatever happens to it, its answer counts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from turnout.payload.builds import rattler_child, rattler_tool
from turnout.payload.builds.rattler_tool import ChildError
from turnout.payload.builds.telling import BuildError


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def ask(files: Path, monkeypatch: pytest.MonkeyPatch, *body: str) -> dict[str, Any]:
    """Ask a child whose program is `body`; `tell` is there to answer with."""
    child = files / "child.py"
    tell = "def tell(word): print('\\x1e' + json.dumps(word), flush=True)"
    lines = [
        "import json, os, signal, sys",
        "question = json.load(open(sys.argv[1]))",
        tell,
        *body,
    ]
    child.write_text("\n".join(lines))
    monkeypatch.setattr(rattler_tool, "CHILD", str(child))
    root = str(files.parent)
    return rattler_tool.ask(sys.executable, root, str(files), {"do": "solve", "n": 1})


def test_the_question_and_the_answer(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ask(
        files,
        monkeypatch,
        "print('for the log')",
        "tell({'status': 'working'})",
        "tell({'result': question})",
    )
    assert found == {"do": "solve", "n": 1, "cache": str(files.parent / "cache" / "conda")}
    out = capsys.readouterr().out
    assert out == 'for the log\n\x1e{"status": "working"}\n'


def test_a_crash_after_the_answer_changes_nothing(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = "os.kill(os.getpid(), signal.SIGSEGV)"
    assert ask(files, monkeypatch, "tell({'result': {'a': 1}})", crash) == {"a": 1}


def test_an_error_is_its_own_words(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChildError) as caught:
        ask(files, monkeypatch, "tell({'error': {'kind': 'channel', 'text': 'gone', 'n': 2}})")
    assert (caught.value.kind, str(caught.value)) == ("channel", "gone")
    assert caught.value.facts["n"] == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", r"\(signal 9\)"),
        ("sys.exit('out of luck')", r"\(exit code 1\)\. out of luck"),
        ("pass", r"\(exit code 0\)"),
    ],
)
def test_a_child_that_dies_silently(
    files: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    with pytest.raises(BuildError, match=said):
        ask(files, monkeypatch, body)


class Heard:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, packages: dict[str, int]) -> None:
        self.said: list[str] = []
        self.now = 100.0
        monkeypatch.setattr(rattler_child, "tell", lambda word: self.said.append(word["status"]))
        monkeypatch.setattr(rattler_child.time, "monotonic", lambda: self.now)
        sizes = [{"name": n, "size": s} for n, s in packages.items()]
        self.progress = rattler_child.Progress(sizes)


def test_downloads_are_told_in_packages_and_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard(monkeypatch, {"a": 10_000_000, "b": 30_000_000})
    progress = heard.progress
    for i, name in enumerate("ab"):
        progress.on_populate_cache_start(i, name)
        progress.on_download_start(i)
    for done in range(0, 10_000_000, 100_000):
        heard.now += 0.01
        progress.on_download_progress(0, done, 10_000_000)
    # A hundred calls in a second: about ten are told.
    assert 9 <= len(heard.said) <= 12
    assert heard.said[0] == "Downloading 1 of 2 packages (0 of 40 MB)"
    heard.now += 1
    progress.on_populate_cache_complete(0)
    assert heard.said[-1] == "Downloading 2 of 2 packages (10 of 40 MB)"
    heard.now += 1
    progress.on_populate_cache_complete(1)
    assert heard.said[-1] == "Downloading 2 of 2 packages (40 of 40 MB)"
    for i in range(2):
        progress.on_link_complete(i)
    assert heard.said[-1] == "Linking 2 of 2 packages"


def test_nothing_is_said_of_downloads_when_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard(monkeypatch, {"a": 10_000_000})
    heard.progress.on_populate_cache_start(0, "a")
    heard.progress.on_populate_cache_complete(0)
    heard.progress.on_link_complete(0)
    assert heard.said == ["Linking 1 of 1 packages"]


def test_causes_are_told_once() -> None:
    error = RuntimeError("cannot link")
    error.__cause__ = OSError("No space left on device")
    error.__cause__.__cause__ = OSError("space left")
    assert rattler_child.causes(error) == "cannot link\nNo space left on device"
