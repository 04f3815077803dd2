"""What a person reads when a conda list fails."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.payload.builds import conda_failures
from turnout.payload.builds.rattler_tool import ChildError

CHANNELS = [{"name": "lab", "address": "https://h.example/lab"}]
WANTED: dict[str, Any] = {
    "channels": CHANNELS,
    "oldest_python": "3.8",
    "packages": [
        {"text": "A=1", "name": "a"},
        {"text": "", "name": "b"},
        {"text": "c", "name": "c"},
    ],
}
PACKAGE: dict[str, Any] = {
    "name": "toy",
    "version": "1.2",
    "build": "py_0",
    "file": "toy-1.2-py_0.conda",
    "url": "https://h.example/lab/noarch/toy-1.2-py_0.conda",
}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "failed to link\nNo space left on device (os error 28)",
            "The disk of the target is full",
        ),
        ("Disk quota exceeded", "The disk of the target is full"),
        ("hash mismatch: https://h.example/lab/noarch/toy-1.2-py_0.conda", "toy 1.2 (https://h"),
        ("toy-1.2-py_0.conda\nData corruption detected", "is damaged in its channel"),
        ("failed to fetch toy-1.2-py_0\nConnection refused (os error 111)", "Connection refused"),
        ("something new", "A conda package could not be installed: something new"),
    ],
)
def test_installing(words: str, said: str) -> None:
    assert said in conda_failures.install(ChildError({"text": words}), [PACKAGE])


def test_a_channel_that_cannot_be_read() -> None:
    e = ChildError(
        {"kind": "channel", "text": "failed https://h.example/lab\nCaused by: refused."}
    )
    text = conda_failures.solve(e, WANTED)
    assert text.startswith(
        "The channel lab (https://h.example/lab) cannot be read: refused. Check"
    )


def test_a_long_explanation_is_cut_to_a_screen() -> None:
    words = "Cannot solve the request because of: a 1\n" + "\n".join(
        f"└─ b {i}" for i in range(99)
    )
    e = ChildError({"kind": "contradiction", "text": words})
    lines = conda_failures.solve(e, WANTED).splitlines()
    assert len(lines) <= 20
    assert "a 1" in lines[1]
    assert lines[0] == (
        "The packages cannot be installed together ('A=1'), from lab (https://h.example/lab)."
    )
    assert any("more lines in the log" in line for line in lines)


def test_the_pip_part_speaks_of_conda_packages_and_not_of_stand_ins() -> None:
    said = (
        "error: No solution found\n  cause: Because greeting==1.0 depends on toy>=2 and only\n"
        "  toy @ file:///root/x.files/stubs/toy-1.1-py3-none-any.whl is available, we conclude\n"
        "  that your requirements are unsatisfiable.\n\n  hint: something"
    )
    wanted = {"pip": ["greeting", "idna"], "texts": {"greeting": "Greeting"}}
    text = conda_failures.pip_part(said, {"toy": "1.1", "six": "1"}, wanted)
    assert text.startswith("The pip part cannot be installed ('Greeting'): Because greeting==1.0")
    assert text.endswith("From the conda part: toy 1.1.")
    assert "stubs" not in text
    assert "hint" not in text
