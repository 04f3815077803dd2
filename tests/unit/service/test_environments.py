"""Named environments, logins at registries and settings, against the application."""

import doctest
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from turnout.service.app import parts_of
from turnout.service.environments import config, curated, launching, named, registries
from turnout.service.runs.logic import NewRun, checked_spec
from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.spec.records import to_dict

PASSWORD = "hunter2-correct-horse"
NUMPY = {"python": {"pip": ["numpy"]}}
PANDAS = {"python": {"pip": ["pandas"]}}


@pytest.mark.parametrize("module", [named, registries, config])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


async def register(web: httpx.AsyncClient, definition: Any, **more: Any) -> httpx.Response:
    body = {"name": "sk", "definition": definition, **more}
    return await web.post("/v1/environments", json=body)


async def get(web: httpx.AsyncClient, path: str) -> Any:
    answer = await web.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


# -- names -------------------------------------------------------------------------------------


async def test_versions_count_up_and_equal_lists_share_one(web: httpx.AsyncClient) -> None:
    first, again = await register(web, NUMPY), await register(web, NUMPY)
    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json()["version"], again.json()["version"]) == ("1", "1")
    assert (await register(web, PANDAS)).json()["version"] == "2"
    # The newest counts: what an older one said is a version of its own again.
    assert (await register(web, NUMPY)).json()["version"] == "3"
    found = await get(web, "/v1/environments/sk")
    assert (found["version"], found["versions"]) == ("3", ["3", "2", "1"])
    old = await get(web, "/v1/environments/sk?version=2")
    assert old["definition"] == PANDAS
    listed = await get(web, "/v1/environments")
    names = [x["name"] for x in listed["environments"] if not x["curated"]]
    assert names == ["sk"]


async def test_a_version_that_is_asked_for(web: httpx.AsyncClient) -> None:
    assert (await register(web, NUMPY, version="2025-01")).json()["version"] == "2025-01"
    assert (await register(web, NUMPY, version="2025-01")).status_code == 200
    taken = await register(web, PANDAS, version="2025-01")
    assert taken.status_code == 409
    assert "versions never change" in taken.json()["error"]["message"]
    assert (await register(web, PANDAS)).json()["version"] == "1"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"definition": {"python": {"pipp": []}}}, "did you mean 'pip'"),
        ({"definition": {"python": {"pip": ["-r x"]}}}, "not a package requirement"),
        ({"definition": {"docker": {"enabled": True}}}, "image"),
        ({"definition": {"python": {"pip_options": [f"-i https://u:{PASSWORD}@x"]}}}, "netrc"),
        ({"definition": {"docker": {"base_image_registry": {"password": PASSWORD}}}}, "no key"),
        ({"name": "a b"}, "cannot name an environment"),
        ({"name": "scikit-learn"}, "curated"),
        ({"name": "AzureML-mine"}, "curated"),
        ({"version": "a b"}, "cannot be a version"),
    ],
)
async def test_what_cannot_be_kept(
    web: httpx.AsyncClient, change: dict[str, Any], word: str
) -> None:
    answer = await register(web, **{"definition": NUMPY, **change})
    assert 400 <= answer.status_code < 500
    assert word in answer.json()["error"]["message"]
    assert PASSWORD not in answer.text
    assert all(x["curated"] for x in (await get(web, "/v1/environments"))["environments"])


async def test_names_that_are_not_there(web: httpx.AsyncClient) -> None:
    await register(web, NUMPY)
    answer = await web.get("/v1/environments/scikit-lern")
    assert answer.status_code == 404
    assert "did you mean 'scikit-learn'" in answer.json()["error"]["message"]
    answer = await web.get("/v1/environments/sk?version=9")
    assert "it has 1" in answer.json()["error"]["message"]
    answer = await web.get("/v1/environments/scikit-learn?version=9")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("AzureML-Minimal", "minimal"),
        ("AzureML-Tutorial", "scikit-learn"),
        ("AzureML-Scikit-learn-0.20.3", "scikit-learn"),
        ("AzureML-sklearn-0.24-ubuntu18.04-py37-cpu", "scikit-learn"),
        ("AzureML-PyTorch-1.6-CPU", "pytorch-cpu"),
        ("AzureML-pytorch-1.10-ubuntu18.04-py38-cuda11-gpu", "pytorch-cpu"),
        ("AzureML-lightgbm-3.2-ubuntu18.04-py37-cpu", "xgboost-lightgbm"),
        ("AzureML-xgboost-0.9-ubuntu18.04-py37-cpu-inference", "xgboost-lightgbm"),
    ],
)
async def test_v1s_curated_names(web: httpx.AsyncClient, name: str, ours: str) -> None:
    found = await get(web, f"/v1/environments/{name}?version=17")
    assert (found["name"], found["curated"]) == (name, True)
    assert found["definition"] == (await get(web, f"/v1/environments/{ours}"))["definition"]


