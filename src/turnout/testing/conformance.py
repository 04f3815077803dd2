"""What every kind of target must do. Subclass, give `make_target`, and the kind is proven.

class TestMyTarget(TargetConformance):
    def make_target(self, resources: TargetResources) -> Target[Any]:
        return MyTarget("mine", MyConfig(), resources)
"""

from __future__ import annotations

import hashlib
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from turnout.payload import bundles
from turnout.payload.store import Store
from turnout.spec.environments import EnvironmentSpec
from turnout.spec.runs import RunSpec
from turnout.spec.targets import Observation, ObservedState
from turnout.targets.base import Target, TargetResources, Ticket
from turnout.testing.waiting import until

DRIVER = "azureml-logs/70_driver_log.txt"
BUILD_LOG = "azureml-logs/20_image_build_log.txt"
ENVIRONMENT_LOCK = "azureml-logs/25_environment_lock.txt"
WAIT_FOR_STOP = "import time\nprint('up', flush=True)\ntime.sleep(300)\n"
IGNORE_STOP = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT_FOR_STOP
COUNTER = itertools.count(1)


async def no_progress(message: str) -> None:
    """A `Progress` that nobody reads."""


def add_snapshot(store: Path, files: Mapping[str, str | bytes]) -> str:
    """Put a source folder into a content store; its digest."""
    ingest = Store(str(store)).ingest()
    rows: list[list[Any]] = []
    for name, content in sorted(files.items()):
        data = content.encode() if isinstance(content, str) else content
        ingest.feed(bundles.blob_frame(data))
        rows.append([name, 0, len(data), hashlib.sha256(data).hexdigest()])
    canonical = bundles.canonical_bytes({"files": rows, "links": [], "folders": []})
    ingest.feed(bundles.manifest_frame(canonical) + bundles.END)
    digest = ingest.finish().digest
    assert digest is not None
    return digest


class Bench:
    """One target under test and short words for what tests do with it."""

    def __init__(
        self, make: Callable[[TargetResources], Target[Any]], home: Path, python: str
    ) -> None:
        self.make = make
        self.python = python
        self.changes: list[str] = []
        self.resources = TargetResources(
            home, home / "store", lambda _, handles: self.changes.extend(handles)
        )
        self.target = make(self.resources)

    def ticket(
        self,
        script: str,
        *,
        name: str = "train.py",
        arguments: Sequence[str] = (),
        files: Mapping[str, str | bytes] | None = None,
        **spec: Any,
    ) -> Ticket:
        digest = add_snapshot(self.resources.store, {name: script, **(files or {})})
        wanted: dict[str, Any] = {
            "script": name,
            "arguments": tuple(arguments),
            "snapshot": digest,
            "environment": EnvironmentSpec(user_managed=True, interpreter=self.python),
            "grace_s": 0.5,
            **spec,
        }
        run = f"conformance_{next(COUNTER)}_{digest[:8]}"
        return Ticket(run, 1, "conformance", RunSpec(**wanted))

    def prepares(self, environment: EnvironmentSpec) -> Ticket:
        """A run that makes its environment ready and nothing more."""
        spec = RunSpec(environment=environment, prepare_only=True)
        return Ticket(f"conformance_{next(COUNTER)}_ahead", 1, "conformance", spec)

    async def launch(self, ticket: Ticket) -> str:
        return await self.target.launch(ticket, no_progress)

    async def look(self, handle: str) -> Observation:
        return (await self.target.observe([handle]))[handle]

    async def reached(self, handle: str, *states: ObservedState) -> Observation:
        seen = await self.look(handle)

        async def there() -> bool:
            nonlocal seen
            seen = await self.look(handle)
            return seen.state in states

        await until(there, f"{handle} in {[s.value for s in states]}")
        return seen

    async def ended(self, handle: str) -> Observation:
        return await self.reached(handle, ObservedState.ENDED)

    async def output(self, handle: str, name: str = DRIVER) -> bytes:
        data = b""
        while part := await self.target.read(handle, name, len(data), 1 << 20):
            data += part
        return data

    async def wrote(self, handle: str, text: bytes) -> None:
        async def there() -> bool:
            return text in await self.output(handle)

        await until(there, f"{text!r} in the output of {handle}")

    async def restart(self) -> None:
        """As if the service had been killed: nothing but the handle is known."""
        await self.target.aclose()
        self.target = self.make(self.resources)

    async def nothing_in_use(self) -> bool:
        return not any(e.in_use for e in await self.target.environments())


