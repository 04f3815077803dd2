"""Environments from a list of pip packages, by uv.

`pip lock FILES UV ROOT`, `pip build FILES UV ROOT PREFIX`.

`request.json`: {"python": "3.11" or null, "pip": [requirement], "options": [option of pip],
"pins": "nearest" or "exact"}. The lock: {"kind", "python": {"version", "path"}, "options",
"requirements": ["name==version"]}.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

from turnout.payload.builds import bytecode, pip_rules
from turnout.payload.builds.telling import (
    BuildError,
    bound,
    note,
    read_lock,
    request,
    run,
    say,
    status,
    write_lock,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What the payload needs.
OLDEST = (3, 8)
PIN = re.compile(
    r"(?P<name>[a-z0-9-]+)(?P<extras>\[[^\]]*\])?==(?P<version>[0-9][^\s;,]*)(?P<rest>.*)"
)
#: Which requirement uv could not meet, in its words.
BLAMED = (
    r"[Bb]ecause there (?:is|are) no versions? of ([A-Za-z0-9._-]+)",
    r"[Bb]ecause ([A-Za-z0-9._-]+)(?:[=<>!~]\S+)? (?:has no|was not found)",
    r"[Ff]ailed to (?:build|download and build) `([A-Za-z0-9._-]+)",
    r"all versions of ([A-Za-z0-9._-]+) ",
    r"(?:and|that) ([A-Za-z0-9._-]+)==\S+ depends on Python",
    r"does not satisfy Python\S+ (?:and|we can conclude that) ([A-Za-z0-9._-]+)==",
)
#: What a build says of its failure: Python's exceptions, compilers' errors.
SAID_WHY = re.compile(r"^\w*(?:Error|Exception)\b|\berror: (?!Command )")
#: Lines at the end of a log that a failure shows (payload/logs.py).
KEPT_LINES = 10
DOWNLOAD = re.compile(r"\s*(Downloading|Building) (\S+)(?: \(([^)]+)\))?")


def main(argv: list[str]) -> int:
    phase, files, uv, root = argv[:4]
    use_own_folders(root)
    if phase == "lock":
        return lock(files, uv)
    return build(files, uv, root, argv[4])


def use_own_folders(root: str) -> None:
    """Where the person's home cannot be written to, uv keeps what it keeps in the host root."""
    home = os.path.expanduser("~")
    for name, variable, usual in (
        ("UV_CACHE_DIR", "XDG_CACHE_HOME", ".cache"),
        ("UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME", ".local/share"),
    ):
        folder = os.path.join(os.environ.get(variable) or os.path.join(home, usual), "uv")
        if not os.environ.get(name) and not can_write(folder):
            os.environ[name] = os.path.join(root, "cache", name.lower())


def can_write(folder: str) -> bool:
    """Whether the folder can be made or written to."""
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def lock(files: str, uv: str) -> int:
    wanted = request(files)
    python = find_python(uv, wanted.get("python"), wanted.get("pins") != "exact")
    code, found = resolve(
        uv,
        python,
        wanted["pip"],
        wanted.get("options") or [],
        wanted.get("pins") != "exact",
        files,
    )
    if code:
        return code
    locked = {
        "kind": "pip",
        "python": python,
        "options": wanted.get("options") or [],
        "sources": sources_of(environment()),
    }
    write_lock(files, {**locked, "requirements": found})
    return 0


def build(files: str, uv: str, root: str, prefix: str) -> int:
    locked = read_lock(files)
    made = [uv, "venv", "--quiet", "--no-project", "--python", locked["python"]["path"], prefix]
    code, _ = run(made, environment())
    if code or not locked["requirements"]:
        return code
    python = os.path.join(prefix, "bin", "python")
    return install(uv, python, locked, files) or compiled(root, python, files)


def compiled(root: str, python: str, files: str) -> int:
    """Compile what was installed into the environment of `python`."""
    code = "import sys, sysconfig; print(sys.implementation.cache_tag);"
    code += "print(sysconfig.get_path('purelib'))"
    lines = said_by([python, "-I", "-c", code])
    if len(lines) == 2:
        bytecode.compile_all(root, python, lines[0], lines[1], files)
    return 0


