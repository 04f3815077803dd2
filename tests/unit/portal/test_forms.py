"""Forms come from configurations: also from those of kinds that nobody here knows."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any, ClassVar, Literal, Optional

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from turnout.portal import forms
from turnout.spec.errors import ConfigurationError
from turnout.spec.secrets import Secret
from turnout.spec.targets import Capabilities, Problem
from turnout.targets import registry
from turnout.targets.cluster import ClusterConfig
from turnout.targets.slurm import SlurmConfig
from turnout.targets.ssh import SSHConfig
from turnout.targets.supervised import SupervisedTarget


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class MoonConfig(BaseModel):
    """What a kind of another package might ask for, without a thought of forms."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    crater: str
    depth: int = 3
    tilt: float | None = None
    phase: Literal["full", "new"] = "full"
    level: Literal[1, 2] = 1
    colour: Optional[Colour] = None  # noqa: UP045 - as others write it
    lit: bool = True
    labels: list[str] = Field(default_factory=list[str])
    options: dict[str, Any] = Field(default_factory=dict[str, Any])
    token: Secret | None = None

    @field_validator("token", mode="before")
    @classmethod
    def hide(cls, value: object) -> object:
        return Secret(value) if isinstance(value, str) else value


class MoonTarget(SupervisedTarget[MoonConfig]):
    """Runs on the <moon>."""

    kind: ClassVar[str] = "moon"
    v1_type: ClassVar[str] = "Moon"
    config_model: ClassVar[type[BaseModel]] = MoonConfig
    capabilities: ClassVar[Capabilities] = Capabilities(gpu=True)

    @property
    def root(self) -> str:
        return "/moon"

    def make_host(self) -> Any:
        raise NotImplementedError

    async def check(self) -> Sequence[Problem]:
        if self.config.crater == "Tycho":
            return []
        return [Problem("cold", f"{self.config.crater} is <cold>.", "Try `Tycho`.")]


FIELDS = forms.fields_of(MoonConfig)


def read(**given: str) -> dict[str, Any]:
    return forms.read(FIELDS, {f"config.{name}": text for name, text in given.items()})


@pytest.mark.parametrize(
    ("name", "widget", "default"),
    [
        ("crater", "text", ""),
        ("depth", "number", "3"),
        ("tilt", "number", ""),
        ("phase", "choice", "full"),
        ("level", "choice", "1"),
        ("colour", "choice", ""),
        ("lit", "check", "true"),
        ("labels", "lines", ""),
        ("options", "json", ""),
        ("token", "secret", ""),
    ],
)
def test_what_a_field_is_shown_as(name: str, widget: str, default: str) -> None:
    found = next(f for f in FIELDS if f.name == name)
    assert (found.widget, found.default) == (widget, default)
    assert found.title == name.capitalize()


def test_what_a_form_says() -> None:
    assert read() == {"lit": False}
    assert read(crater="  Tycho ", lit="true", depth="", token=" a b ") == {
        "crater": "Tycho",
        "lit": True,
        "token": " a b ",
    }
    found = read(level="2", labels="a\r\n\r\n b ", options='{"x": 1}', colour="red", tilt="0.5")
    assert found == {
        "level": 2,
        "labels": ["a", "b"],
        "options": {"x": 1},
        "colour": "red",
        "tilt": "0.5",
        "lit": False,
    }
    checked = MoonConfig.model_validate({"crater": "x", **found})
    assert (checked.level, checked.colour, checked.tilt) == (2, Colour.RED, 0.5)
    with pytest.raises(ConfigurationError) as caught:
        read(options="{")
    assert caught.value.fields["options"].startswith("This is no JSON")


def test_stored_values_are_shown_without_secrets() -> None:
    config = {"labels": ["a", "b"], "lit": False, "depth": 4, "options": {"x": 1}, "token": "no"}
    shown = forms.values(FIELDS, config)
    assert shown == {
        "labels": "a\nb",
        "lit": "",
        "depth": "4",
        "options": '{"x": 1}',
        "token": "",
    }
    typed = forms.typed(FIELDS, {"config.token": "no", "config.depth": "many"})
    assert typed["depth"] == "many"
    assert "token" not in typed


@pytest.mark.parametrize("model", [SSHConfig, SlurmConfig, ClusterConfig])
def test_our_own_fields_say_what_they_are(model: type[BaseModel]) -> None:
    for field in forms.fields_of(model):
        assert field.hint, field.name
        assert field.widget != "json", field.name
    names = {f.name: f for f in forms.fields_of(model)}
    if issubclass(model, SSHConfig):
        assert names["private_key"].widget == "secret_text"
        assert names["password"].is_secret
        assert names["host_key"].is_hidden
        assert names["agent"].widget == "check"
        key = forms.read([names["private_key"]], {"config.private_key": " a\r\nb\r\n "})
        assert key == {"private_key": "a\nb\n"}


@pytest.fixture
def moon(monkeypatch: pytest.MonkeyPatch) -> None:
    found = EntryPoints(
        [
            EntryPoint("moon", f"{__name__}:MoonTarget", "turnout.targets"),
            EntryPoint("broken", "no.such.module:Target", "turnout.targets"),
        ]
    )

    def known(group: str) -> EntryPoints:
        return found.select(group=group)

    monkeypatch.setattr(registry, "entry_points", known)


@pytest.mark.usefixtures("moon")
async def test_a_kind_of_another_package_needs_no_page(
    browser: httpx.AsyncClient, tmp_path: Path
) -> None:
    kinds = (await browser.get("/portal/compute/attach")).text
    assert "/portal/compute/attach/moon" in kinds
    assert "Runs on the &lt;moon&gt;." in kinds
    assert "No module named" in kinds
    form = "/portal/compute/attach/moon"
    page = (await browser.get(form)).text
    for field in FIELDS:
        assert f'name="config.{field.name}"' in page
    given = {"name": "luna", "config.depth": "deep", "config.token": "hunter2"}
    answer = await browser.post(form, data=given)
    assert answer.status_code == 422
    assert 'id="config-crater-error"' in answer.text
    assert 'id="config-depth-error"' in answer.text
    assert 'value="deep"' in answer.text
    assert "hunter2" not in answer.text
    # The check of the kind itself.
    given |= {"config.depth": "4", "config.crater": "Plato"}
    answer = await browser.post(form, data=given)
    assert answer.status_code == 422
    assert "Plato is &lt;cold&gt;." in answer.text
    assert "<code>Tycho</code>" in answer.text
    answer = await browser.post(form, data={**given, "config.crater": "Tycho", "replace": "true"})
    assert answer.status_code == 303, answer.text
    page = (await browser.get("/portal/compute/luna")).text
    assert "Token</dt><dd>set" in page
    assert "hunter2" not in page
    assert ">luna</a>" in (await browser.get("/portal/compute")).text
