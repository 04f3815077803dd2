"""The runner: a run's child that stands for its container.

`container run PREFIX/container.json LIMITS -- COMMAND…`, `container check PREFIX/container.json`.

What the supervisor sees of it is what it would see of the command itself: its output, its exit
code or signal, and an end when it is told to end. `container.json`: {"image": what to run,
"engine": facts}; LIMITS is a JSON mapping with `memory`, `cpus`, `shm_size`, `network`, `gpus` and
`arguments`, each of which may be missing.
"""

from __future__ import annotations

import json
import os
import signal
import time

from turnout.payload import hostfacts, rundir
from turnout.payload.builds import boxes
from turnout.payload.builds.boxes import Box, End, bind
from turnout.payload.builds.engine import Engine, ask, client_of
from turnout.payload.builds.networks import Network, is_gone
from turnout.payload.builds.telling import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Names of the variables that go into the container: a JSON list.
INSIDE = "TURNOUT_INSIDE"
#: Those that go in when nobody says which.
ALWAYS = ("TURNOUT_", "AZUREML_", "PYTHONPATH", "PYTHONUNBUFFERED")
#: What a shell gives back for a signal is 128 + n; these can be meant by it.
SIGNALS = frozenset([*range(1, 16), 24, 25, 31])
#: The exit code of a run whose container could not be started, as engines have it.
NOT_STARTED = 125
#: How often a container's network is made anew when it is gone before the container starts.
JOIN_TRIES = 3
#: Longest wait for an engine that comes back, when a container ended without a word.
RETURN_S = 10.0


def main(argv: list[str]) -> int:
    if argv[0] == "check":
        return check(argv[1])
    if argv[0] != "run" or argv[3] != "--":
        raise BuildError("usage: container run CONTAINER.json LIMITS -- COMMAND…")
    folder = os.environ[rundir.RUN_FOLDER_VARIABLE]
    try:
        about = rundir.read_json(argv[1])
        if about is None:
            raise BuildError("%s is missing or damaged. Submit again." % argv[1])
        return carry_out(folder, {**json.loads(argv[2]), **about}, argv[4:])
    except BuildError as e:
        say(folder, "The container could not be started. %s" % e)
        return NOT_STARTED


def check(path: str) -> int:
    """0 when the image is there."""
    about = rundir.read_json(path)
    if about is None:
        return 1
    words = ("image", "inspect", "--format", "{{.Id}}", about["image"])
    return ask(client_of(about["engine"]).program, words)[0]


def carry_out(folder: str, about: dict[str, Any], argv: list[str]) -> int:
    engine = client_of(about["engine"])
    box = Box(engine, "turnout-%s" % os.path.basename(folder), os.path.join(folder, "container"))
    signal.signal(signal.SIGTERM, lambda number, frame: box.stop())
    ticket = rundir.read_json(os.path.join(folder, rundir.TICKET)) or {}
    box.grace_s = float(ticket.get("grace_s", box.grace_s))
    options = [*places(folder), *variables(engine, folder), *limits(engine, about)]
    started_at = time.time()
    if ticket.get("network"):
        # The run folder is ROOT/runs/HANDLE.
        root = os.path.dirname(os.path.dirname(folder))
        network = Network(engine, root, ticket["network"], box.name)
        end = run_joined(network, box, options, about["image"], argv)
    else:
        end = box.run(options, about["image"], argv, write_out)
    if box.dropped:
        boxes.die_by(signal.SIGTERM)
    if end.code is None:
        say(folder, "The container was ended from outside: %s" % why(box, started_at))
        boxes.die_by(signal.SIGKILL)
        return NOT_STARTED
    if end.kills:
        say(folder, memory_text(about, end.code), lasting=end.code != 0)
    if end.missing and end.code == 127:
        say(folder, "The image has no program '%s'." % argv[0])
    if end.code > 128 and end.code - 128 in SIGNALS:
        boxes.die_by(end.code - 128)
    return end.code


def run_joined(network: Network, box: Box, options: list[str], image: str, argv: list[str]) -> End:
    """Run it in the network, which may be gone again before the engine comes to it."""
    for _ in range(JOIN_TRIES - 1):
        try:
            with network:
                return box.run([*network.options(), *options], image, argv, write_out)
        except BuildError as e:
            if not is_gone(e):
                raise
    with network:
        return box.run([*network.options(), *options], image, argv, write_out)


def write_out(data: bytes) -> None:
    rundir.write_all(1, data)


def say(folder: str, text: str, lasting: bool = True) -> None:
    """Tell the person: in the log, and, when it says how the run ended, beside its exit."""
    write_out(("[turnout] %s\n" % text).encode("utf-8", "replace"))
    if lasting:
        rundir.make_folder(os.path.join(folder, "container"))
        rundir.write_json(os.path.join(folder, rundir.SAID), {"message": text})


