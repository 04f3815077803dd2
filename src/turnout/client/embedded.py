"""Finds the service, and starts the embedded one when there is none."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

from turnout import __version__
from turnout.client.http import Client, TCPEndpoint, UnixConnection
from turnout.spec.errors import ServiceError

START_S = 20.0
STOP_S = 10.0
LOOK_S = 0.01
#: What a notebook's kernel sets for itself and its children.
KERNEL = (
    "JPY_PARENT_PID", "JPY_SESSION_NAME", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "PAGER",
    "GIT_PAGER",
)  # fmt: skip
INLINE = re.compile(r"module://(matplotlib_inline|ipykernel)\b")
#: Lines of the service's log that an error shows.
LOG_LINES = 12

_clients: dict[tuple[str, str, str], Client] = {}


def home_folder() -> Path:
    """`$TURNOUT_HOME`, else `~/.turnout`."""
    return Path(os.environ.get("TURNOUT_HOME") or "~/.turnout").expanduser().absolute()


def is_hosted() -> bool:
    """Whether `TURNOUT_URL` names a service that somebody else runs."""
    return bool(os.environ.get("TURNOUT_URL"))


def default_client() -> Client:
    """The client of the service that the environment names: `TURNOUT_URL` with `TURNOUT_TOKEN`,
    else the embedded one of this user. One per service and process."""
    url, token = os.environ.get("TURNOUT_URL", ""), os.environ.get("TURNOUT_TOKEN", "")
    home = home_folder()
    key = (url, token, str(home))
    if key not in _clients:
        endpoint = TCPEndpoint(url, token) if url else EmbeddedEndpoint(home)
        _clients.setdefault(key, Client(endpoint))
    return _clients[key]


class EmbeddedEndpoint:
    """The service of this user on this machine; started when needed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._token = ""

    @property
    def token(self) -> str:
        if not self._token:
            self._token = (self.home / "token").read_text().strip()
        return self._token

    def connect(self) -> HTTPConnection:
        found = self.announced()
        if found.get("version") not in (None, __version__):
            self.replace(found)
            found = self.announced()
        if "socket" not in found:
            raise FileNotFoundError("no service runs")
        return UnixConnection(str(found["socket"]))

    def describe(self) -> str:
        return str(self.home)

    def announced(self) -> dict[str, object]:
        try:
            found = json.loads((self.home / "service.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def answers(self) -> bool:
        path = self.announced().get("socket")
        if not path:
            return False
        connection = UnixConnection(str(path), timeout=5)
        try:
            connection.connect()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    def revive(self) -> None:
        """Start the service unless it answers; others who want the same wait for the one."""
        self._token = ""
        if not can_serve():
            return  # It is waited for.
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.home / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise ServiceError(
                f"The folder {self.home} cannot be used: {e.strerror}. "
                "Set TURNOUT_HOME to one that is yours."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.answers():
                self.start()
        finally:
            os.close(lock)

    def start(self) -> None:
        import subprocess

        log_path = self.home / "service.log"
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        before = os.fstat(log).st_size
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "turnout.service.server", "--embedded"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=service_environment(self.home),
                start_new_session=True,
                close_fds=True,
            )
        except OSError as e:
            raise ServiceError(f"The service cannot be started: {e}.") from None
        finally:
            os.close(log)
        deadline = time.monotonic() + START_S
        while not self.answers():
            code = process.poll()
            # Exit 0 says that another one runs already; it may not listen yet.
            if code or time.monotonic() > deadline:
                why = f"it ended with code {code}" if code else f"no answer in {START_S:.0f} s"
                process.kill()
                process.wait()
                raise ServiceError(
                    f"The service did not start ({why}). The last lines of {log_path}:\n"
                    + last_lines(log_path, before)
                )
            time.sleep(LOOK_S)
        # It is on its own; without this, Popen would warn that the process still runs.
        process.returncode = 0

    def replace(self, found: dict[str, object]) -> None:
        """End a service of another version. Runs go on; the next one finds them."""
        if not self.answers():
            return
        connection = UnixConnection(str(found["socket"]), timeout=STOP_S)
        with contextlib.suppress(OSError):
            headers = {"Authorization": f"Bearer {self.token}"}
            connection.request("POST", "/v1/shutdown", headers=headers)
            connection.getresponse().read()
        connection.close()
        deadline = time.monotonic() + STOP_S
        while self.answers() and self.announced().get("pid") == found.get("pid"):
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"A service of version {found.get('version')} runs (process "
                    f"{found.get('pid')}) and does not end; this is version {__version__}. End it."
                )
            time.sleep(LOOK_S)
        self.revive()


def can_serve() -> bool:
    """Whether this Python has what the service needs. That of a script may lack it: the SDK's
    files then are those of the machine, lent to the run."""
    from importlib.util import find_spec

    return "TURNOUT_RUN_CLIENT" not in os.environ or find_spec("fastapi") is not None


def service_environment(home: Path) -> dict[str, str]:
    """This process's variables, without those of a run or a notebook's kernel that it may be.

    Scripts on this machine get what the service has: a kernel's drawing into cells and its colours
    are not for them."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("TURNOUT_RUN_")}
    for name in ("TURNOUT_EXPERIMENT", "TURNOUT_ERAS"):
        env.pop(name, None)
    if INLINE.match(env.get("MPLBACKEND", "")):
        del env["MPLBACKEND"]
    if "JPY_PARENT_PID" in env or "JPY_SESSION_NAME" in env:
        for name in KERNEL:
            env.pop(name, None)
    env["TURNOUT_HOME"] = str(home)
    if "PYTHONPATH" in env and "TURNOUT_RUN_FOLDER" in os.environ:
        entries = env["PYTHONPATH"].split(os.pathsep)
        env["PYTHONPATH"] = os.pathsep.join(e for e in entries if Path(e).parent.name != "payload")
    return env


def last_lines(path: Path, offset: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            text = file.read()[-8192:].decode(errors="replace")
    except OSError as e:
        return str(e)
    return "\n".join(text.splitlines()[-LOG_LINES:]) or "(empty)"