def install(uv: str, python: str, locked: dict[str, Any], files: str) -> int:
    """Install exactly `locked["requirements"]`."""
    count = len(locked["requirements"])
    status("Installing %s" % counted(count))
    path = os.path.join(files, "locked.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in locked["requirements"]))
    argv = [uv, "pip", "install", "--no-deps", "--directory", files]
    argv += ["--python", python, *locked["options"], *sources(locked["options"])]
    return run([*argv, "-r", path], environment(), heard)[0]


def sources(options: list[str]) -> list[str]:
    """What uv has to be told beside the person's options, so that it does as pip does."""
    found = pip_rules.uv_arguments(os.environ)
    if any(o.startswith("--extra-index-url") for o in options):
        # pip takes the best version of all its indexes, uv the first index that has the name.
        found += ["--index-strategy", "unsafe-best-match"]
    return found


def sources_of(env: dict[str, str]) -> dict[str, str]:
    """Where packages come from by this machine's settings: the same name and version from another
    index is another environment. Without logins."""
    found = {**os.environ, **env}
    names = (*pip_rules.UV_INDEXES, "UV_FIND_LINKS")
    return {n: re.sub(r"//[^/\s@]*@", "//", found[n]) for n in names if found.get(n)}


def environment() -> dict[str, str]:
    return {"NO_COLOR": "1", **pip_rules.uv_variables(os.environ)}


def counted(number: int) -> str:
    return "1 package" if number == 1 else "%d packages" % number


def heard(line: str) -> str:
    """What uv says of a download is shown while it lasts."""
    found = DOWNLOAD.match(line)
    if found:
        size = " (%s)" % found.group(3) if found.group(3) else ""
        status("%s %s%s" % (found.group(1), found.group(2), size))
    return line


# -- the Python --------------------------------------------------------------------------------


def find_python(uv: str, version: str | None, relax: bool) -> dict[str, str]:
    """The interpreter to use: this machine's own where it fits, else one that uv has or gets.

    Without it and with `relax`, the nearest newer one of this machine, with a note.
    """
    asked = version or ""
    if is_range(version):
        # Whatever a range says, Turnout needs this in every environment.
        asked = ">=%d.%d%s" % (*OLDEST, "," + asked if asked else "")
    path = first_line([uv, "python", "find", "--python-preference", "system", asked])
    if not path and newer_than_payload(version):
        status("Looking for Python %s" % asked)
        code, _ = run([uv, "python", "install", "--quiet", asked], environment())
        if code == 0:
            path = first_line([uv, "python", "find", asked])
    if not path:
        path = "" if not relax or is_range(version) else nearest_python(uv, version or "")
        if not path:
            raise BuildError(no_python(uv, asked))
        found = described(path)
        note(
            "Python %s cannot be had here; Python %s, the nearest newer, stands in for it."
            % (version, found["version"])
        )
        return found
    return described(path)


def newer_than_payload(version: str | None) -> bool:
    return is_range(version) or numbers(version or "")[:2] >= OLDEST


def is_range(version: str | None) -> bool:
    return version is None or version[0] in "<>!~"


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def described(path: str) -> dict[str, str]:
    code = "import os, sys; print('%d.%d.%d' % sys.version_info[:3], end=' ');"
    code += "print(os.path.realpath(sys.executable))"
    said = first_line([path, "-I", "-S", "-c", code])
    version, _, real = said.partition(" ")
    if not version:
        raise BuildError("The Python at %s does not run." % path)
    # A shim (pyenv's) costs more than the whole rest; the real file is what it stands for.
    return {"version": version, "path": real or path}


def first_line(argv: list[str]) -> str:
    return (said_by(argv) or [""])[0]


def said_by(argv: list[str]) -> list[str]:
    """The lines that a program prints; none when it fails."""
    try:
        code, out, _ = ask(argv)
    except OSError:
        return []
    return [] if code else out.splitlines()


def ask(argv: list[str]) -> tuple[int, str, str]:
    """(exit code, output, errors) of a program whose words are ours to pass on."""
    done = subprocess.run(
        argv,
        env={**os.environ, **environment()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=bound(),
    )
    out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    return done.returncode, out, err


def installed_pythons(uv: str) -> list[tuple[tuple[int, ...], str]]:
    """(version, path) of this machine's Pythons that are new enough, oldest first."""
    argv = [uv, "python", "list", "--only-installed", "--output-format", "json"]
    try:
        rows = json.loads("\n".join(said_by(argv)))
    except ValueError:
        return []
    found = {numbers(row["version"])[:3]: str(row["path"]) for row in reversed(rows)}
    return sorted((v, p) for v, p in found.items() if v[:2] >= OLDEST)


def nearest_python(uv: str, version: str) -> str:
    wanted = numbers(version)
    newer = [path for v, path in installed_pythons(uv) if v > wanted]
    return newer[0] if newer else ""


def no_python(uv: str, asked: str) -> str:
    names = [".".join(map(str, v)) for v, _ in installed_pythons(uv)]
    have = " It has %s." % ", ".join(names) if names else ""
    return (
        "Python %s is not on the target and could not be downloaded.%s Ask for one of these, or "
        "install it there." % (asked, have)
    )


# -- the packages ------------------------------------------------------------------------------


def resolve(
    uv: str,
    python: dict[str, str],
    wanted: list[str],
    options: list[str],
    relax: bool,
    files: str,
) -> tuple[int, list[str]]:
    """(exit code, every package with its exact version).

    A pin that cannot be met gives way to the nearest newer version that has a wheel, with a note.
    """
    wanted = list(wanted)
    if not wanted:
        return 0, []
    #: Pinned packages that have no wheel, but can be built here.
    built: list[str] = []
    older: list[str] = []
    for _ in range(4 * len(wanted) + 1):
        pinned = [m.group("name") for m in map(PIN.fullmatch, wanted) if m]
        only = [word for n in pinned if n not in built for word in ("--only-binary", n)]
        code, output = compile_list(uv, python["path"], wanted, [*options, *only, *older], files)
        if code and older:
            # Not to be had for this Python: then without.
            older = []
            continue
        if code == 0:
            return 0, output.splitlines()
        index = blamed_pin(output, wanted)
        if index is None:
            say_failure(output)
            return code, []
        pin = wanted[index]
        name = pinned_name(pin)
        if name not in built:
            built.append(name)
            if can_be_built(uv, python["path"], pin, options, files):
                continue
        newer = nearest_newer(uv, python["path"], pin, options, files) if relax else None
        if newer is None:
            # Its own words on what is wrong with the pin, wheels or not.
            code, output = install_alone(uv, python["path"], pin, options, files)
            say_failure(output)
            return code or 1, []
        note(
            "'%s' cannot be had for Python %s; %s, the nearest newer, is installed instead."
            % (pin, python["version"], newer)
        )
        wanted[index] = newer
        older = numpy_one(files)
    return 1, []


def numpy_one(files: str) -> list[str]:
    """Options that keep NumPy below 2. Versions near to an old pin were compiled for NumPy 1, do
    not say so, and crash with 2."""
    path = os.path.join(files, "constraints.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("numpy<2\n")
    return ["--constraint", path, "--only-binary", "numpy"]


def say_failure(output: str) -> None:
    """uv's words, with what counts at the end, where a person looks: which package did not build
    and the last thing that its build said."""
    say(output)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    failed = [
        line for line in lines if re.search(r"Failed to (?:build|download and build) `", line)
    ]
    if failed and failed[0] not in lines[-KEPT_LINES:]:
        errors = [line for line in lines if SAID_WHY.search(line)]
        say("%s\n[stderr]\n    %s" % (failed[0], (errors or lines)[-1]))


def pinned_name(pin: str) -> str:
    found = PIN.fullmatch(pin)
    return found.group("name") if found else ""


def can_be_built(uv: str, python: str, pin: str, options: list[str], files: str) -> bool:
    """Whether a package without a wheel builds on this machine; uv keeps what it built."""
    status("Building %s" % pin)
    return install_alone(uv, python, pin, options, files)[0] == 0


def install_alone(
    uv: str,
    python: str,
    pin: str,
    options: list[str],
    files: str,
) -> tuple[int, str]:
    """Install the one package into a folder that is thrown away: (uv's exit code, its words)."""
    folder = os.path.join(files, "alone")
    argv = [uv, "pip", "install", "--quiet", "--no-deps", "--target", folder, "--python", python]
    argv += [*options, *sources(options), "--directory", files, pin]
    code, output = run(argv, environment(), lambda line: None)
    shutil.rmtree(folder, ignore_errors=True)
    return code, output


def compile_list(
    uv: str, python: str, wanted: list[str], options: list[str], files: str
) -> tuple[int, str]:
    """What uv makes of the list: (0, the resolved lines) or (exit code, its words)."""
    path = os.path.join(files, "wanted.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in wanted))
    argv = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python", python]
    argv += [*options, *sources(options), "--directory", files, path]
    try:
        code, out, said = ask(argv)
    except OSError as e:
        raise BuildError("uv cannot be started: %s." % e.strerror) from e
    if code:
        return code, said.strip()
    if said.strip():
        say(said.strip())
    return 0, out.strip()


def blamed_pin(output: str, wanted: list[str]) -> int | None:
    """Which of the `wanted` pins uv names as the one that cannot be met."""
    text = re.sub(r"\s+", " ", output)
    names = [m.group(1) for pattern in BLAMED for m in re.finditer(pattern, text)]
    for name in names:
        plain = re.sub(r"[-_.]+", "-", name).lower()
        for index, line in enumerate(wanted):
            found = PIN.fullmatch(line)
            if found and found.group("name") == plain:
                return index
    return None


def nearest_newer(uv: str, python: str, pin: str, options: list[str], files: str) -> str | None:
    """The pin of the lowest newer version that has a wheel for `python`; None: there is none."""
    found = PIN.fullmatch(pin)
    if found is None:
        return None
    name = found.group("name") + (found.group("extras") or "")
    version = found.group("version").replace(".*", "")
    code, output = compile_list(
        uv,
        python,
        ["%s>%s%s" % (name, version, found.group("rest"))],
        [*options, "--resolution", "lowest-direct", "--no-deps", "--only-binary", ":all:"],
        files,
    )
    exact = re.search(r"==([^\s;]+)", output)
    if code or not exact:
        return None
    return "%s==%s%s" % (name, exact.group(1), found.group("rest"))
