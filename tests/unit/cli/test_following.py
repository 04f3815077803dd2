"""What a person reads beside and after the script's output."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from turnout.cli import following, terminal

FAILED = {
    "id": "r_1", "state": "failed", "warnings": [],
    "error": {"code": "script_failed", "message": "The script exited with code 1."},
}  # fmt: skip


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("x\nModuleNotFoundError: No module named 'sklearn.svm'\n", "--pip scikit-learn"),
        ("ModuleNotFoundError: No module named 'numpy'\n", "--pip numpy"),
        ("ModuleNotFoundError: No module named 'numpy'\nand on\n", ""),
        ("", ""),
    ],
)
def test_a_module_that_is_not_there(
    capsys: pytest.CaptureFixture[str], output: str, told: str
) -> None:
    following.say_end(FAILED, output.encode())
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (2 if told else 1)
    assert told in lines[-1]


class Terminal(io.StringIO):
    """Tells when it has been drawn three times."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = threading.Event()

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        if self.getvalue().count("Preparing: Installing") >= 3:
            self.drawn.set()


def columns(stream: object) -> int:
    return 30


def test_the_status_line_counts_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(terminal, "TICK_S", 0.01)
    monkeypatch.setattr(terminal, "SHOWN_FROM_S", 0.0)
    monkeypatch.setattr(terminal, "columns", columns)
    status = terminal.StatusLine()
    status.show("Preparing: Installing 43 packages")
    assert screen.drawn.wait(10)
    status.clear()
    # The time is never cut off.
    assert "Preparing: Installing 43  0 s" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")
    assert status.cleared.is_set()
