"""Recipes of environments in containers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.environments import registry
from turnout.environments.base import Recipe
from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.spec.errors import EnvironmentSpecError


def recipe(*pip: str, managed: bool = False, interpreter: str = "python", **more: Any) -> Recipe:
    more = more if "dockerfile" in more else {"image": "python:3.12", **more}
    spec = EnvironmentSpec(
        pip=pip, user_managed=managed, interpreter=interpreter, container=ContainerSpec(**more)
    )
    return registry.recipe(spec)


def test_packages_in_an_image() -> None:
    made = recipe("scikit-learn", "azureml-defaults")
    asked = json.loads(made.files["request.json"])
    assert asked["program"] == "pip"
    assert asked["asked"]["pip"] == ["scikit-learn"]
    assert asked["container"]["image"] == "python:3.12"
    assert made.label == "python:3.12, scikit-learn"
    assert made.argv_prefix == ("/opt/turnout/environment/bin/python",)
    assert made.launcher[4:6] == ("container", "run")
    assert made.launcher[-1] == "--"


def test_python_of_the_image() -> None:
    assert recipe(managed=True).argv_prefix[:2] == ("/bin/sh", "-c")
    made = recipe(managed=True, interpreter="/opt/conda/bin/python")
    assert made.argv_prefix == ("/opt/conda/bin/python",)
    assert made.env == {}


def test_how_it_is_run_decides_nothing_about_the_image() -> None:
    one = recipe("a")
    two = recipe("a", memory="64 MB", cpus=2, arguments=("-v", "/a:/b"), gpus=True, network="none")
    assert one.key == two.key
    assert json.loads(two.launcher[-2]) == {
        **{"memory": "64M", "cpus": 2, "arguments": ["-v", "/a:/b"], "gpus": True},
        "network": "none",
    }


def test_what_it_is_made_of_decides() -> None:
    made = [
        recipe("a"),
        recipe("b"),
        recipe("a", image="python:3.13"),
        recipe("a", system_packages=("libgl1",)),
        recipe("a", dockerfile="FROM python:3.12"),
        recipe(managed=True),
    ]
    assert len({r.key for r in made}) == len(made)


@pytest.mark.parametrize(
    "argument", ["--name=x", "--pid=host", "--pid", "--entrypoint=sh", "-a", "--pull=always"]
)
def test_arguments_that_cannot_be(argument: str) -> None:
    with pytest.raises(EnvironmentSpecError, match=f"'{argument}' cannot be used"):
        recipe("a", arguments=(argument, "x"))


def test_arguments_that_are_granted_anyway() -> None:
    made = recipe("a", arguments=("--init", "--rm", "-d", "-v", "/a:/b"))
    assert json.loads(made.launcher[-2]) == {"arguments": ["-v", "/a:/b"]}


def test_conda_list_in_an_image() -> None:
    spec = EnvironmentSpec(conda=("scipy",), container=ContainerSpec(image="python:3.12"))
    made = registry.recipe(spec)
    asked = json.loads(made.files["request.json"])
    assert asked["program"] == "conda"
    assert [p["name"] for p in asked["asked"]["packages"]] == ["scipy"]
    assert made.env == {"CONDA_PREFIX": "/opt/turnout/environment"}
    assert made.launcher[-2:] == ("--", "/opt/turnout/environment/etc/turnout/launch")
    assert made.isolated
