"""The container engine of this machine, through its command line client; its words in ours.

The client, not the socket: so a person's contexts, credential helpers and arguments work.
"""

from __future__ import annotations

import json
import os
import re
import subprocess

from turnout.payload import processes
from turnout.payload.builds.telling import BuildError, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Longest wait for a question that an engine answers at once when it is well.
ASK_S = 60.0
CLIENTS = ("docker", "podman")
#: A person's choice among CLIENTS.
CHOICE = "TURNOUT_CONTAINER_ENGINE"
#: Variables by which a person chose a Docker engine.
DOCKER_CHOICES = ("DOCKER_HOST", "DOCKER_CONTEXT")

NOWHERE = (
    "There is no container engine on this machine: neither docker nor podman is on the PATH. "
    "Install one (Debian: docker.io or podman), or run without a container."
)
#: What engines say → what it means and what to do. `%s` is the word in the group.
MEANINGS = (
    (
        r"permission denied .*(?:docker daemon socket|docker API|docker\.sock)",
        "This user may not use the container engine. Add the user to the group 'docker' "
        "(usermod -aG docker NAME) and log in again, or install podman, which needs no right.",
    ),
    (
        r"Cannot connect to the Docker daemon at (\S+?)\.? |error during connect",
        "The container engine does not answer (%s). Is it running? On most machines: systemctl "
        "start docker.",
    ),
    (
        r"no space left on device",
        "The disk of the container engine is full. Make room there (docker system prune), then "
        "submit again.",
    ),
    (
        r"(?:unauthorized|denied: requested access|no basic auth credentials|"
        r"authentication required)",
        "The image's registry refuses the login. Check the user name and the password that are "
        "kept for it.",
    ),
    (
        r"(?:manifest unknown|repository does not exist|manifest for \S+ not found|"
        r"pull access denied|name unknown|not found: manifest)",
        "The registry has no such image, or it is private. Check the name and the tag; for a "
        "private one give a user name and a password.",
    ),
    (
        r"short-name (\S+) did not resolve",
        "Podman does not know which registry has %s. Write it in full, such as "
        "'docker.io/library/python:3.12'.",
    ),
    (
        r"(dial tcp: lookup [^\s:]+|connection refused|i/o timeout|no such host|"
        r"TLS handshake timeout|request canceled while waiting)",
        "The image's registry cannot be reached from this machine (%s).",
    ),
    (
        r"could not select device driver|unresolvable CDI devices",
        "The engine cannot give GPUs to a container: nvidia-container-toolkit is missing there.",
    ),
    (
        r"(?:exec: \"(?:/bin/)?sh\"|executable file `?(?:/bin/)?sh`? not found|"
        r"stat /bin/sh: no such file)",
        "The image has no shell (/bin/sh), which runs need. Use an image that has one: those "
        "named 'distroless' or 'scratch' have none.",
    ),
    (
        r"No such image: (\S+)|image not known|no such image",
        "The image is not there any more. Submit again: it is made anew.",
    ),
)


class Engine:
    """An engine that was found on this machine."""

    def __init__(self, program: str, facts: dict[str, Any]) -> None:
        self.program = program
        #: "docker" or "podman".
        self.kind: str = facts["kind"]
        #: Root in a container is this user outside: nothing else may then be asked for.
        self.rootless: bool = facts["rootless"]
        #: The engine shifts user ids, which our bind mounts must not see.
        self.remapped: bool = facts["remapped"]
        #: Whether containers have a network unless another is asked for.
        self.bridge: bool = facts["bridge"]
        #: Whether it can give NVIDIA's GPUs to a container.
        self.gpus: bool = facts["gpus"]
        #: Whether containers outlive a restart of the engine.
        self.live_restore: bool = facts["live_restore"]

    def facts(self) -> dict[str, Any]:
        """What `Engine` takes; kept in `container.json`, so that a run need not ask."""
        names = ("kind", "rootless", "remapped", "bridge", "gpus", "live_restore")
        return {name: getattr(self, name) for name in names}

    def argv(self, *words: str) -> list[str]:
        return [self.program, *words]

    def ask(self, *words: str, env: dict[str, str] | None = None, data: bytes = b"") -> str:
        """The answer to a short command; BuildError with the engine's words in ours."""
        code, out, err = ask(self.program, words, env, data)
        if code:
            raise BuildError(explain(err or out, "%s %s" % (self.kind, words[0])))
        return out

    def try_ask(self, *words: str, timeout_s: float = ASK_S) -> str | None:
        """The answer, or None when there is none."""
        try:
            code, out, _ = ask(self.program, words, timeout_s=timeout_s)
        except BuildError:
            return None
        return None if code else out

    def inspect_image(self, name: str) -> dict[str, Any] | None:
        found = self.try_ask("image", "inspect", name)
        return json.loads(found)[0] if found else None


