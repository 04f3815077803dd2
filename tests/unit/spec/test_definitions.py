"""What a name stands for, and where packages may come from."""

import dataclasses
import doctest
from typing import Any

import pytest

from turnout.spec import definitions, sources
from turnout.spec.definitions import DockerDefinition, EnvironmentDefinition, PythonDefinition
from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.spec.errors import EnvironmentSpecError, UserError
from turnout.spec.records import from_dict, to_dict
from turnout.spec.runs import RunSpec

SPEC = EnvironmentSpec(
    python_version="3.11",
    pip=("idna==3.7",),
    pip_options=("--pre", "--find-links=https://x.org/wheels"),
    conda=("numpy",),
    channels=("conda-forge",),
    container=ContainerSpec(
        image="team/base:1", registry="r.org", registry_username="ana", arguments=("--init",),
        shm_size="1g", memory="4g", cpus=1.5, network="none", system_packages=("libgl1",),
    ),
    variables={"A": "1"},
    eras=False,
)  # fmt: skip


@pytest.mark.parametrize("module", [definitions, sources])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        EnvironmentSpec(),
        EnvironmentSpec(user_managed=True, interpreter="/opt/python"),
        EnvironmentSpec(container=ContainerSpec(dockerfile="FROM x\n")),
    ],
)
def test_a_definition_says_what_its_spec_says(spec: EnvironmentSpec) -> None:
    definition = definitions.from_spec(spec)
    kept = from_dict(EnvironmentDefinition, to_dict(definition))
    assert kept == definition
    assert kept.to_spec() == spec


def test_a_dockerfile_beats_the_default_image_only() -> None:
    both = DockerDefinition(
        enabled=True, base_image="azureml/base:0.2", base_dockerfile="FROM x\n"
    )
    assert both.to_spec() == ContainerSpec(dockerfile="FROM x\n")
    own = dataclasses.replace(both, base_image="python:3.12")
    with pytest.raises(EnvironmentSpecError, match="one of the two"):
        EnvironmentDefinition(docker=own).to_spec()


@pytest.mark.parametrize(
    ("image", "is_v1s"),
    [
        ("azureml/base:0.2.0", True),
        ("mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:20210513.v1", True),
        ("mcr.microsoft.com/azureml-samples/x", True),
        ("mcr.microsoft.com/devcontainers/python", False),
        ("registry.example.org/azureml/base", False),
        ("python:3.12", False),
    ],
)
def test_azures_images(image: str, is_v1s: bool) -> None:
    assert bool(definitions.V1_IMAGE.fullmatch(image)) is is_v1s


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("--index-url  https://x/simple ", "--index-url=https://x/simple"),
        ("-f https://x", "--find-links=https://x"),
        ("--find-links /wheels", "--find-links=/wheels"),
        ("--pre", "--pre"),
        ("--extra-index-url = https://x", "--extra-index-url=https://x"),
        ("--trusted-host x:8080", "--trusted-host=x:8080"),
    ],
)
def test_pip_options(given: str, normal: str) -> None:
    assert sources.normal_option(given) == normal
    assert sources.normal_option(normal) == normal


SECRET = "hunter2"


@pytest.mark.parametrize(
    "change",
    [
        {"pip_options": (f"--index-url https://ana:{SECRET}@x/simple",)},
        {"pip_options": (f"--index-url https://{SECRET}@x/simple",)},
        {"pip": (f"idna @ git+https://{SECRET}@github.com/a/b",)},
        {"pip": (f"idna @ git+ssh://git:{SECRET}@github.com/a/b",)},
        {"channels": (f"https://x.org/t/{SECRET}/main",)},
        {"conda": (f"https://ana:{SECRET}@x.org/main::numpy",)},
    ],
)
def test_passwords_in_addresses_are_refused_and_not_repeated(change: dict[str, Any]) -> None:
    with pytest.raises(EnvironmentSpecError, match="netrc") as caught:
        dataclasses.replace(SPEC, **change).check()
    assert SECRET not in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"pip": ("idna @ git+ssh://git@github.com/a/b",)},
        {"pip": ("idna @ git+https://github.com/a/b@main",)},
        {"channels": ("file:///srv/channel", "https://x.org/team")},
    ],
)
def test_other_addresses_are_not(change: dict[str, Any]) -> None:
    dataclasses.replace(SPEC, **change).check()


@pytest.mark.parametrize("option", ["--no-deps", "-r x", "--find-links wheels", "--pre x", "x"])
def test_options_that_mean_nothing_there(option: str) -> None:
    with pytest.raises(EnvironmentSpecError):
        dataclasses.replace(SPEC, pip_options=(option,)).check()


def test_user_managed_definitions_keep_their_packages() -> None:
    definition = EnvironmentDefinition(
        python=PythonDefinition(user_managed_dependencies=True, pip=("idna",))
    )
    assert definition.to_spec().pip == ()
    assert from_dict(EnvironmentDefinition, to_dict(definition)).python.pip == ("idna",)


def test_a_run_that_only_prepares() -> None:
    RunSpec(prepare_only=True).check()
    for wrong in (RunSpec(script="a.py", prepare_only=True), RunSpec()):
        with pytest.raises(UserError, match="script"):
            wrong.check()
