"""What a test does when a server that it needs is not on this machine."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(error: object) -> NoReturn:
    """Skip with the reason on a person's machine; fail where `CI=true`, which must have it all."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have this: {error}")
    pytest.skip(str(error))