def ask(
    program: str,
    words: tuple[str, ...],
    env: dict[str, str] | None = None,
    data: bytes = b"",
    timeout_s: float = ASK_S,
) -> tuple[int, str, str]:
    """(exit code, output, errors) of a short command; BuildError when there is no answer."""
    try:
        done = subprocess.run(
            [program, *words],
            env={**os.environ, **(env or {})},
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as e:
        raise BuildError(
            "The container engine did not answer '%s' within %g s. Is it overloaded or stopped?"
            % (words[0], timeout_s)
        ) from e
    except OSError as e:
        raise BuildError("%s cannot be started: %s." % (program, e.strerror)) from e
    return (
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
    )


def explain(said: str, what: str) -> str:
    """The engine's words as a person needs them; its own last line follows."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("WARNING", "See '", "Run '"))]
    last = lines[-1] if lines else ""
    for pattern, meaning in MEANINGS:
        found = re.search(pattern, said, re.IGNORECASE)
        if found:
            word = next((g for g in found.groups() if g), "it said nothing")
            text = meaning % word if "%s" in meaning else meaning
            return "%s\n%s" % (text, last) if last else text
    return "'%s' failed: %s" % (what, last or "it said nothing")


def find() -> Engine:
    """The engine of this machine, asked for what matters; BuildError when none can be used."""
    faults: list[BuildError] = []
    for name in wanted_clients():
        program = find_client((name,), missing="")
        if program:
            try:
                found = ask_facts(program)
            except BuildError as e:
                # A client may be there without an engine, beside another that works.
                faults.append(e)
                continue
            if faults:
                say("%s is used: %s" % (name, faults[0]))
            return found
    raise faults[0] if faults else BuildError(NOWHERE)


def wanted_clients() -> tuple[str, ...]:
    """Who is asked, the first that works is used."""
    chosen = os.environ.get(CHOICE)
    if chosen:
        return (chosen,)
    return CLIENTS[:1] if any(os.environ.get(n) for n in DOCKER_CHOICES) else CLIENTS


def ask_facts(program: str) -> Engine:
    refuse_another_machine(address(program), "")
    code, out, err = ask(program, ("info", "--format", "{{json .}}"))
    try:
        info = json.loads(out)
    except ValueError:
        info = {}
    # Docker's client answers with code 0 or 1 when the engine is away, and names it inside.
    errors = info.get("ServerErrors") or []
    if code or errors or not info:
        text = "\n".join([*errors, err, "" if info else out])
        raise BuildError(explain(text, "%s info" % os.path.basename(program)))
    return Engine(program, podman_facts(info) if "host" in info else docker_facts(program, info))


def client_of(facts: dict[str, Any]) -> Engine:
    """The engine that was found before, by its `facts`."""
    names = sorted(CLIENTS, key=lambda name: name != facts["kind"])
    return Engine(find_client(tuple(names), NOWHERE), facts)


def find_client(names: tuple[str, ...], missing: str) -> str:
    """Path of the first client that is there; "", or BuildError with `missing`, without one."""
    # A run may have a PATH that is meant for the inside of its container.
    path = "%s:/usr/local/bin:/usr/bin:/bin" % os.environ.get("PATH", "")
    for name in names:
        try:
            return processes.find_program(name, path, "/")
        except processes.StartError:
            continue
    if missing:
        raise BuildError(missing)
    return ""


def docker_facts(program: str, info: dict[str, Any]) -> dict[str, Any]:
    refuse_another_machine("", str(info.get("KernelVersion", "")))
    if info.get("OSType", "linux") != "linux":
        raise BuildError("The container engine runs %s containers, not Linux." % info["OSType"])
    options = " ".join(info.get("SecurityOptions") or [])
    networks = ask(program, ("network", "ls", "--format", "{{.Name}}"))[1].split()
    return {
        "kind": "docker",
        "rootless": "name=rootless" in options,
        "remapped": "name=userns" in options,
        # With --bridge=none a container that asks for nothing has no network at all.
        "bridge": "bridge" in networks,
        "gpus": "nvidia" in (info.get("Runtimes") or {}) or has_nvidia_tool(),
        "live_restore": bool(info.get("LiveRestoreEnabled")),
    }


def podman_facts(info: dict[str, Any]) -> dict[str, Any]:
    host = info["host"]
    refuse_another_machine("", str(host.get("kernel", "")))
    return {
        "kind": "podman",
        "rootless": bool((host.get("security") or {}).get("rootless")),
        "remapped": False,
        "bridge": True,
        "gpus": has_nvidia_tool(),
        # It has no daemon that could die.
        "live_restore": True,
    }


def has_nvidia_tool() -> bool:
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(os.path.join(p, "nvidia-container-cli"), os.X_OK) for p in path)


def address(program: str) -> str:
    """Where the client reaches its engine, contexts and DOCKER_HOST taken into account."""
    words = ("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    code, out, _ = ask(program, words)
    # Podman knows no contexts, and is where it is.
    return "" if code else out.strip()


def refuse_another_machine(where: str, kernel: str) -> None:
    """Bind mounts and pipes reach only an engine on this very kernel."""
    if where and not where.startswith(("unix://", "fd://")):
        raise BuildError(
            "The container engine is on another machine (%s), where the run's files are not. "
            "Unset DOCKER_HOST or choose a local context (docker context use default), or attach "
            "that machine as a target of its own." % where
        )
    if kernel and kernel != os.uname().release:
        raise BuildError(
            "The container engine runs in a virtual machine (kernel %s, here %s), where the run's "
            "files are not. Use an engine that runs on this machine itself."
            % (kernel, os.uname().release)
        )
