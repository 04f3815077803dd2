"""A plain, blocking client of the agent protocol, for tests with real processes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import select
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

from turnout.hosts import payload_zip
from turnout.payload import bundles

HEAD = struct.Struct(">II")
PATIENCE_S = 60.0

START = "import sys; sys.path.insert(0, sys.argv[1]); sys.argv[:] = ['agent', *sys.argv[2:]]\n"
START += "from turnout.payload.agent import main; sys.exit(main(sys.argv[1:]))"


def unpack_payload(into: Path) -> Path:
    """The payload as it lies on a host."""
    with zipfile.ZipFile(io.BytesIO(payload_zip.payload().data)) as packed:
        packed.extractall(into)
    return into


class AgentFault(Exception):
    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code = error["code"]


class Driver:
    """An agent process and the way to talk to it."""

    def __init__(
        self, root: Path, payload: Path, python: str = sys.executable, store: Path | None = None
    ) -> None:
        self.root = root
        argv = [python, "-I", "-S", "-c", START, str(payload), "agent", "--root", str(root)]
        if store is not None:
            argv += ["--store", str(store)]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.events: list[str] = []
        self.count = 0
        self.hello = self.read_answer()[0]["ok"]

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def read_frame(self) -> tuple[dict[str, Any], bytes]:
        assert self.process.stdout
        head = self.process.stdout.read(HEAD.size)
        if len(head) < HEAD.size:
            raise EOFError("the agent ended")
        header, body = HEAD.unpack(head)
        return json.loads(self.process.stdout.read(header)), self.process.stdout.read(body)

    def read_answer(self) -> tuple[dict[str, Any], bytes]:
        while True:
            header, body = self.read_frame()
            if "event" not in header:
                return header, body
            self.events += header["handles"]

    def send(self, op: str, body: bytes = b"", **params: Any) -> None:
        assert self.process.stdin
        self.count += 1
        header = json.dumps({"id": self.count, "op": op, **params}).encode()
        self.process.stdin.write(HEAD.pack(len(header), len(body)) + header + body)
        self.process.stdin.flush()

    def call(self, op: str, body: bytes = b"", **params: Any) -> tuple[dict[str, Any], bytes]:
        self.send(op, body, **params)
        answer, data = self.read_answer()
        assert answer["id"] == self.count
        if "error" in answer:
            raise AgentFault(answer["error"])
        return answer["ok"], data

    def wait_event(self, timeout_s: float = PATIENCE_S) -> str:
        """The next handle that changed."""
        while not self.events:
            assert self.process.stdout
            # The pipe is read exactly by frames, so nothing waits in Python's buffer unseen
            # longer than a frame.
            if (
                not self.process.stdout.peek(1)
                and not select.select(  # type: ignore[attr-defined]
                    [self.process.stdout], [], [], timeout_s
                )[0]
            ):
                raise TimeoutError("no event")
            header, _ = self.read_frame()
            self.events += header.get("handles", [])
        return self.events.pop(0)

    # -- what tests do -------------------------------------------------------------------------

    def launch(self, handle: str, argv: list[str], **more: Any) -> dict[str, Any]:
        return self.call("launch", handle=handle, ticket=ticket(handle, argv, **more))[0]

    def observe(self, handle: str) -> dict[str, Any]:
        return self.call("observe", handles=[handle])[0]["runs"][handle]

    def wait(self, handle: str, *states: str) -> dict[str, Any]:
        """Observe until one of the states is reached (default: ended or lost)."""
        wanted = states or ("ended", "lost")
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = self.observe(handle)
            if found["state"] in wanted:
                return found
            time.sleep(0.005)
        raise TimeoutError(f"{handle} is {found}, not {wanted}")

    def wait_log(self, handle: str, text: bytes, name: str = "driver") -> bytes:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = self.log(handle, name)
            if text in found:
                return found
            time.sleep(0.005)
        raise TimeoutError(f"no {text!r} in {found!r}")

    def log(self, handle: str, name: str = "driver", offset: int = 0) -> bytes:
        names = {
            "driver": "azureml-logs/70_driver_log.txt",
            "environment": "azureml-logs/20_image_build_log.txt",
            "control": "azureml-logs/60_control_log.txt",
        }
        name = names.get(name, name)
        return self.call("read", handle=handle, name=name, offset=offset, limit=1 << 20)[1]

    def send_tree(self, files: dict[str, bytes], **more: Any) -> str:
        data, digest = bundle(files, **more)
        for start in range(0, len(data), 1 << 20):
            part = data[start : start + (1 << 20)]
            self.call("put", part, upload="s", kind="bundle", digest=digest, name="")
        self.call("put", upload="s", kind="bundle", digest=digest, name="", end=True)
        return digest


def bundle(
    files: dict[str, bytes],
    links: dict[str, str] | None = None,
    folders: list[str] | None = None,
    executable: tuple[str, ...] = (),
) -> tuple[bytes, str]:
    """A bundle of a small tree and its digest."""
    rows = [
        [path, int(path in executable), len(data), hashlib.sha256(data).hexdigest()]
        for path, data in sorted(files.items())
    ]
    manifest = {
        "files": rows,
        "links": [list(link) for link in sorted((links or {}).items())],
        "folders": sorted(folders or []),
    }
    canonical = bundles.canonical_bytes(manifest)
    frames = [bundles.blob_frame(data) for data in files.values()]
    data = b"".join(frames) + bundles.manifest_frame(canonical) + bundles.END
    return data, bundles.manifest_digest(canonical)


def ticket(handle: str, argv: list[str], **more: Any) -> dict[str, Any]:
    run, _, attempt = handle.rpartition(".")
    prefix = more.pop("python", sys.executable)
    return {
        "run": run,
        "attempt": int(attempt),
        "experiment": "exp",
        "argv": argv,
        "command": False,
        "snapshot": None,
        "recipe": {"key": None, "activation": {"argv_prefix": [prefix]}},
        "variables": {},
        "max_duration_s": 600,
        "grace_s": 2.0,
        "watch": ["logs"],
        "heartbeat_s": 5.0,
        **more,
    }


def python_versions() -> list[str]:
    """Other Pythons on this machine, by pyenv's folder."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    wanted = ("3.8.", "3.9.", "3.10.", "3.11.", "3.12.", "3.13.")
    return sorted(str(p / "bin" / "python") for p in root.glob("3.*") if p.name.startswith(wanted))
