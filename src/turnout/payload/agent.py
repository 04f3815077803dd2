"""The agent: answers the service's requests on stdin and stdout, and starts supervisors.

Contract: docs/design/run-folder.md, "Agent". Nothing depends on its life: what it knows is in
files, and it may be killed and started at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time

from turnout.payload import (
    contents,
    data,
    hostfacts,
    prefixes,
    processes,
    recipes,
    rundir,
    slices,
    supervisor,
    trees,
)
from turnout.payload.bundles import StoreError
from turnout.payload.recipes import PrepareError
from turnout.payload.store import Ingest, Store, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Answer = tuple[dict[str, Any], bytes]

HEAD = struct.Struct(">II")
READ = 1 << 20
#: A frame beyond this is not one of ours.
FRAME_LIMIT = 64 << 20
#: How long a launch waits for a lock that an observer holds for a moment.
LOCK_TRIES = 50
#: Older trash belongs to nobody who still works on it.
TRASH_S = 3600.0


class RequestError(Exception):
    """A request that cannot be met: `code` for programs, the text for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Upload:
    """A tool on its way: written aside, verified, put in its place."""

    def __init__(self, root: str, digest: str, name: str) -> None:
        if not rundir.DIGEST.fullmatch(digest) or not rundir.HANDLE.fullmatch(name):
            raise RequestError("invalid", "%r of %r cannot be a tool." % (name, digest))
        folder = rundir.make_folder(os.path.join(root, rundir.TOOLS, digest))
        self.path = os.path.join(folder, name)
        self.temporary = "%s.%d.tmp" % (self.path, os.getpid())
        self.digest = digest
        self.hash = hashlib.sha256()
        self.file = open(self.temporary, "wb")

    def feed(self, data: bytes) -> None:
        self.hash.update(data)
        self.file.write(data)

    def finish(self) -> None:
        self.file.close()
        if self.hash.hexdigest() != self.digest:
            self.abort()
            raise RequestError("damaged", "The tool arrived damaged. Send it again.")
        os.chmod(self.temporary, 0o700)
        os.rename(self.temporary, self.path)

    def abort(self) -> None:
        self.file.close()
        rundir.remove_quietly(self.temporary)


