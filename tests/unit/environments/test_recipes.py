"""What recipes say, and when two of them are the same environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from turnout.environments import registry
from turnout.environments.base import EnvironmentSettings, Recipe
from turnout.spec.environments import EnvironmentSpec
from turnout.spec.errors import EnvironmentSpecError


def pip(*lines: str, python: str | None = None) -> Recipe:
    return registry.recipe(EnvironmentSpec(pip=lines, python_version=python))


def test_uv_recipe() -> None:
    recipe = pip("scikit-learn", "azureml-defaults", python="3.11")
    data = json.loads(json.dumps(recipe.to_dict({"uv": "00ff"})))
    assert data["tools"] == {"uv": "00ff"}
    assert json.loads(data["files"]["request.json"]) == {
        "python": "3.11",
        "pip": ["scikit-learn"],
        "options": [],
        "pins": "nearest",
    }
    assert data["label"] == "Python 3.11, scikit-learn"
    (lock,) = data["lock"]
    assert lock["argv"][-5:] == ["pip", "lock", "{files}", "{uv}", "{root}"]
    assert lock["message"].startswith("Resolving 1 package (azureml-defaults: part of Turnout")
    (build,) = data["build"]
    assert build["argv"][-4:] == ["{files}", "{uv}", "{root}", "{prefix}"]
    assert data["activation"]["argv_prefix"] == ["{prefix}/bin/python"]


def test_same_key() -> None:
    assert pip("a", "b>=1, <2").key == pip("B<2,>=1", "a", "A", "azureml-sdk").key


def test_other_key() -> None:
    settings = EnvironmentSettings(index_url="https://index.example/simple")
    with_index = registry.recipe(EnvironmentSpec(pip=("a",)), settings)
    keys = [pip("a").key, pip("a==1").key, pip("b").key, pip("a", python="3.11").key]
    keys.append(with_index.key)
    assert len(set(keys)) == len(keys)
    assert all(len(key or "") == 64 for key in keys)


def test_variables_do_not_change_the_key() -> None:
    spec = EnvironmentSpec(pip=("a",), variables={"SEED": "1"})
    assert registry.recipe(spec).key == pip("a").key


def test_settings_reach_every_step() -> None:
    settings = EnvironmentSettings(
        index_url="https://one.example",
        extra_index_urls=("https://two.example", "https://three.example"),
        find_links=("/a", "/b"),
        variables={"SSL_CERT_FILE": "/ca.pem"},
    )
    recipe = registry.recipe(EnvironmentSpec(pip=("a",)), settings)
    for step in (*recipe.lock, *recipe.build):
        assert step.env["UV_DEFAULT_INDEX"] == "https://one.example"
        assert step.env["UV_INDEX"] == "https://two.example https://three.example"
        assert step.env["UV_FIND_LINKS"] == "/a,/b"
        assert step.env["SSL_CERT_FILE"] == "/ca.pem"


def test_settings_from_environment_leave_tokens_out() -> None:
    found = EnvironmentSettings(pins="exact").with_variables_of(
        {
            "PIP_INDEX_URL": "https://one.example",
            "PIP_EXTRA_INDEX_URL": "a b",
            "PIP_FIND_LINKS": "/w",
            "UV_PUBLISH_TOKEN": "secret",
            "UV_PYTHON_DOWNLOADS": "never",
            "SSL_CERT_FILE": "/ca.pem",
        }
    )
    assert found == EnvironmentSettings(
        "https://one.example",
        ("a", "b"),
        ("/w",),
        {"UV_PYTHON_DOWNLOADS": "never", "SSL_CERT_FILE": "/ca.pem"},
        pins="exact",
    )


@pytest.mark.parametrize(
    "version", ["2.7", "3", "three", "3.11.x", ">=2.7", ">=3.8 or so", "-3.8"]
)
def test_bad_python_versions(version: str) -> None:
    with pytest.raises(EnvironmentSpecError):
        pip(python=version)


def test_a_range_of_pythons() -> None:
    recipe = pip("a", python=">= 3.9, <3.12")
    assert json.loads(recipe.files["request.json"])["python"] == ">=3.9,<3.12"
    assert recipe.label == "Python>=3.9,<3.12, a"


def test_options_of_pip_are_one_word_each() -> None:
    spec = EnvironmentSpec(pip=("a",), pip_options=("--index-url https://pypi.example", "--pre"))
    asked = json.loads(registry.recipe(spec).files["request.json"])
    assert asked["options"] == ["--index-url=https://pypi.example", "--pre"]


def test_bad_requirement_is_found_before_anything_starts() -> None:
    with pytest.raises(EnvironmentSpecError, match="pandas=1"):
        pip("pandas=1")


def managed(interpreter: str) -> Recipe:
    return registry.recipe(EnvironmentSpec(user_managed=True, interpreter=interpreter))


def test_user_managed_path() -> None:
    recipe = managed("/opt/my python/bin/python")
    assert recipe.key is None
    assert (recipe.lock, recipe.build) == ((), ())
    assert recipe.tools == ()
    assert recipe.argv_prefix == ("/opt/my python/bin/python",)


@pytest.mark.parametrize("name", ["python", ""])
@pytest.mark.parametrize("there", ["python", "python3"])
def test_user_managed_finds_a_python(tmp_path: Path, name: str, there: str) -> None:
    fake = tmp_path / there
    fake.write_text('#!/bin/sh\necho "$# $1 $2"\n')
    fake.chmod(0o755)
    done = subprocess.run(
        [*managed(name).argv_prefix, "a b", "c"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2 a b c\n"


def test_user_managed_in_the_home_folder(tmp_path: Path) -> None:
    fake = tmp_path / "my env" / "python"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$1"\n')
    fake.chmod(0o755)
    argv = [*managed("~/my env/python").argv_prefix, "train.py"]
    done = subprocess.run(argv, env={"HOME": str(tmp_path)}, capture_output=True, check=True)
    assert done.stdout == b"train.py\n"


def test_a_login_of_this_machine_is_not_written_down() -> None:
    address = "https://ana:hunter2@pypi.example.org/simple"
    settings = EnvironmentSettings(
        index_url=address, extra_index_urls=("https://plain.example.org", address)
    )
    for spec in (EnvironmentSpec(pip=("idna",)), EnvironmentSpec(conda=("idna",))):
        made = registry.recipe(spec, settings)
        assert "hunter2" not in json.dumps(made.to_dict())
        assert made.key != registry.recipe(spec, EnvironmentSettings()).key
