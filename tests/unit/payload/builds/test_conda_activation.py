"""The launcher of an environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

from turnout.payload.builds import conda_activation


def launched(prefix: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    launcher = prefix / conda_activation.LAUNCHER
    return subprocess.run([launcher, *argv], capture_output=True, text=True, env={"PATH": "/bin"})


def test_without_scripts_it_only_becomes_the_program(tmp_path: Path) -> None:
    conda_activation.write(str(tmp_path))
    done = launched(tmp_path, "/bin/sh", "-c", 'echo "$0" "$1"; exit 7', "a b", "$c")
    assert (done.returncode, done.stdout, done.stderr) == (7, "a b $c\n", "")


def test_variables_and_scripts_in_their_order(tmp_path: Path) -> None:
    prefix = tmp_path / "it's here"
    scripts = prefix / "etc" / "conda" / "activate.d"
    variables = prefix / "etc" / "conda" / "env_vars.d"
    scripts.mkdir(parents=True)
    variables.mkdir()
    (variables / "a.json").write_text('{"A": "it\'s $HOME", "B-AD": "x", "N": 1}')
    (variables / "b.json").write_text("torn")
    (scripts / "2.sh").write_text('export TWO="$ONE and two"\n')
    (scripts / "1.sh").write_text("export ONE=one\necho chatter\n")
    (scripts / "1.fish").write_text("exit 1\n")
    conda_activation.write(str(prefix))
    done = launched(prefix, "/bin/sh", "-c", 'echo "$A, $TWO, $N"')
    assert (done.stdout, done.stderr) == ("it's $HOME, one and two, 1\n", "")


def test_writing_it_twice_changes_nothing(tmp_path: Path) -> None:
    conda_activation.write(str(tmp_path))
    first = (tmp_path / conda_activation.LAUNCHER).read_bytes()
    conda_activation.write(str(tmp_path))
    assert (tmp_path / conda_activation.LAUNCHER).read_bytes() == first
