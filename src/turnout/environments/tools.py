"""Programs that recipes need on a target, in the build that fits its machine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import uv

from turnout.spec.errors import TargetError

#: What `uname -m` says, as uv's platform names begin.
MACHINES = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
    "armv7l": "armv7",
    "ppc64le": "powerpc64le",
    "riscv64": "riscv64gc",
    "s390x": "s390x",
    "i686": "i686",
}
#: The oldest glibc that the ordinary build runs on; older machines get the static one.
GLIBC = (2, 17)
DOWNLOAD_TIMEOUT_S = 300.0
LOCKS: dict[str, asyncio.Lock] = {}


@dataclass(frozen=True)
class Tool:
    """A program on this machine, to be sent to a target."""

    path: Path
    #: SHA-256 of the file.
    digest: str


async def tool(name: str, machine: str, libc: str, home: Path) -> Tool:
    """The program `name` for a target with `machine` ("x86_64") and `libc` ("glibc 2.36").

    `home` is the service's home; what was worked out is kept in its `cache`. Raises `TargetError`
    when there is no build for that machine or it cannot be downloaded.
    """
    if name != "uv":
        raise TargetError(f"There is no tool '{name}'.")
    wanted = platform_name(machine, libc)
    if wanted == own_platform():
        path = await asyncio.to_thread(own_uv)
    else:
        path = await downloaded(wanted, home)
    return Tool(path, await asyncio.to_thread(cached_digest, path, home))


def platform_name(machine: str, libc: str) -> str:
    """uv's name for a platform: "aarch64-unknown-linux-gnu"."""
    arch = MACHINES.get(machine.lower())
    if arch is None:
        raise TargetError(
            f"There is no uv for a '{machine}' machine, so no environment can be built there. Use "
            "an interpreter that is there (user-managed)."
        )
    kind, _, number = libc.replace("-", " ").partition(" ")
    parts = tuple(int(p) for p in number.split(".")[:2] if p.isdigit())
    static = kind.lower() == "musl" or (kind.lower() == "glibc" and (0,) < parts < GLIBC)
    return f"{arch}-unknown-linux-{'musl' if static else 'gnu'}"


def own_platform() -> str:
    """The platform of this machine; "" where our uv does not run on Linux targets."""
    if sys.platform != "linux":
        return ""
    kind, number = platform.libc_ver()
    return platform_name(platform.machine(), f"{kind or 'musl'} {number}")


def own_uv() -> Path:
    try:
        return Path(uv.find_uv_bin()).resolve()
    except FileNotFoundError as e:
        raise TargetError(
            "The program uv is missing beside Turnout. Install Turnout again: pip install "
            "--force-reinstall uv"
        ) from e


def cached_digest(path: Path, home: Path) -> str:
    """SHA-256 of `path`, remembered by its inode, size and time: it has 50 MB."""
    stat = path.stat()
    seen = [str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns]
    name = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    note = home / "cache" / "tools" / f"{name}.digest"
    try:
        known = json.loads(note.read_text())
        if known["seen"] == seen:
            return str(known["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or torn by a crash: worked out again
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while part := file.read(1 << 20):
            digest.update(part)
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(note, json.dumps({"seen": seen, "digest": digest.hexdigest()}))
    return digest.hexdigest()


def write_whole(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(temporary).replace(path)


async def downloaded(wanted: str, home: Path) -> Path:
    """The uv of our version for another platform, from the package index, once."""
    folder = home / "cache" / "tools" / f"uv-{version('uv')}-{wanted}"
    program = folder / "bin" / "uv"
    async with LOCKS.setdefault(str(folder), asyncio.Lock()):
        if not program.is_file():
            await download(wanted, folder)
    return program


async def download(wanted: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    into = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        child = await asyncio.create_subprocess_exec(
            *(str(own_uv()), "pip", "install", "--no-deps", "--only-binary", ":all:"),
            *("--python", sys.executable, "--target", str(into)),
            *("--python-platform", wanted, f"uv=={version('uv')}"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            out, _ = await asyncio.wait_for(child.communicate(), DOWNLOAD_TIMEOUT_S)
        except BaseException:
            if child.returncode is None:
                child.kill()
                await child.wait()
            raise
        if child.returncode or not (into / "bin" / "uv").is_file():
            tail = out.decode(errors="replace").strip()[-500:]
            raise TargetError(f"uv for {wanted} cannot be downloaded: {tail}", retryable=True)
        await asyncio.to_thread(into.rename, folder)
    except asyncio.TimeoutError as e:
        raise TargetError(
            f"uv for {wanted} was not downloaded within {DOWNLOAD_TIMEOUT_S:g} s.", retryable=True
        ) from e
    finally:
        shutil.rmtree(into, ignore_errors=True)