def memory_text(about: dict[str, Any], code: int) -> str:
    memory = about.get("memory")
    if memory:
        what = "The container ran out of its memory (limit %s)" % memory
        cure = "Raise the container's memory, or let the script use less."
    else:
        what = "The container ran out of memory"
        cure = "Let the script use less, or use a target with more."
    killed = "the system killed it" if code == 137 else "the system killed one of its processes"
    return "%s: %s. %s" % (what, killed, cure)


# -- options of `run` ----------------------------------------------------------------------------


def places(folder: str) -> list[str]:
    """The run folder and the payload, at the same places inside."""
    # This file is PAYLOAD/turnout/payload/builds/container.py.
    payload = os.path.abspath(__file__).rsplit(os.sep, 4)[0]
    found: list[str] = []
    for path, read_only in ((folder, False), (payload, True)):
        for target in sorted({path, os.path.realpath(path)}):
            found += bind(path, target, read_only)
    work = os.environ.get("PWD", "")
    if not work or not os.path.exists(work) or not os.path.samefile(work, "."):
        work = os.getcwd()
    return [*found, "--workdir", work]


def variables(engine: Engine, folder: str) -> list[str]:
    """Who the command is and which of our variables it gets: names only, never values."""
    given = os.environ.get(INSIDE)
    names = json.loads(given) if given else [n for n in os.environ if n.startswith(ALWAYS)]
    found = [*user(engine)]
    if os.getuid() and not engine.rootless:
        # The image knows neither this user nor a home of theirs. By value: the client needs ours.
        home = rundir.make_folder(os.path.join(folder, "container", "home"))
        person = hostfacts.user()
        for name, value in (("HOME", home), ("USER", person), ("LOGNAME", person)):
            if name not in names:
                found += ["--env", "%s=%s" % (name, value)]
    for name in names:
        if name in os.environ and name != INSIDE:
            found += ["--env", name]
    return found


def user(engine: Engine) -> list[str]:
    """We, as the container sees us: files that it makes in the run folder are then ours."""
    if engine.rootless:
        return ["--user", "0:0"]
    shifted = ["--userns", "host"] if engine.remapped else []
    return [*shifted, "--user", "%d:%d" % (os.getuid(), os.getgid())]


def limits(engine: Engine, about: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for name in ("memory", "cpus", "shm_size", "network"):
        if about.get(name):
            found += ["--%s" % name.replace("_", "-"), str(about[name])]
    if about.get("memory"):
        # Otherwise as much again may be swapped: slow, and then killed all the same.
        found += ["--memory-swap", str(about["memory"])]
    if engine.kind == "podman":
        # SELinux would keep the container from our folders.
        found += ["--security-opt", "label=disable"]
    return [*found, *gpu_options(engine, about.get("gpus")), *about.get("arguments", [])]


def gpu_options(engine: Engine, wanted: bool | None) -> list[str]:
    present = os.path.exists("/dev/nvidiactl")
    if wanted is False or (wanted is None and not (present and engine.gpus)):
        return []
    if not present:
        raise BuildError("GPUs were asked for, and this machine has none (no /dev/nvidiactl).")
    if not engine.gpus:
        raise BuildError(
            "GPUs were asked for, and the container engine cannot give them: install "
            "nvidia-container-toolkit on this machine and restart the engine."
        )
    return ["--device", "nvidia.com/gpu=all"] if engine.kind == "podman" else ["--gpus", "all"]


# -- ended without a word ------------------------------------------------------------------------


def why(box: Box, since: float) -> str:
    """Who ended it, as far as the engine knows."""
    if box.engine.kind != "docker":
        return "somebody killed it."
    deadline = time.monotonic() + RETURN_S
    while True:
        found = events(box, since)
        if found is not None or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    if found is None:
        return "the container engine was stopped, and its containers with it. %s" % cure(box)
    names = [e.get("Action", "") for e in found]
    # An engine forgets its events when it starts anew.
    if "start" not in names:
        return "the container engine was restarted, which ends containers. %s" % cure(box)
    if "oom" in names:
        return "it ran out of memory."
    killed = [e for e in found if e.get("Action") == "kill"]
    if killed:
        number = killed[-1].get("Actor", {}).get("Attributes", {}).get("signal", "9")
        return "somebody killed it (signal %s) with the engine." % number
    return "its first process was killed."


def events(box: Box, since: float) -> list[dict[str, Any]] | None:
    """What the engine remembers of the container; None when it does not answer."""
    span = ["--since", "%.3f" % (since - 1), "--until", "%.3f" % time.time()]
    words = ["--filter", "container=%s" % box.name, "--format", "{{json .}}"]
    found = box.engine.try_ask("events", *span, *words, timeout_s=RETURN_S)
    return None if found is None else [json.loads(line) for line in found.splitlines()]


def cure(box: Box) -> str:
    if box.engine.live_restore:
        return ""
    return (
        "Start it with --live-restore ('\"live-restore\": true' in /etc/docker/daemon.json), and "
        "containers go on meanwhile."
    )