async def test_families_that_are_not_there(web: httpx.AsyncClient) -> None:
    answer = await web.get("/v1/environments/AzureML-TensorFlow-2.2-CPU")
    assert answer.status_code == 404
    assert "pytorch-cpu" in answer.json()["error"]["message"]


def test_curated_environments_are_sound() -> None:
    assert {"scikit-learn", "pytorch-cpu", "xgboost-lightgbm"} <= set(curated.CURATED)
    for found in curated.CURATED.values():
        assert found.definition.to_spec().pip == found.pip
        assert found.description


# -- registries --------------------------------------------------------------------------------


async def log_in(web: httpx.AsyncClient, **change: Any) -> httpx.Response:
    body = {"address": "r.example.org", "username": "ana", "password": PASSWORD, **change}
    return await web.post("/v1/registries", json=body)


async def test_passwords_are_sealed_and_never_shown(app: FastAPI, web: httpx.AsyncClient) -> None:
    answer = await log_in(web, address="https://R.example.org/v2/")
    assert answer.status_code == 201
    listed = await web.get("/v1/registries")
    assert [(x["address"], x["username"]) for x in listed.json()["registries"]] == [
        ("r.example.org", "ana")
    ]
    assert PASSWORD not in answer.text + listed.text
    parts = parts_of(app)
    for path in parts.settings.home.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path
    spec = EnvironmentSpec(container=ContainerSpec(image="r.example.org/team/base:1"))
    vault = parts.pool.vault
    assert await registries.password_for(parts.db, vault, spec) == PASSWORD
    await log_in(web, username="bo", password="other")
    assert len((await web.get("/v1/registries")).json()["registries"]) == 1
    assert await registries.password_for(parts.db, vault, spec) == "other"
    assert (await web.delete("/v1/registries/r.example.org")).status_code == 204
    assert await registries.password_for(parts.db, vault, spec) is None
    assert (await web.delete("/v1/registries/r.example.org")).status_code == 404


@pytest.mark.parametrize(
    ("container", "found"),
    [
        (ContainerSpec(image="r.example.org/base"), True),
        (ContainerSpec(image="base", registry="r.example.org"), True),
        (ContainerSpec(image="base", registry="https://R.example.org/"), True),
        (ContainerSpec(image="r.example.org/base", registry_username="ana"), True),
        (ContainerSpec(image="r.example.org/base", registry_username="bo"), False),
        (ContainerSpec(image="r.example.org.evil.org/base"), False),
        (ContainerSpec(image="python:3.12"), False),
        (ContainerSpec(dockerfile="# x\nfrom --platform=a r.example.org/base AS b\n"), True),
        (ContainerSpec(dockerfile="ARG X\nFROM ${X}\nFROM python\n"), False),
    ],
)
async def test_a_password_goes_to_its_registry_alone(
    app: FastAPI, web: httpx.AsyncClient, container: ContainerSpec, found: bool
) -> None:
    await log_in(web)
    parts = parts_of(app)
    spec = EnvironmentSpec(container=container)
    ready = await launching.prepare(parts.db, parts.pool.vault, spec)
    assert (ready.password is not None) is found
    if found:
        assert ready.spec.container is not None
        assert ready.spec.container.registry_username == "ana"
        assert PASSWORD not in repr(ready)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"address": "-oProxy"}, "address"),
        ({"address": "a b"}, "address"),
        ({"username": " "}, "user name"),
        ({"password": ""}, "password"),
        ({"pasword": "x"}, "pasword"),
    ],
)
async def test_bad_logins(web: httpx.AsyncClient, change: dict[str, Any], word: str) -> None:
    answer = await log_in(web, **change)
    assert 400 <= answer.status_code < 500
    assert word in answer.json()["error"]["message"]
    assert PASSWORD not in answer.text


# -- settings ----------------------------------------------------------------------------------


async def put(web: httpx.AsyncClient, key: str, value: str) -> httpx.Response:
    return await web.put(f"/v1/config/environments.{key}", json={"value": value})