class Agent:
    """One agent process for the host root `root`."""

    #: The methods that a request may name.
    operations: frozenset[str] = frozenset(
        (
            "hello",
            "launch",
            "missing",
            "put",
            "observe",
            "read",
            "files",
            "fetch",
            "stop",
            "forget",
            "check",
            "environments",
            "prune",
        )
    )

    def __init__(self, root: str, store: Store, payload: str) -> None:
        self.root = root
        self.store = store
        self.payload = payload
        self.boot_id = rundir.boot_id()
        self.uploads: dict[str, Ingest | Upload] = {}
        self.buffer = bytearray()
        self.poll = select.poll()
        self.watch_name = rundir.watch_name()

    # -- the loop ------------------------------------------------------------------------------

    def serve(self) -> None:
        """Answer until stdin ends."""
        watch = rundir.make_folder(os.path.join(self.root, rundir.WATCH))
        pokes = rundir.bind_datagram(watch, self.watch_name)
        try:
            empty_trash(self.root)
            self.send({"id": 0, "ok": hostfacts.facts(self.root, self.boot_id)})
            self.poll.register(0, select.POLLIN)
            self.poll.register(pokes.fileno(), select.POLLIN)
            while True:
                ready = self.wait()
                if pokes.fileno() in ready:
                    self.pass_on(pokes)
                if 0 in ready:
                    data = os.read(0, READ)
                    if not data:
                        return
                    self.buffer += data
                    self.take_frames()
        finally:
            rundir.remove_quietly(os.path.join(watch, self.watch_name))
            for upload in self.uploads.values():
                upload.abort()

    def wait(self) -> list[int]:
        """Sleep until something is to be done; descriptors to look at."""
        ready = [fd for fd, _ in self.poll.poll()]
        processes.reap()
        return ready

    def pass_on(self, pokes: socket.socket) -> None:
        """All that changed since we looked last, as one event."""
        handles: dict[str, None] = {}
        try:
            while len(handles) < 1000:
                handles[pokes.recv(512).decode("ascii", "replace")] = None
        except BlockingIOError:
            pass
        self.changed(list(handles))

    def changed(self, handles: list[str]) -> None:
        self.send({"event": "changed", "handles": handles})

    def take_frames(self) -> None:
        at = 0
        while len(self.buffer) - at >= HEAD.size:
            head, body = HEAD.unpack_from(self.buffer, at)
            if head + body > FRAME_LIMIT:
                raise SystemExit("turnout agent: what came is not a request")
            end = at + HEAD.size + head + body
            if end > len(self.buffer):
                break
            start = at + HEAD.size
            header = bytes(self.buffer[start : start + head])
            self.answer(header, bytes(self.buffer[start + head : end]))
            at = end
        del self.buffer[:at]

    def answer(self, header: bytes, body: bytes) -> None:
        request: dict[str, Any] = {}
        out = b""
        try:
            request = json.loads(header)
            op = request.get("op", "")
            if op not in self.operations:
                raise RequestError("unknown", "This agent knows no %r." % (op,))
            found, out = getattr(self, op)(request, body)
            answer: dict[str, Any] = {"ok": found}
        except RequestError as e:
            answer = failed(e.code, str(e))
        except (StoreError, PrepareError) as e:
            answer = failed("store", str(e))
        except OSError as e:
            where = e.filename if isinstance(e.filename, str) else self.root
            answer = failed("system", str(failure(e, where)))
        except KeyError as e:
            answer = failed("invalid", "The request lacks %s." % e)
        except (TypeError, ValueError, AttributeError) as e:
            answer = failed("invalid", "The request cannot be understood: %s." % e)
        except Exception as e:
            # Whatever it is: the other runs of this host need the agent.
            answer = failed("internal", "A fault of the agent: %r." % (e,))
        self.send({"id": request.get("id") if type(request) is dict else None, **answer}, out)

    def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        data = json.dumps(header, separators=(",", ":")).encode()
        rundir.write_all(1, HEAD.pack(len(data), len(body)) + data + body)

    # -- launching -----------------------------------------------------------------------------

    def launch(self, request: dict[str, Any], body: bytes) -> Answer:
        handle, ticket = request["handle"], request["ticket"]
        folder = rundir.run_folder(self.root, handle)
        if self.begun(folder):
            return {"state": "already"}, b""
        needed = self.needed(ticket)
        if needed is not None:
            return needed, b""
        rundir.make_folder(folder)
        lock = os.open(
            os.path.join(folder, rundir.LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            if not self.take_lock(lock, folder) or self.begun(folder):
                return {"state": "already"}, b""
            # What a launch that was cut may have left. `stop` stays: it was meant for this run.
            trees.remove_tree(os.path.join(folder, rundir.WORK))
            rundir.write_json(os.path.join(folder, rundir.TICKET), ticket)
            self.begin(handle, ticket, lock, request.get("secrets") or {})
        finally:
            os.close(lock)
        return {"state": "launched"}, b""

    def begin(
        self, handle: str, ticket: dict[str, Any], lock: int, secrets: dict[str, str]
    ) -> None:
        """The ticket is in its place: start what carries it out."""
        # The lock goes with the fork: it belongs to the open file, not to the process.
        made = supervisor.Supervisor(self.root, self.store, self.payload, handle, secrets)
        supervisor.fork(made, lock)

    def begun(self, folder: str) -> bool:
        """Whether a supervisor was here. It writes its status before it does anything else."""
        return any(os.path.exists(os.path.join(folder, n)) for n in (rundir.STATUS, rundir.EXIT))

    def take_lock(self, lock: int, folder: str) -> bool:
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                # Held by a supervisor for long, or by an observer for a moment.
                if self.begun(folder):
                    return False
                time.sleep(0.002)
        return False

    def needed(self, ticket: dict[str, Any]) -> dict[str, Any] | None:
        """The answer that names what must be sent first, or None."""
        recipe = recipes.part(ticket, "recipe")
        tools: list[str] = []
        if not recipes.is_ready(self.root, recipe):
            for name, digest in recipes.part(recipe, "tools").items():
                if not os.path.exists(os.path.join(self.root, rundir.TOOLS, digest, name)):
                    tools.append(digest)
        digest = ticket.get("snapshot")
        snapshot = bool(digest) and not self.store.has(str(digest))
        wanted = data.needed(self.store, ticket)
        if not snapshot and not tools and not wanted:
            return None
        return {"state": "need", "snapshot": snapshot, "tools": tools, "data": wanted}

    # -- content -------------------------------------------------------------------------------

    def missing(self, request: dict[str, Any], body: bytes) -> Answer:
        return {}, json.dumps(self.store.missing(json.loads(body))).encode()

    def put(self, request: dict[str, Any], body: bytes) -> Answer:
        name = str(request["upload"])
        upload = self.uploads.get(name)
        if upload is None:
            if request["kind"] == "bundle":
                upload = self.store.ingest()
            elif request["kind"] == "tool":
                upload = Upload(self.root, str(request["digest"]), str(request["name"]))
            else:
                raise RequestError("invalid", "%r cannot be sent." % (request["kind"],))
            self.uploads[name] = upload
        try:
            if body:
                upload.feed(body)
            if request.get("end"):
                del self.uploads[name]
                self.finish(upload, request)
        except BaseException:
            self.uploads.pop(name, None)
            upload.abort()
            raise
        return {}, b""

    def finish(self, upload: Ingest | Upload, request: dict[str, Any]) -> None:
        done = upload.finish()
        asked = request.get("digest")
        if done is not None and asked and done.digest != asked:
            raise RequestError("damaged", "Another snapshot came than was announced.")

    # -- looking -------------------------------------------------------------------------------

    def observe(self, request: dict[str, Any], body: bytes) -> Answer:
        found: dict[str, Any] = {}
        for handle in request["handles"]:
            try:
                found[handle] = self.look(handle)
            except ValueError:
                found[handle] = {"state": "absent"}
        return {"runs": found}, b""

    def look(self, handle: str) -> dict[str, Any]:
        return contents.observe(self.root, handle, self.boot_id)

    def read(self, request: dict[str, Any], body: bytes) -> Answer:
        folder = rundir.run_folder(self.root, request["handle"])
        offset, limit = int(request["offset"]), min(int(request["limit"]), FRAME_LIMIT // 2)
        try:
            fd = contents.open_public(folder, request["name"], contents.watched(folder))
        except FileNotFoundError:
            return {}, b""
        try:
            return {}, contents.read_part(fd, offset, limit)
        finally:
            os.close(fd)

    def files(self, request: dict[str, Any], body: bytes) -> Answer:
        folder = rundir.run_folder(self.root, request["handle"])
        return {"files": contents.list_files(folder, contents.watched(folder))}, b""

    def fetch(self, request: dict[str, Any], body: bytes) -> Answer:
        folder = rundir.run_folder(self.root, request["handle"])
        watch = contents.watched(folder)
        sizes: list[int | None] = []
        parts: list[bytes] = []
        room = FRAME_LIMIT // 2
        for name, offset, limit in request["names"]:
            try:
                fd = contents.open_public(folder, name, watch)
            except OSError:
                sizes.append(None)
                continue
            try:
                data = contents.read_part(fd, offset, min(limit, room)) if room else b""
            finally:
                os.close(fd)
            room -= len(data)
            sizes.append(len(data))
            parts.append(data)
        return {"sizes": sizes}, b"".join(parts)

    # -- ending --------------------------------------------------------------------------------

    def stop(self, request: dict[str, Any], body: bytes) -> Answer:
        folder = rundir.run_folder(self.root, request["handle"])
        grace = {"grace_s": float(request["grace_s"])}
        if not os.path.isdir(folder) or os.path.exists(os.path.join(folder, rundir.EXIT)):
            return {}, b""
        try:
            # Before the pid is looked for: a supervisor that has none yet will find it.
            rundir.write_json(os.path.join(folder, rundir.STOP), grace)
        finally:
            # On a full disk too: the supervisor then keeps to its ticket's grace.
            status: dict[str, Any] = rundir.read_json(os.path.join(folder, rundir.STATUS)) or {}
            pid = status.get("pid")
            if pid and status.get("boot_id") == self.boot_id and contents.is_alive(folder):
                processes.send_signal([pid], signal.SIGTERM)
        return {}, b""

    def forget(self, request: dict[str, Any], body: bytes) -> Answer:
        folder = rundir.run_folder(self.root, request["handle"])
        # With its exit written a supervisor only says so to the agents, and touches no file.
        if contents.is_alive(folder) and not os.path.exists(os.path.join(folder, rundir.EXIT)):
            raise RequestError("running", "The run %s has not ended." % request["handle"])
        trash = rundir.make_folder(os.path.join(self.root, rundir.TRASH))
        there = os.path.join(trash, "%s.%x" % (request["handle"], time.time_ns()))
        try:
            os.rename(folder, there)
        except FileNotFoundError:
            return {}, b""
        in_background(lambda: clear(self.root, there, request["handle"]))
        return {}, b""

    # -- the host ------------------------------------------------------------------------------

    def check(self, request: dict[str, Any], body: bytes) -> Answer:
        return {"problems": hostfacts.problems(self.root, self.store)}, b""

    def environments(self, request: dict[str, Any], body: bytes) -> Answer:
        return {"environments": prefixes.known(self.root)}, b""

    def prune(self, request: dict[str, Any], body: bytes) -> Answer:
        keys: list[str] | None = request.get("keys")
        older, dry = float(request.get("older_than_s") or 0.0), bool(request.get("dry_run"))
        return {"removed": prefixes.prune(self.root, keys, older, dry, in_background)}, b""

    def hello(self, request: dict[str, Any], body: bytes) -> Answer:
        return hostfacts.facts(self.root, self.boot_id), b""


def failed(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def in_background(work: Callable[[], None]) -> None:
    """Do `work` in a child that holds none of our pipes."""
    if not os.fork():
        try:
            supervisor.detach(os.devnull, -1)
            work()
        finally:
            os._exit(0)


def empty_trash(root: str) -> None:
    """Delete what was left by somebody who was killed while deleting."""
    trash = os.path.join(root, rundir.TRASH)
    old = time.time() - TRASH_S
    left = [name for at, name in trees.slots(trash) if at < old]
    if left:
        in_background(lambda: remove_all([os.path.join(trash, name) for name in left]))


def remove_all(paths: list[str]) -> None:
    for path in paths:
        trees.remove_tree(path)


def clear(root: str, folder: str, handle: str) -> None:
    """Give the work tree back and delete the rest of a run folder that lies in the trash; what a
    supervisor that was killed left of its run's cgroups goes too."""
    slices.end_processes(handle)
    trees.give_back(
        os.path.join(folder, rundir.WORK),
        os.path.join(folder, rundir.TREE_RECORD),
        os.path.join(root, rundir.TREES),
        os.path.join(root, rundir.TRASH),
    )
    trees.remove_tree(folder)


def main(argv: list[str]) -> int:
    """`agent --root ROOT [--store STORE] [--engine slurm]`; returns the exit code."""
    options = dict(zip(argv[1::2], argv[2::2]))
    if not argv or argv[0] != "agent" or "--root" not in options:
        print("usage: agent --root ROOT [--store STORE]", file=sys.stderr)
        return 2
    root = os.path.abspath(os.path.expanduser(options["--root"]))
    store = options.get("--store") or os.path.join(root, rundir.STORE)
    # .../PAYLOAD/turnout/payload/agent.py
    payload = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kind = Agent
    if options.get("--engine") == "slurm":
        from turnout.payload.slurm.agent import SlurmAgent as kind
    try:
        rundir.make_folder(os.path.join(root, rundir.RUNS))
        kind(root, Store(os.path.expanduser(store)), payload).serve()
    except BrokenPipeError:
        return 0
    except OSError as e:
        print("turnout agent: %s: %s" % (e.filename or root, e.strerror), file=sys.stderr)
        return 1
    return 0
