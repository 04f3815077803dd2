"""Words survive every login shell that is installed here; `sh` always is."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.hosts.quoting import command_line
from turnout.spec.errors import UserError

SHELLS = [
    s for s in ("sh", "dash", "bash", "zsh", "ksh", "tcsh", "csh", "fish") if shutil.which(s)
]
HOSTILE = [
    *("", " ", "a b", "it's", "''", '"', "$HOME", "${x}", "`id`", "$(id)", "!x", "!", "\\"),
    *("a\\b\\\\c", "\\n", "\\'", "*", "?", "[a]", "{a,b}", "~", "~root", "#", ";", "&", "|"),
    *("<", ">", "-n", "é☃", "%d", "^a^b", "=ls"),
]


def run(shell: str, line: str) -> str:
    done = subprocess.run([shell, "-c", line], capture_output=True, check=True)
    return done.stdout.decode()


@pytest.mark.parametrize("shell", SHELLS)
def test_hostile_words(shell: str) -> None:
    line = command_line(["printf", "%s|", *HOSTILE])
    assert run(shell, line) == "".join(f"{word}|" for word in HOSTILE)


@pytest.mark.parametrize("shell", SHELLS)
def test_hostile_words_with_line_ends(shell: str) -> None:
    words = [f"{word}\n\t{word}" for word in HOSTILE]
    line = command_line(["printf", "%s|", *words])
    assert "\n" not in line
    assert run(shell, line) == "".join(f"{word}|" for word in words)


@pytest.mark.parametrize("shell", SHELLS)
def test_environment(shell: str) -> None:
    line = command_line(["sh", "-c", 'printf %s "$A"'], {"A": "it's !x\n$B"})
    assert run(shell, line) == "it's !x\n$B"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12),
        max_size=4,
    )
)
def test_any_words(words: list[str]) -> None:
    line = command_line(["printf", "%s|", "x", *words])
    out = subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout
    assert out == "".join(f"{word}|" for word in ["x", *words]).encode()


def test_plain_words_stay_readable() -> None:
    assert command_line(["ls", "-l", "/a/b.c"]) == "ls -l /a/b.c"


def test_what_cannot_be() -> None:
    with pytest.raises(UserError, match="NUL"):
        command_line(["a\0b"])
    with pytest.raises(UserError, match="'A=B' cannot be"):
        command_line(["a"], {"A=B": ""})
