"""A conda channel in a folder, for tests and demos: real packages, made in milliseconds.

    channel = CondaChannel(folder)
    channel.add(Package("toy", "1.0", noarch="python", files={"site-packages/toy.py": "X = 1\n"}))
    add_python(channel)
    channel.write()
    channel.address            # file:///…; `serve(channel)` gives one over HTTP

Only the standard library.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
import re
import shutil
import ssl
import stat
import sys
import tarfile
import threading
from base64 import b64encode
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

#: Stands in packages for the folder they will be installed to; as long as the real one may get.
PLACEHOLDER = "/turnout-placeholder" + "_placehold" * 20
SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64", "ppc64le": "linux-ppc64le"}
#: Left out of a `python` package: large, and needed by no test.
WITHOUT = (
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "idlelib",
    "turtledemo",
    "ensurepip",
    "lib2to3",
)

#: Larger libraries are links to where they are, in bytes: bz2 is slow.
LARGE = 1_000_000
UNUSED = re.compile(r"\.opt-\d\.pyc$|^_test|^_ctypes_test|^xxlimited")


def own_subdir() -> str:
    return SUBDIRS.get(platform.machine(), "linux-64")


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    build: str = "0"
    build_number: int = 0
    depends: Sequence[str] = ()
    constrains: Sequence[str] = ()
    #: "python": the same for every Python, `files` below `site-packages/` go where the Python has
    #: them; "generic": the same for everything; "": for this machine.
    noarch: str = ""
    #: Content by path. `PLACEHOLDER` in a text is replaced by the environment's folder.
    files: Mapping[str, str | bytes] = field(default_factory=dict[str, str | bytes])
    #: Files and folders that are there, by the path they get.
    trees: Mapping[str, Path] = field(default_factory=dict[str, Path])
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Only for `noarch="python"`: "toy = toy:main".
    entry_points: Sequence[str] = ()
    subdir: str = ""

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}-{self.build}.tar.bz2"

    @property
    def folder(self) -> str:
        return "noarch" if self.noarch else (self.subdir or own_subdir())


class CondaChannel:
    """Packages in a folder; `write` makes the index that solvers read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: dict[str, dict[str, Any]] = {"noarch": {}, own_subdir(): {}}
        for name in self.records:
            (folder / name).mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        return self.folder.resolve().as_uri()

    def add(self, *packages: Package) -> None:
        for package in packages:
            path = self.folder / package.folder / package.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            index = index_of(package)
            write_package(path, package, index)
            data = path.read_bytes()
            self.records.setdefault(package.folder, {})[package.file_name] = {
                **index,
                "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
                "sha256": hashlib.sha256(data).hexdigest(),
                "size": len(data),
            }

    def write(self) -> None:
        for subdir, packages in self.records.items():
            data = {
                "info": {"subdir": subdir},
                "packages": packages,
                "packages.conda": {},
                "repodata_version": 1,
            }
            new = self.folder / subdir / "repodata.json.new"
            new.write_text(json.dumps(data))
            new.replace(self.folder / subdir / "repodata.json")


def index_of(package: Package) -> dict[str, Any]:
    index: dict[str, Any] = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": package.build_number,
        "depends": list(package.depends),
        "constrains": list(package.constrains),
        "subdir": package.folder,
        "license": "BSD",
    }
    if package.noarch:
        index["noarch"] = package.noarch
    return index


def write_package(path: Path, package: Package, index: Mapping[str, Any]) -> None:
    paths: list[dict[str, Any]] = []
    # Level 1: bz2 is slow, and nobody downloads these from afar.
    with tarfile.open(path, "w:bz2", compresslevel=1) as archive:
        for name, data, mode, seconds in contents(package):
            add_bytes(archive, name, data, mode, seconds)
            entry: dict[str, Any] = {"_path": name, "path_type": "hardlink"}
            entry.update(sha256=hashlib.sha256(data).hexdigest(), size_in_bytes=len(data))
            if PLACEHOLDER.encode() in data:
                kind = "binary" if b"\0" in data else "text"
                entry.update(prefix_placeholder=PLACEHOLDER, file_mode=kind)
            paths.append(entry)
        for name, goal in package.links.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, goal
            archive.addfile(link)
            paths.append({"_path": name, "path_type": "softlink"})
        paths.sort(key=lambda entry: entry["_path"])
        info: dict[str, Any] = {
            "info/index.json": index,
            "info/paths.json": {"paths": paths, "paths_version": 1},
        }
        if package.noarch == "python":
            points = {"type": "python", "entry_points": list(package.entry_points)}
            info["info/link.json"] = {"noarch": points, "package_metadata_version": 1}
        for name, value in info.items():
            add_bytes(archive, name, json.dumps(value).encode(), 0o644, 0)
        listing = "".join(f"{entry['_path']}\n" for entry in paths)
        add_bytes(archive, "info/files", listing.encode(), 0o644, 0)


