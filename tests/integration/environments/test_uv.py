"""Recipes carried out by the real uv, with a folder of wheels as the only package source."""

from __future__ import annotations

import os
import platform
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from turnout.environments import registry, tools
from turnout.environments.base import EnvironmentSettings, Recipe
from turnout.environments.failures import explain
from turnout.spec.environments import EnvironmentSpec

Build = Callable[..., tuple[int, str]]


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with `greeting` 1.0 as a wheel and `broken` 1.0 as sources that do not build."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "greeting-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("greeting.py", "WORD = 'hello'\n")
        info = "greeting-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{info}/RECORD", "greeting.py,,\n")
    source = tmp_path / "broken-1.0"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "backend.py").write_text("raise RuntimeError('needs libfoo')\n")
    with tarfile.open(folder / "broken-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, "broken-1.0")
    return folder


@pytest.fixture
async def build(tmp_path: Path, wheels: Path) -> Build:
    libc = " ".join(platform.libc_ver()) if platform.libc_ver()[0] else "musl"
    uv = await tools.tool("uv", platform.machine(), libc, tmp_path / "home")

    def run(recipe: Recipe) -> tuple[int, str]:
        """Do what a supervisor does with the recipe: (exit code, log)."""
        prefix, files = tmp_path / "prefix", tmp_path / "files"
        files.mkdir(exist_ok=True)
        for name, text in recipe.files.items():
            (files / name).write_text(text)
        places = {"{prefix}": str(prefix), "{files}": str(files), "{uv}": str(uv.path)}
        home = tmp_path / "person"
        environ = {
            **{"PATH": os.environ["PATH"], "HOME": str(home), "UV_CACHE_DIR": str(home / "uv")},
            **{"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "UV_HTTP_RETRIES": "0"},
            **{"PIP_FIND_LINKS": str(wheels), "UV_PYTHON_DOWNLOADS": "never"},
        }
        log = ""
        for step in recipe.steps:
            argv = [replace_all(word, places) for word in step.argv]
            done = subprocess.run(
                argv,
                env={**environ, **step.env},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=tmp_path,
            )
            log += done.stdout
            if done.returncode:
                return done.returncode, log
        return 0, log

    return run


def replace_all(word: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        word = word.replace(name, value)
    return word


def recipe(*pip: str, python: str | None = None) -> Recipe:
    spec = EnvironmentSpec(pip=pip, python_version=python)
    return registry.recipe(spec, EnvironmentSettings())


def test_builds_from_the_sources_of_pip(build: Build, tmp_path: Path) -> None:
    code, log = build(recipe("Greeting >= 1", "azureml-defaults"))
    assert code == 0, log
    done = subprocess.run(
        [tmp_path / "prefix/bin/python", "-c", "import greeting; print(greeting.WORD)"],
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"hello\n"
    assert list((tmp_path / "prefix").rglob("greeting.*.pyc"))


def test_folder_with_a_project_changes_nothing(build: Build, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=4"\n'
    )
    code, log = build(recipe("greeting"))
    assert code == 0, log


def test_package_that_does_not_exist(build: Build) -> None:
    code, log = build(recipe("greetings"))
    assert code != 0
    assert "'greetings'" in explain(log), log


def test_version_that_does_not_exist(build: Build) -> None:
    code, log = build(recipe("greeting==2.0"))
    assert code != 0
    assert "greeting==2.0" in explain(log), log


def test_package_that_does_not_build(build: Build) -> None:
    code, log = build(recipe("broken"))
    assert code != 0
    text = explain(log)
    assert "broken" in text, log
    assert "RuntimeError: needs libfoo" in text, log


def test_python_that_is_not_there(build: Build) -> None:
    code, log = build(recipe("greeting", python="3.99"))
    assert code != 0
    assert explain(log).startswith("Python 3.99 is not on the target. It has 3."), log
