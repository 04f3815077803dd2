"""Servers that several folders of tests share, made when the first test asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from turnout.testing import dockerd
from turnout.testing.dockerd import DockerEngine
from turnout.testing.missing import missing


@pytest.fixture(scope="session")
def base_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Debian with Python, for images."""
    try:
        return dockerd.make_base(tmp_path_factory.mktemp("base") / "base.tar")
    except dockerd.Unavailable as e:
        missing(e)


@pytest.fixture(scope="session")
def docker(base_archive: Path) -> Iterator[DockerEngine]:
    """An engine with the image "base:1"; containers outlive it."""
    try:
        with DockerEngine("--live-restore") as engine:
            engine.import_image(base_archive, "base:1")
            yield engine
    except dockerd.Unavailable as e:
        missing(e)
