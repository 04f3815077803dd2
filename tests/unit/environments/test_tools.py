"""The right build of uv for a machine, and digests that are remembered."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from turnout.environments import tools
from turnout.spec.errors import TargetError


@pytest.mark.parametrize(
    ("machine", "libc", "name"),
    [
        ("x86_64", "glibc 2.36", "x86_64-unknown-linux-gnu"),
        ("x86_64", "glibc 2.12", "x86_64-unknown-linux-musl"),
        ("x86_64", "musl 1.2.4", "x86_64-unknown-linux-musl"),
        ("arm64", "glibc-2.31", "aarch64-unknown-linux-gnu"),
        ("aarch64", "", "aarch64-unknown-linux-gnu"),
    ],
)
def test_platforms(machine: str, libc: str, name: str) -> None:
    assert tools.platform_name(machine, libc) == name


def test_machine_without_uv() -> None:
    with pytest.raises(TargetError, match="no uv for a 'sparc' machine"):
        tools.platform_name("sparc", "glibc 2.36")


def test_digest_follows_the_file(tmp_path: Path) -> None:
    program = tmp_path / "uv"
    for content in (b"one", b"three"):
        program.write_bytes(content)
        for _ in range(2):
            expected = hashlib.sha256(content).hexdigest()
            assert tools.cached_digest(program, tmp_path / "home") == expected


def test_digest_is_not_worked_out_twice(tmp_path: Path) -> None:
    program = tmp_path / "uv"
    program.write_bytes(b"one")
    first = tools.cached_digest(program, tmp_path)
    stat = program.stat()
    with program.open("r+b") as file:
        file.write(b"two")
    os.utime(program, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert tools.cached_digest(program, tmp_path) == first


def test_torn_note_is_worked_out_again(tmp_path: Path) -> None:
    program = tmp_path / "uv"
    program.write_bytes(b"one")
    first = tools.cached_digest(program, tmp_path / "home")
    (note,) = (tmp_path / "home/cache/tools").iterdir()
    note.write_text('{"seen": ')
    assert tools.cached_digest(program, tmp_path / "home") == first


async def test_own_uv(tmp_path: Path) -> None:
    import platform

    libc = " ".join(platform.libc_ver()) if platform.libc_ver()[0] else "musl"
    found = await tools.tool("uv", platform.machine(), libc, tmp_path)
    assert found.path.name == "uv"
    assert found.digest == hashlib.sha256(found.path.read_bytes()).hexdigest()


async def test_unknown_tool(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no tool 'conda'"):
        await tools.tool("conda", "x86_64", "glibc 2.36", tmp_path)
