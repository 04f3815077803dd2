"""Compiled bytecode, made once for each package and Python of a host, not once an environment.

Without bytecode the first import of a large package takes three times as long; compiling
scikit-learn takes ten times as long as installing it. So what was compiled is kept by package in
`<root>/cache/bytecode/` and linked into every further environment that holds the same files.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import shutil

from turnout.payload.builds.telling import run, say, status

#: Run by the environment's own Python: compiles the files listed, on every core.
COMPILE = '''
import compileall, functools, json, os, sys
from concurrent.futures import ProcessPoolExecutor
files = json.load(open(sys.argv[1]))
work = functools.partial(compileall.compile_file, quiet=2)
# The workers of a pool that is killed would wait for ever: they die with it (PR_SET_PDEATHSIG).
bound = """
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
except Exception:
    pass
"""
cores = len(os.sched_getaffinity(0))
if cores > 1 and len(files) > 200:
    with ProcessPoolExecutor(cores, initializer=exec, initargs=(bound,)) as pool:
        list(pool.map(work, files, chunksize=50))
else:
    list(map(work, files))
'''


class Package:
    """The sources of one installed package, and where their bytecode is kept."""

    def __init__(self, cache: str, site: str, info: str) -> None:
        digest = hashlib.sha256()
        hashes: dict[str, str] = {}
        with open(os.path.join(site, info, "RECORD"), encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                if row and row[0].endswith(".py") and not row[0].startswith(("/", "..")):
                    hashes[row[0]] = row[1]
        self.sources = list(hashes)
        for name in sorted(hashes):
            stat = os.stat(os.path.join(site, name))
            # As bytecode names its source: another time or size would be compiled again. With
            # this variable it is compared by content instead.
            fixed = hashes[name] if os.environ.get("SOURCE_DATE_EPOCH") else ""
            when = fixed or int(stat.st_mtime)
            digest.update(("%s %s %d\n" % (name, when, stat.st_size)).encode())
        name = "%s-%s" % (info[: -len(".dist-info")], digest.hexdigest()[:16])
        self.folder = os.path.join(cache, name)

    def link(self, site: str, tag: str) -> bool:
        """Link what is kept into the environment; whether there was anything."""
        try:
            os.utime(self.folder)  # Its last use: pruning looks at it.
        except OSError:
            return False
        for name in self.sources:
            compiled = compiled_name(name, tag)
            place(os.path.join(self.folder, compiled), os.path.join(site, compiled))
        return True

    def keep(self, site: str, tag: str) -> None:
        """Keep what was compiled in the environment, all of it or nothing."""
        temporary = "%s.%d.tmp" % (self.folder, os.getpid())
        try:
            os.makedirs(temporary, exist_ok=True)
            for name in self.sources:
                compiled = compiled_name(name, tag)
                place(os.path.join(site, compiled), os.path.join(temporary, compiled))
            os.rename(temporary, self.folder)
        except OSError:
            # Somebody else kept it, or the disk is full: it is only a cache.
            shutil.rmtree(temporary, ignore_errors=True)


def compiled_name(source: str, tag: str) -> str:
    folder, _, name = source.rpartition("/")
    return os.path.join(folder, "__pycache__", "%s.%s.pyc" % (name[: -len(".py")], tag))


def place(source: str, target: str) -> None:
    """Link one file, or copy it where a link cannot be; nothing where there is none."""
    for again in (True, False):
        try:
            os.link(source, target)
        except FileExistsError:
            pass
        except FileNotFoundError:
            if again and os.path.exists(source):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                continue
        except OSError:
            copy_whole(source, target)
        return


def copy_whole(source: str, target: str) -> None:
    """Copy, all of it or nothing: half a file of bytecode would break the import."""
    temporary = "%s.%d.tmp" % (target, os.getpid())
    try:
        shutil.copy2(source, temporary)
        os.rename(temporary, target)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def compile_all(root: str, python: str, tag: str, site: str, files: str) -> None:
    """Give every package in the `site` folder its bytecode. A failure costs time, nothing else."""
    cache = os.path.join(root, "cache", "bytecode", tag)
    os.makedirs(cache, exist_ok=True)
    fresh: list[Package] = []
    known = 0
    for info in sorted(os.listdir(site)):
        if not info.endswith(".dist-info"):
            continue
        try:
            package = Package(cache, site, info)
            if package.link(site, tag):
                known += 1
            else:
                fresh.append(package)
        except OSError:
            continue
    if not fresh:
        say("Bytecode of %d packages was there" % known)
        return
    sources = [os.path.join(site, name) for package in fresh for name in package.sources]
    status("Compiling %d files" % len(sources))
    listed = os.path.join(files, "compile.json")
    with open(listed, "w", encoding="utf-8") as file:
        json.dump(sources, file)
    run([python, "-I", "-W", "ignore", "-c", COMPILE, listed])
    os.unlink(listed)
    for package in fresh:
        package.keep(site, tag)
    say("Compiled %d files; bytecode of %d packages was there" % (len(sources), known))