def contents(package: Package) -> Iterator[tuple[str, bytes, int, int]]:
    """(path, content, mode, time of change) of every file."""
    for name, content in package.files.items():
        data = content.encode() if isinstance(content, str) else content
        yield name, data, 0o755 if "bin" in Path(name).parts else 0o644, 0
    for goal, source in package.trees.items():
        files = [source] if source.is_file() else sorted(p for p in source.rglob("*"))
        for file in files:
            if file.is_file() and not UNUSED.search(file.name):
                name = goal if source.is_file() else f"{goal}/{file.relative_to(source)}"
                status = file.stat()
                mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
                # The time too: bytecode beside the file is good only for that one.
                yield name, file.read_bytes(), mode, int(status.st_mtime)


def add_bytes(archive: tarfile.TarFile, name: str, data: bytes, mode: int, seconds: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), mode, seconds
    archive.addfile(member, io.BytesIO(data))


def add_python(channel: CondaChannel, versions: Sequence[str] = ()) -> str:
    """A real `python` package, made from the Python that runs this; its version.

    It finds its library by its own place, so it can be installed anywhere on this machine.
    `versions` are others without content, for the solver only.
    """
    base = Path(sys.base_prefix)
    short = f"{sys.version_info[0]}.{sys.version_info[1]}"
    full = platform.python_version()
    library = f"lib/python{short}"
    trees = {f"bin/python{short}": Path(os.path.realpath(base / "bin" / f"python{short}"))}
    for entry in sorted((base / library).iterdir()):
        if entry.name not in WITHOUT and not entry.name.startswith("config-"):
            trees[f"{library}/{entry.name}"] = entry
    links = {"bin/python": f"python{short}", "bin/python3": f"python{short}"}
    for shared in sorted((base / "lib").glob(f"libpython{short}*.so*")):
        # The one part that is not copied: it is never stripped, and as large as all the rest.
        links[f"lib/{shared.name}"] = str(shared)
    depends = ("__glibc >=2.17",) if platform.libc_ver()[0] else ()
    build = f"0_cpython_{sys.version_info[0]}{sys.version_info[1]}"
    readme = {f"{library}/site-packages/README.txt": "Packages go here.\n"}
    channel.add(Package("python", full, build, 0, depends, (), "", readme, trees, links))
    channel.add(*(Package("python", v, "0_empty", depends=depends) for v in versions))
    return full


def add_site(channel: CondaChannel, folder: Path, depends: Sequence[str] = ()) -> str:
    """A conda package for this Python from a folder with one PyPI package in it (`uv pip install
    --target`); its version."""
    (info,) = folder.glob("*.dist-info")
    name, version = info.name.removesuffix(".dist-info").split("-")
    short = f"{sys.version_info[0]}.{sys.version_info[1]}"
    site = f"lib/python{short}/site-packages"
    trees: dict[str, Path] = {}
    links: dict[str, str] = {}
    for file in sorted(folder.rglob("*")):
        within = file.relative_to(folder)
        if file.is_file() and "tests" not in within.parts:
            if file.stat().st_size > LARGE:
                links[f"{site}/{within}"] = str(file.resolve())
            else:
                trees[f"{site}/{within}"] = file
    python = f"python >={short},<3.{sys.version_info[1] + 1}.0a0"
    build = f"py{short.replace('.', '')}_0"
    needed = (python, *depends)
    channel.add(Package(name.lower(), version, build, 0, needed, (), "", {}, trees, links))
    return version


class Handler(SimpleHTTPRequestHandler):
    """Files, for whoever has the login. A test's output is its own: nothing is logged."""

    def __init__(self, *args: Any, login: str = "", **more: Any) -> None:
        self.expected = f"Basic {b64encode(login.encode()).decode()}" if login else ""
        super().__init__(*args, **more)

    def send_head(self) -> Any:
        if self.expected and self.headers.get("Authorization") != self.expected:
            self.send_error(401)
            return None
        return super().send_head()

    def log_message(self, format: str, *args: object) -> None: ...


@contextlib.contextmanager
def serve(folder: Path, login: str = "", certificate: Path | None = None) -> Generator[str]:
    """The folder's address over HTTP on loopback, for as long as the block lasts.

    `login` is "user:password"; with a `certificate` (a PEM file with its key) it is HTTPS.
    """
    handler = partial(Handler, directory=str(folder), login=login)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def copy(channel: CondaChannel, folder: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(channel.folder, folder)
    return folder
