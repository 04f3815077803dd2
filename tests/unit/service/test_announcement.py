"""How a service ends to be announced."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from turnout.service.server import withdraw


def test_a_service_takes_back_its_own_announcement(tmp_path: Path) -> None:
    path = tmp_path / "service.json"
    path.write_text(json.dumps({"pid": os.getpid(), "socket": "s"}))
    withdraw(path)
    assert not path.exists()
    withdraw(path)


@pytest.mark.parametrize("text", [json.dumps({"pid": os.getppid()}), "{", "[]", "{}", "null"])
def test_what_another_announced_stays(tmp_path: Path, text: str) -> None:
    path = tmp_path / "service.json"
    path.write_text(text)
    withdraw(path)
    assert path.read_text() == text
