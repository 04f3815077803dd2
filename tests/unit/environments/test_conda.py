"""Recipes of conda lists: what is asked, and what makes two lists the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.environments.base import EnvironmentSettings
from turnout.environments.conda import CondaEnvironment
from turnout.spec.environments import EnvironmentSpec
from turnout.spec.errors import EnvironmentSpecError

SPEC = EnvironmentSpec(
    conda=("scikit-learn=1.5", "numpy>=1.26,<3"), pip=("Idna", "toml==0.10"), python_version="3.11"
)


def recipe(spec: EnvironmentSpec = SPEC, **settings: Any):
    return CondaEnvironment().recipe(spec, EnvironmentSettings(**settings))


def asked(spec: EnvironmentSpec = SPEC, **settings: Any) -> dict[str, Any]:
    return json.loads(recipe(spec, **settings).files["request.json"])


def test_what_is_asked() -> None:
    found = asked()
    assert [(p["name"], p["version"], p["text"]) for p in found["packages"]] == [
        ("numpy", "<3,>=1.26", "numpy>=1.26,<3"),
        ("python", "3.11.*", "python=3.11"),
        ("scikit-learn", "1.5.*", "scikit-learn=1.5"),
    ]
    assert found["pip"] == ["idna", "toml==0.10"]
    assert found["texts"]["idna"] == "Idna"
    assert found["channels"] == [
        {"name": "conda-forge", "address": "https://conda.anaconda.org/conda-forge"}
    ]
    made = recipe()
    assert made.label == "Python 3.11, numpy>=1.26,<3, scikit-learn=1.5, idna, toml==0.10"
    assert made.lock[0].message == "Solving 4 packages"
    assert made.launcher == ("{prefix}/etc/turnout/launch",)


def test_a_package_of_another_channel_brings_it_last() -> None:
    spec = replace(SPEC, conda=("lab::toy", "conda-forge::numpy"), channels=("defaults",))
    found = asked(spec, channels={"lab": "/srv/lab"})
    assert [c["name"] for c in found["channels"]] == ["defaults", "conda-forge", "lab"]
    toy = next(p for p in found["packages"] if p["name"] == "toy")
    assert toy["channel"] == "file:///srv/lab"
    assert [c["name"] for c in asked(replace(SPEC, channels=("nodefaults", "x")))["channels"]] == [
        "x"
    ]


@given(st.permutations(SPEC.conda), st.permutations(SPEC.pip))
def test_the_order_of_a_list_does_not_change_its_key(conda: list[str], pip: list[str]) -> None:
    assert recipe(replace(SPEC, conda=tuple(conda), pip=tuple(pip))).key == recipe().key


def test_other_forms_of_the_same_list_have_its_key() -> None:
    same = EnvironmentSpec(
        conda=("python=3.11", "Scikit-learn=1.5.*", "numpy <3,>=1.26", "numpy>=1.26,<3"),
        pip=("toml == 0.10", "idna", "azureml-defaults"),
        channels=("https://conda.anaconda.org/conda-forge/",),
        origins={"Idna": "x.yml, line 3"},
        variables={"A": "b"},
    )
    assert recipe(same).key == recipe().key


def test_what_decides_packages_changes_the_key() -> None:
    specs = [
        replace(SPEC, conda=("scikit-learn=1.4", "numpy>=1.26,<3")),
        replace(SPEC, conda=("scikit-learn==1.5", "numpy>=1.26,<3")),
        replace(SPEC, conda=("scikit-learn=1.5=py_0", "numpy>=1.26,<3")),
        replace(SPEC, pip=("idna",)),
        replace(SPEC, python_version="3.12"),
        replace(SPEC, channels=("defaults",)),
        replace(SPEC, channels=("conda-forge", "defaults")),
        replace(SPEC, channels=("defaults", "conda-forge")),
        replace(SPEC, pip_options=("--index-url https://i.example/simple",)),
    ]
    keys = [recipe(spec).key for spec in specs]
    keys += [recipe(conda="pypi").key, recipe(pins="exact").key, recipe().key]
    keys += [recipe(index_url="https://i.example").key]
    keys += [recipe(channels={"conda-forge": "/srv/mirror"}).key]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("version", "form"),
    [
        ("3.11", "3.11.*"),
        ("3.11.7", "3.11.7.*"),
        (">=3.9,<3.12", "<3.12,>=3.9"),
        ("3.9.*", "3.9.*"),
    ],
)
def test_the_python_of_a_list(version: str, form: str) -> None:
    found = asked(replace(SPEC, python_version=version))
    assert [p["version"] for p in found["packages"] if p["name"] == "python"] == [form]


def test_wrong_settings_are_named() -> None:
    with pytest.raises(EnvironmentSpecError, match=r"environments\.conda is 'mamba'"):
        recipe(conda="mamba")
    with pytest.raises(EnvironmentSpecError, match=r"environments\.pins is 'newest'"):
        recipe(pins="newest")


def test_an_old_python_is_refused_only_where_pins_are_exact() -> None:
    old = replace(SPEC, python_version="3.6.2")
    assert recipe(old).label == "Python 3.6.2, numpy>=1.26,<3, scikit-learn=1.5, idna, toml==0.10"
    with pytest.raises(EnvironmentSpecError, match=r"'python=3\.6\.2' cannot be used"):
        recipe(old, pins="exact")


@pytest.mark.parametrize("line", ["-e .", "./x.whl", "a=1"])
def test_pip_lines_that_mean_nothing_on_a_target(line: str) -> None:
    with pytest.raises(EnvironmentSpecError):
        recipe(replace(SPEC, pip=(line,)))
