"""Secrets do not leave by accident."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import asdict, dataclass

import pytest

from turnout.spec.secrets import Secret


@dataclass
class Holder:
    password: Secret


def test_shows_itself_only_when_asked() -> None:
    secret = Secret("hunter2")
    for text in (repr(secret), str(secret), f"{secret}", f"{secret:>9}", repr(Holder(secret))):
        assert "hunter2" not in text
    assert secret.reveal() == "hunter2"


def test_does_not_serialise() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret("hunter2"))
    with pytest.raises(TypeError):
        pickle.dumps(Secret("hunter2"))


def test_copies_and_compares() -> None:
    secret = Secret("hunter2")
    assert copy.deepcopy(secret) == secret == Secret("hunter2")
    assert hash(secret) == hash(Secret("hunter2"))
    assert secret != Secret("hunter3")
    assert secret != "hunter2"
    assert asdict(Holder(secret)) == {"password": secret}
    assert not Secret("")
