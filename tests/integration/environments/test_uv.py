"""Recipes carried out by the real uv, with a folder of wheels as the only package source."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from turnout.environments import registry
from turnout.environments.base import EnvironmentSettings, Recipe
from turnout.environments.failures import explain
from turnout.payload import prefixes, rundir
from turnout.payload.logs import Log
from turnout.payload.recipes import PrepareError
from turnout.spec.environments import EnvironmentSpec
from turnout.testing.building import Building
from turnout.testing.wheels import add_wheel


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with `greeting` 1.0 as a wheel and `broken` 1.0 as sources that do not build."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    add_wheel(folder, "greeting", "1.0", "WORD = 'hello'\n")
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
def building(tmp_path: Path, wheels: Path) -> Building:
    home = tmp_path / "person"
    return Building(
        tmp_path / "host",
        {
            **{"PATH": os.environ["PATH"], "HOME": str(home), "UV_CACHE_DIR": str(home / "uv")},
            **{"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "UV_HTTP_RETRIES": "0"},
            **{"PIP_FIND_LINKS": str(wheels), "UV_PYTHON_DOWNLOADS": "never"},
        },
    )


def recipe(*pip: str, python: str | None = None, pins: str = "nearest") -> Recipe:
    spec = EnvironmentSpec(pip=pip, python_version=python)
    return registry.recipe(spec, EnvironmentSettings(pins=pins))


async def failure(building: Building, made: Recipe) -> str:
    """What a person reads of a build that fails."""
    with pytest.raises(PrepareError) as caught:
        await building.ensure(made)
    return explain(str(caught.value)) or str(caught.value)


async def test_builds_from_the_sources_of_pip(building: Building) -> None:
    made = await building.ensure(recipe("Greeting >= 1", "azureml-defaults"))
    python = made.argv_prefix[0]
    code = "import greeting, os; print(greeting.WORD, os.path.exists(greeting.__cached__))"
    assert building.execute([python, "-B", "-c", code], {}, Log(str(building.path))) == 0
    assert building.log.endswith("hello True\n")
    lock = rundir.read_json(made.lock)
    assert lock["requirements"] == ["greeting==1.0"]
    assert lock["python"]["version"].startswith("3.")
    assert made.notes == []
    assert "azureml-defaults: part of Turnout" in building.log


async def test_requests_that_come_to_the_same_lock_share_an_environment(
    building: Building,
) -> None:
    one = await building.ensure(recipe("greeting"))
    two = await building.ensure(recipe("greeting==1.0"))
    assert one.argv_prefix == two.argv_prefix
    assert "An equal environment is there already" in building.log
    assert len(prefixes.known(str(building.root))) == 1


async def test_the_same_version_from_elsewhere_is_another_environment(
    building: Building, tmp_path: Path
) -> None:
    one = await building.ensure(recipe("greeting"))
    add_wheel(tmp_path / "other", "greeting", "1.0", "WORD = 'other'\n")
    building.environ["PIP_FIND_LINKS"] = str(tmp_path / "other")
    two = await building.ensure(recipe("greeting>=1"))
    assert one.argv_prefix != two.argv_prefix


async def test_folder_with_a_project_changes_nothing(building: Building) -> None:
    (building.root / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=4"\n'
    )
    await building.ensure(recipe("greeting"))


async def test_package_that_does_not_exist(building: Building) -> None:
    assert "'greetings'" in await failure(building, recipe("greetings"))


async def test_version_that_does_not_exist(building: Building) -> None:
    assert "greeting==2.0" in await failure(building, recipe("greeting==2.0"))


async def test_package_that_does_not_build(building: Building) -> None:
    for line in ("broken", "broken==1.0"):
        text = await failure(building, recipe(line))
        assert "broken" in text
        assert "RuntimeError: needs libfoo" in text


async def test_a_build_that_says_much_before_it_fails(building: Building, wheels: Path) -> None:
    """The package and the error are named, although a screen of words lies between them."""
    source = building.root / "noisy-1.0"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "backend.py").write_text(
        "import sys\nprint('\\n'.join(f'compiling {n}' for n in range(300)), file=sys.stderr)\n"
        "print('x.c:3: error: no libfoo', file=sys.stderr)\n"
        "print('\\n'.join(f'note {n}' for n in range(30)), file=sys.stderr)\nsys.exit(1)\n"
    )
    with tarfile.open(wheels / "noisy-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, "noisy-1.0")
    for line in ("noisy", "noisy==1.0"):
        text = await failure(building, recipe(line))
        assert "noisy" in text.splitlines()[0]
        assert "no libfoo" in text.splitlines()[0]


async def test_python_that_is_not_there(building: Building) -> None:
    text = await failure(building, recipe("greeting", python="3.99"))
    assert text.startswith("Python 3.99 is not on the target and could not be downloaded.")
    assert "It has 3." in text


async def test_an_impossible_pin_gives_way_to_the_nearest_newer(
    building: Building, wheels: Path
) -> None:
    for version in ("1.5", "2.0"):
        add_wheel(wheels, "greeting", version, "WORD = 'newer'\n")
    made = await building.ensure(recipe("greeting==1.2"))
    (note,) = made.notes
    assert note.startswith("'greeting==1.2' cannot be had")
    assert "greeting==1.5, the nearest newer" in note
    # Whoever uses it later is told as well.
    assert (await building.ensure(recipe("greeting==1.2"))).notes == [note]
    assert "greeting==1.2" in await failure(building, recipe("greeting==1.2", pins="exact"))


async def test_a_pin_without_a_wheel_that_does_not_build_gives_way(
    building: Building, wheels: Path
) -> None:
    add_wheel(wheels, "broken", "1.1", "")
    made = await building.ensure(recipe("broken==1.0"))
    assert "broken==1.1, the nearest newer" in made.notes[0]


async def test_a_range_of_pythons(building: Building) -> None:
    made = await building.ensure(recipe("greeting", python=">=3.6,<4"))
    assert made.notes == []
    assert await failure(building, recipe("greeting", python=">=3.98"))


async def test_an_old_python_gives_way_to_the_nearest_newer(building: Building) -> None:
    made = await building.ensure(recipe("greeting", python="3.6.2"))
    assert made.notes[0].startswith("Python 3.6.2 cannot be had here; Python 3.")
    assert await failure(building, recipe("greeting", python="3.6.2", pins="exact"))