class TargetConformance(ABC):
    """The cases. `python` is a Python on the target that runs the scripts."""

    python = "python3"

    @abstractmethod
    def make_target(self, resources: TargetResources) -> Target[Any]:
        """The target under test; called again with the same resources it reaches the same
        machine."""

    @pytest_asyncio.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        bench = Bench(self.make_target, tmp_path / "home", self.python)
        yield bench
        await bench.target.aclose()

    async def test_check_finds_no_problem(self, bench: Bench) -> None:
        assert list(await bench.target.check()) == []

    async def test_a_script_runs_in_its_snapshot(self, bench: Bench) -> None:
        script = "import sys, helper\nprint(helper.word, sys.argv[1:])\n"
        ticket = bench.ticket(
            script, files={"helper.py": "word = 'hello'\n"}, arguments=["--a", "b c'\"$x"]
        )
        handle = await bench.launch(ticket)
        seen = await bench.ended(handle)
        assert seen.exit is not None
        assert (seen.exit.reason, seen.exit.code) == ("exited", 0)
        assert await bench.output(handle) == b"hello ['--a', 'b c\\'\"$x']\n"

    async def test_launching_twice_is_one_run(self, bench: Bench) -> None:
        ticket = bench.ticket("print('once')\n")
        first = await bench.launch(ticket)
        assert await bench.launch(ticket) == first
        await bench.ended(first)
        assert await bench.launch(ticket) == first
        assert await bench.output(first) == b"once\n"

    async def test_observed_after_a_restart(self, bench: Bench) -> None:
        script = "import time\nprint('a', flush=True)\ntime.sleep(1.5)\nprint('b')\n"
        handle = await bench.launch(bench.ticket(script))
        await bench.reached(handle, ObservedState.RUNNING)
        await bench.restart()
        seen = await bench.ended(handle)
        assert seen.exit is not None
        assert seen.exit.code == 0
        assert await bench.output(handle) == b"a\nb\n"

    @pytest.mark.parametrize("code", [1, 3, 255])
    async def test_exit_codes_come_back(self, bench: Bench, code: int) -> None:
        handle = await bench.launch(bench.ticket(f"raise SystemExit({code})\n"))
        seen = await bench.ended(handle)
        assert seen.exit is not None
        assert (seen.exit.reason, seen.exit.code) == ("exited", code)

    async def test_a_signal_is_named(self, bench: Bench) -> None:
        script = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
        handle = await bench.launch(bench.ticket(script))
        seen = await bench.ended(handle)
        assert seen.exit is not None
        assert (seen.exit.reason, seen.exit.signal) == ("signaled", 9)

    async def test_stop_is_polite_first(self, bench: Bench) -> None:
        script = (
            "import signal, sys, time\n"
            "def leave(*_):\n    print('saved', flush=True)\n    sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, leave)\n" + WAIT_FOR_STOP
        )
        handle = await bench.launch(bench.ticket(script))
        await bench.wrote(handle, b"up")
        await bench.target.stop(handle, 30)
        await bench.ended(handle)
        assert await bench.output(handle) == b"up\nsaved\n"

    async def test_stop_kills_what_ignores_it(self, bench: Bench) -> None:
        handle = await bench.launch(bench.ticket(IGNORE_STOP))
        await bench.wrote(handle, b"up")
        await bench.target.stop(handle, 0.2)
        await bench.target.stop(handle, 0.2)
        seen = await bench.ended(handle)
        assert seen.exit is not None
        assert seen.exit.reason == "stopped"

    async def test_stop_during_start(self, bench: Bench) -> None:
        handle = await bench.launch(bench.ticket(WAIT_FOR_STOP))
        await bench.target.stop(handle, 0.2)
        seen = await bench.ended(handle)
        assert seen.exit is not None
        assert seen.exit.reason == "stopped"

    async def test_the_time_limit_is_kept(self, bench: Bench) -> None:
        handle = await bench.launch(bench.ticket(WAIT_FOR_STOP, max_run_duration_s=1))
        seen = await bench.ended(handle)
        assert seen.exit is not None
        assert seen.exit.reason == "timeout"

    async def test_gone_is_an_answer(self, bench: Bench) -> None:
        seen = await bench.target.observe(["nobody_1.1", "nobody_2.1"])
        assert {o.state for o in seen.values()} == {ObservedState.ABSENT}
        assert await bench.target.files("nobody_1.1") == []
        assert await bench.target.read("nobody_1.1", DRIVER, 0, 10) == b""
        await bench.target.stop("nobody_1.1", 1)
        await bench.target.forget("nobody_1.1")

    async def test_bytes_that_are_no_text_survive(self, bench: Bench) -> None:
        script = "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 4)\n"
        handle = await bench.launch(bench.ticket(script))
        await bench.ended(handle)
        assert await bench.output(handle) == bytes(range(256)) * 4

    async def test_large_logs_by_offset(self, bench: Bench) -> None:
        script = "for i in range(600_000):\n    print(f'{i:09d} ' + 'x' * 20)\n"
        handle = await bench.launch(bench.ticket(script))
        seen = await bench.ended(handle)
        data = await bench.output(handle)
        assert len(data) == seen.sizes[DRIVER] == 600_000 * 31
        assert data[31 * 599_999 :].startswith(b"000599999 ")
        assert await bench.target.read(handle, DRIVER, 31 * 1000, 9) == b"000001000"

    async def test_a_torn_last_line_is_there_as_it_is(self, bench: Bench) -> None:
        script = (
            "import os, time\n"
            "path = os.path.join(os.environ['TURNOUT_RUN_FOLDER'], 'records.jsonl')\n"
            "with open(path, 'a') as f:\n"
            '    f.write(\'{"t": "metric", "name": "a", "value": 1}\\n{"t": "met\')\n'
        )
        handle = await bench.launch(bench.ticket(script))
        seen = await bench.ended(handle)
        data = await bench.output(handle, "records")
        assert len(data) == seen.sizes["records"]
        assert data.endswith(b'{"t": "met')

    async def test_the_script_logs_with_nothing_installed(self, bench: Bench) -> None:
        script = (
            "from turnout import Run\n"
            "run = Run.get_context()\n"
            "run.log('mse', 0.5)\n"
            "open('model.txt', 'w').write('weights')\n"
            "run.upload_file('models/model.txt', 'model.txt')\n"
        )
        handle = await bench.launch(bench.ticket(script))
        seen = await bench.ended(handle)
        assert seen.exit is not None
        assert seen.exit.code == 0, await bench.output(handle)
        lines = (await bench.output(handle, "records")).splitlines()
        assert [json.loads(line)["t"] for line in lines] == ["metric", "file"]
        assert [f.name for f in await bench.target.files(handle)] == ["models/model.txt"]

    async def test_outputs_come_back_whole(self, bench: Bench, tmp_path: Path) -> None:
        script = (
            "import os\n"
            "os.makedirs('outputs/deep/er')\n"
            "open('outputs/empty', 'w').close()\n"
            "open('outputs/deep/er/na me\\'s.bin', 'wb').write(bytes(range(256)) * 40_000)\n"
            "os.symlink('/etc/hostname', 'outputs/outside')\n"
        )
        handle = await bench.launch(bench.ticket(script))
        await bench.ended(handle)
        files = {f.name: f.size for f in await bench.target.files(handle)}
        assert files == {"outputs/empty": 0, "outputs/deep/er/na me's.bin": 10_240_000}
        into = tmp_path / "into"
        await bench.target.fetch(handle, [*files, "../../etc/passwd"], into, no_progress)
        await bench.target.fetch(handle, list(files), into, no_progress)
        assert (into / "outputs/deep/er/na me's.bin").read_bytes() == bytes(range(256)) * 40_000
        assert (into / "outputs/empty").read_bytes() == b""
        assert sorted(p.name for p in into.rglob("*") if p.is_file()) == ["empty", "na me's.bin"]

    @pytest.mark.parametrize("name", ["a b.py", 'it\'s "q".py', "über/$HOME `x`.py", "-c.py"])
    async def test_hostile_script_names(self, bench: Bench, name: str) -> None:
        handle = await bench.launch(bench.ticket("print('ran')\n", name=name))
        await bench.ended(handle)
        assert await bench.output(handle) == b"ran\n"

    async def test_a_missing_interpreter_says_so(self, bench: Bench) -> None:
        nowhere = EnvironmentSpec(user_managed=True, interpreter="/no/such/python")
        handle = await bench.launch(bench.ticket("", environment=nowhere))
        seen = await bench.ended(handle)
        assert seen.exit is not None
        assert seen.exit.reason == "prepare"
        assert "/no/such/python" in seen.exit.message

    async def test_an_environment_is_made_once_listed_and_pruned(self, bench: Bench) -> None:
        """With the lock beside each run; one in use is never removed."""
        empty = EnvironmentSpec()
        ahead = await bench.launch(bench.prepares(empty))
        seen = await bench.ended(ahead)
        assert seen.exit is not None
        assert (seen.exit.reason, seen.exit.code) == ("exited", 0), seen.exit.message
        (built,) = await bench.target.environments()
        assert (built.ready, built.kind) == (True, "pip")
        # The supervisor that wrote the end holds it until it is gone.
        await until(bench.nothing_in_use, "the environment not to be in use")
        script = "import sys\nprint(sys.prefix)\n" + WAIT_FOR_STOP
        user = await bench.launch(bench.ticket(script, environment=empty))
        await bench.wrote(user, b"up")
        assert built.key.encode() in await bench.output(user)
        assert json.loads(await bench.output(user, ENVIRONMENT_LOCK))["requirements"] == []
        assert await bench.output(user, BUILD_LOG) == b""
        assert [e.in_use for e in await bench.target.environments()] == [True]
        assert await bench.target.prune(None, 0, dry_run=False) == []
        await bench.target.stop(user, 0)
        await bench.ended(user)

        async def pruned() -> bool:
            return [e.key for e in await bench.target.prune(None, 0, dry_run=False)] == [built.key]

        await until(pruned, "the environment to be pruned")
        assert await bench.target.environments() == []

    async def test_nothing_of_the_script_survives_it(self, bench: Bench) -> None:
        script = (
            "import os, subprocess, sys\n"
            "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'],\n"
            "                     start_new_session=True)\n"
            "print(p.pid)\n"
        )
        handle = await bench.launch(bench.ticket(script))
        await bench.ended(handle)
        pid = int(await bench.output(handle))
        probe = f"import os\nprint(os.path.exists('/proc/{pid}'))\n"
        second = await bench.launch(bench.ticket(probe))
        await bench.ended(second)
        assert await bench.output(second) == b"False\n"

    async def test_many_at_once(self, bench: Bench) -> None:
        tickets = [bench.ticket(f"print({i})\n") for i in range(12)]
        handles = [await bench.launch(t) for t in tickets]
        for i, handle in enumerate(handles):
            await bench.ended(handle)
            assert await bench.output(handle) == f"{i}\n".encode()

    async def test_forgotten_runs_leave_nothing(self, bench: Bench) -> None:
        handle = await bench.launch(bench.ticket("print('x')\n"))
        await bench.ended(handle)
        await bench.target.forget(handle)
        await bench.target.forget(handle)
        assert (await bench.look(handle)).state is ObservedState.ABSENT

    async def test_changes_are_hinted(self, bench: Bench) -> None:
        handle = await bench.launch(bench.ticket("print('x')\n"))
        await bench.ended(handle)

        async def told() -> bool:
            return handle in bench.changes

        await until(told, "a hint that the run changed")