async def settings(web: httpx.AsyncClient) -> dict[str, Any]:
    return {x["key"]: x for x in (await get(web, "/v1/config"))["settings"]}


async def test_settings_have_defaults_and_can_be_changed(
    app: FastAPI, web: httpx.AsyncClient
) -> None:
    db = parts_of(app).db
    before = await config.environments(db)
    assert before == config.EnvironmentConfig(
        "auto", {}, ("conda-forge",), "nearest", True, "python:3.11-slim", 30
    )
    for key, value in (
        ("conda", "PyPI"),
        ("channels", "team, https://x.org/more"),
        ("channel.team", "/srv/team"),
        ("pins", "exact"),
        ("eras", "off"),
        ("base_image", ""),
        ("keep_days", "7"),
    ):
        assert (await put(web, key, value)).status_code == 200
    assert await config.environments(db) == config.EnvironmentConfig(
        "pypi", {"team": "/srv/team"}, ("team", "https://x.org/more"), "exact", False, "", 7
    )
    assert (await config.environments(db)).for_recipes() == {
        "conda": "pypi",
        "channels": {"team": "/srv/team"},
        "default_channels": ("team", "https://x.org/more"),
        "pins": "exact",
    }
    found = await settings(web)
    assert found["environments.channel.team"]["value"] == "/srv/team"
    assert found["environments.eras"]["is_set"]
    for key in found:
        assert (await web.delete(f"/v1/config/{key}")).status_code in (204, 404)
    assert await config.environments(db) == before


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("conda", "codna", "did you mean 'conda'"),
        ("cnda", "pypi", "did you mean 'environments.conda'"),
        ("pins", "", "one of nearest, exact"),
        ("eras", "maybe", "on or off"),
        ("keep_days", "-1", "whole number"),
        ("channels", "", "commas"),
        ("channels", "a b", "address"),
        ("channel.x", f"https://u:{PASSWORD}@x", "netrc"),
        ("channel.x", "relative", "whole path"),
        ("channel.", "/a", "no setting"),
        ("channel.<name>", "/a", "no setting"),
        ("base_image", "-x", "image"),
    ],
)
async def test_what_cannot_be_set(web: httpx.AsyncClient, key: str, value: str, word: str) -> None:
    before = await settings(web)
    answer = await put(web, key, value)
    assert 400 <= answer.status_code < 500
    assert word in answer.json()["error"]["message"]
    assert PASSWORD not in answer.text
    assert await settings(web) == before


async def test_azures_images_are_replaced_with_a_note(
    app: FastAPI, web: httpx.AsyncClient
) -> None:
    parts = parts_of(app)
    spec = EnvironmentSpec(
        container=ContainerSpec(image="azureml/base:0.2.0", registry="mcr.microsoft.com")
    )

    async def launch(asked: EnvironmentSpec) -> launching.Launching:
        return await launching.prepare(parts.db, parts.pool.vault, asked)

    ready = await launch(spec)
    assert ready.spec.container == ContainerSpec(image="python:3.11-slim")
    assert "azureml/base:0.2.0" in ready.notes[0]
    await put(web, "base_image", "r.example.org/base")
    assert (await launch(spec)).spec.container == ContainerSpec(image="r.example.org/base")
    await put(web, "base_image", "")
    assert (await launch(spec)).spec == spec
    own = EnvironmentSpec(container=ContainerSpec(image="python:3.12"))
    await put(web, "eras", "off")
    ready = await launch(own)
    assert (ready.spec.container, ready.spec.eras, ready.notes) == (own.container, False, ())


def test_a_run_that_only_prepares_is_taken() -> None:
    spec = {"prepare_only": True, "environment": {"pip": ["idna"]}}
    found = checked_spec(NewRun("k" * 16, "environments", spec))
    assert found is not None
    assert to_dict(found) == spec


async def test_names_that_are_registered_at_once_on_a_server(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A database server lets two writers read the same newest version; the second one is refused.
    real = named.versions
    stale = [True, True]

    async def versions(session: Any, name: str) -> list[str]:
        return [] if stale and stale.pop() else await real(session, name)

    db = parts_of(app).db
    await named.register(db, named.NewEnvironment("sk", NUMPY))
    monkeypatch.setattr(named, "versions", versions)
    found, is_new = await named.register(db, named.NewEnvironment("sk", PANDAS))
    assert (found["version"], is_new) == ("2", True)
