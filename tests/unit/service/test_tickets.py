"""What a target is given with a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from turnout.service.environments import launching
from turnout.service.environments.config import KNOWN, EnvironmentConfig, checked
from turnout.service.environments.launching import Launching
from turnout.service.runs.loops import PASSWORD, RunLoops
from turnout.spec.environments import EnvironmentSpec
from turnout.spec.secrets import Secret


@pytest.mark.parametrize("password", [None, "hunter2"])
async def test_password_and_notes(monkeypatch: pytest.MonkeyPatch, password: str | None) -> None:
    of = {
        name: checked(f"environments.{name}", KNOWN[f"environments.{name}"].default)
        for name in ("conda", "pins", "eras", "base_image", "keep_days")
    }
    settings = EnvironmentConfig(channels={}, default_channels=("lab",), **of)
    secret = Secret(password) if password else None

    async def prepare(*_: object) -> Launching:
        return Launching(EnvironmentSpec(eras=False), settings, ("other image",), secret)

    changes: list[dict[str, Any]] = []

    async def change(run: str, **fields: Any) -> None:
        changes.append(fields)

    monkeypatch.setattr(launching, "prepare", prepare)
    loops: Any = SimpleNamespace(
        db=None,
        pool=SimpleNamespace(vault=None),
        collector=SimpleNamespace(change=change),
        settings=SimpleNamespace(workspace="default"),
    )
    row: Any = SimpleNamespace(
        id="exp_1", attempt=1, experiment="exp", warnings=["old"], tags={}, properties={},
        display_name="", number=1, allocation=None, spec={"script": "train.py", "target": "local"},
    )  # fmt: skip
    ticket = await RunLoops.ticket(loops, row)
    assert ticket.secrets == ({PASSWORD: "hunter2"} if password else {})
    assert "hunter2" not in repr(ticket)
    assert ticket.spec.environment.eras is False
    assert ticket.environments.default_channels == ("lab",)
    assert changes == [{"warnings": ["old", "other image"]}]
    row.warnings = ["old", "other image"]
    await RunLoops.ticket(loops, row)
    assert len(changes) == 1
