"""What holds for the repository as a whole: sizes, names, scripts."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WALL = 500
CODE = sorted(
    path
    for folder in ("src", "tests", "bench", "examples", "scripts")
    for path in (ROOT / folder).rglob("*.py")
    if ".venvs" not in path.parts
)
SHELL = [ROOT / ".ci" / "run", *(ROOT / "scripts" / n for n in ("setup", "openssh", "test"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_past_the_wall() -> None:
    long = {name_of(p): n for p in CODE if (n := len(p.read_text().splitlines())) > WALL}
    assert not long


def test_every_module_opens_with_what_it_owns() -> None:
    silent = [
        name_of(p)
        for p in CODE
        if p.name != "__init__.py" and p.read_text().strip()
        if ast.get_docstring(ast.parse(p.read_text())) is None
        if "tests" not in p.parts and "migrations" not in p.parts and "diabetes" not in p.parts
    ]
    assert not silent


def test_modules_are_nouns() -> None:
    vague = re.compile(r"(utils?|helpers?|common|misc|manager)\.py|.*_(utils|helpers|manager)\.py")
    assert not [name_of(p) for p in CODE if vague.fullmatch(p.name)]


@pytest.mark.parametrize("path", SHELL, ids=name_of)
def test_scripts_can_be_run(path: Path) -> None:
    assert os.access(path, os.X_OK)
    shell = "bash" if "bash" in path.read_text().splitlines()[0] else "sh"
    done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_make_alone_names_every_command() -> None:
    done = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    targets = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets is not None
    assert [t for t in targets[1].split() if f"make {t} " not in done.stdout] == []


def without_tools(tmp_path: Path, *programs: str) -> dict[str, str]:
    """An environment whose PATH holds the named programs and nothing else."""
    for name in programs:
        found = next(
            (Path(d) / name for d in ("/usr/bin", "/bin") if (Path(d) / name).exists()), None
        )
        if found is not None:
            (tmp_path / name).symlink_to(found)
    return {"PATH": str(tmp_path), "HOME": str(tmp_path)}


def run_openssh(tmp_path: Path, **stubs: str) -> subprocess.CompletedProcess[str]:
    """scripts/openssh on a machine without OpenSSH, where `stubs` are programs on PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    bare = without_tools(programs, "sh", "dirname", "env", "mktemp", "tail", "rm")
    for name, body in stubs.items():
        stub = programs / name.replace("_", "-")
        stub.write_text(f"#!/bin/sh\n{body}\n")
        stub.chmod(0o755)
    # A copy: the script adds the system's own folders to PATH, where this machine may have sshd.
    copy = tmp_path / "repository" / "scripts"
    copy.mkdir(parents=True)
    for name in ("openssh", "debian"):
        text = (ROOT / "scripts" / name).read_text()
        (copy / name).write_text(text.replace("PATH=$PATH:/usr/sbin:/sbin", ""))
    argv = ["sh", str(copy / "openssh")]
    return subprocess.run(argv, env=bare, capture_output=True, text=True)


def test_a_missing_program_is_named_with_its_package(tmp_path: Path) -> None:
    done = run_openssh(tmp_path)
    assert done.returncode == 1
    assert "openssh-client openssh-server" in done.stderr
    assert "Missing on this machine" in done.stderr


def test_root_gets_the_packages_installed(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    done = run_openssh(tmp_path, id="echo 0", apt_get=f'echo "$@" >> {asked}')
    assert done.returncode == 0, done.stderr
    assert asked.read_text().splitlines()[0] == "update"
    assert asked.read_text().splitlines()[1].endswith("openssh-client openssh-server")


def test_a_person_without_sudo_is_told_what_to_install(tmp_path: Path) -> None:
    done = run_openssh(tmp_path, id="echo 1000", apt_get="exit 9", sudo="exit 1")
    assert done.returncode == 1
    assert "sudo apt-get install openssh-client openssh-server" in done.stderr


def test_a_failed_installation_shows_why(tmp_path: Path) -> None:
    done = run_openssh(tmp_path, id="echo 0", apt_get="echo no such mirror; exit 100")
    assert done.returncode == 1
    assert "no such mirror" in done.stderr
    assert "could not install openssh-client openssh-server" in done.stderr


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    argv = [str(uv), "build", "--wheel", "--quiet", "--out-dir", str(tmp_path), str(ROOT)]
    env = {**os.environ, "UV_NO_PROGRESS": "1"}
    done = subprocess.run(argv, capture_output=True, text=True, env=env)
    if done.returncode and "dns error" in done.stderr and os.environ.get("CI") != "true":
        pytest.skip("the build needs hatchling from the package index, which cannot be reached")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name.split("/")[0] for name in names}
    assert {i for i in inside if not i.endswith(".dist-info")} == {"turnout"}
    built = {n for n in names if n.startswith("turnout/")}
    here = {
        str(p.relative_to(ROOT / "src"))
        for p in (ROOT / "src" / "turnout").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert built == here
