"""One shared connection: commands, pipes, cuts, hung hosts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from turnout.hosts import ssh_connect
from turnout.hosts.agent import Agent
from turnout.hosts.ssh import SSHHost, SSHSettings
from turnout.spec.errors import TargetError
from turnout.testing.sshd import SSHServer, processes

pytestmark = pytest.mark.ssh
MakeHost = Callable[[SSHSettings], SSHHost]
HOSTILE = [
    "",
    " ",
    "a b",
    "it's",
    '"',
    "$HOME",
    "`id`",
    "!x",
    "a\\b\\\\c",
    "*",
    "~",
    "\n",
    "-n",
    "é☃",
]


@pytest.fixture
def host(server: SSHServer, make_host: MakeHost) -> SSHHost:
    return make_host(server.settings())


async def until(claim: Callable[[], object]) -> None:
    """Wait until `claim` holds, however slow the machine; fail after a minute."""
    for _ in range(6000):
        if claim():
            return
        await asyncio.sleep(0.01)
    pytest.fail("waited for a minute in vain")


def runs(word: str) -> bool:
    """A process has this word on its command line."""
    for pid, _, _ in processes():
        with contextlib.suppress(OSError):
            if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return True
    return False


async def test_output_error_and_code(host: SSHHost) -> None:
    done = await host.run(["sh", "-c", "cat; echo oops >&2; exit 3"], stdin=b"\x00in\xff")
    assert (done.code, done.out, done.err) == (3, b"\x00in\xff", b"oops\n")


async def test_signal(host: SSHHost) -> None:
    # The parent is the login shell itself.
    assert (await host.run(["sh", "-c", "kill -TERM $PPID"])).code == -15


async def test_words_arrive_as_they_are(host: SSHHost) -> None:
    done = await host.run(["printf", "%s|", *HOSTILE])
    assert done.out.decode() == "".join(f"{word}|" for word in HOSTILE)


async def test_environment(host: SSHHost) -> None:
    done = await host.run(["sh", "-c", 'printf %s "$GREETING"'], env={"GREETING": "it's\n$1"})
    assert done.out == b"it's\n$1"


async def test_unknown_command(host: SSHHost) -> None:
    assert (await host.run(["no-such-command"])).code == 127


async def test_large_streams(host: SSHHost) -> None:
    data = bytes(range(256)) * 80_000
    assert (await host.run(["cat"], stdin=data)).out == data


async def test_input_that_nobody_reads(host: SSHHost) -> None:
    assert (await host.run(["true"], stdin=b"x" * 10_000_000)).code == 0


async def test_many_commands_on_one_connection(server: SSHServer, host: SSHHost) -> None:
    done = await asyncio.gather(*(host.run(["echo", str(i)]) for i in range(40)))
    assert [int(d.out) for d in done] == list(range(40))
    assert server.log.count("Accepted publickey") == 1


async def test_timeout_kills_the_command(server: SSHServer, host: SSHHost) -> None:
    if server.username == "root":
        pytest.skip("sshd takes no signals for the commands of root")
    with pytest.raises(TargetError, match=r"did not end within 0\.5 s") as caught:
        await host.run(["sleep", "98765"], timeout_s=0.5)
    assert caught.value.retryable
    await until(lambda: not runs("98765"))
    assert (await host.run(["true"])).code == 0


class TestSpawn:
    async def test_pipes(self, host: SSHHost) -> None:
        process = await host.spawn(["cat"])
        await process.write(b"abc")
        assert await process.read(2) == b"ab"
        assert await process.read(10) == b"c"
        await process.aclose()
        await process.aclose()
        assert await process.read(10) == b""

    async def test_errors_are_kept_in_part(self, host: SSHHost) -> None:
        process = await host.spawn(["sh", "-c", "seq 1 10000 >&2; echo done"])
        assert await process.read(10) == b"done\n"
        assert await process.read(10) == b""
        assert process.errors().endswith("10000\n")
        assert len(process.errors()) <= 8192

    async def test_slow_reader_holds_the_writer_back(self, host: SSHHost) -> None:
        process = await host.spawn(["head", "-c", "60000000", "/dev/zero"])
        first = await process.read(1)
        size = len(first)
        while data := await process.read(1 << 20):
            size += len(data)
        assert size == 60_000_000

    async def test_write_to_one_that_ended(self, host: SSHHost) -> None:
        process = await host.spawn(["true"])
        assert await process.read(1) == b""
        with pytest.raises(TargetError) as caught:
            await process.write(b"x" * 10_000_000)
        assert caught.value.retryable

    async def test_closing_ends_one_that_ignores_its_input(
        self, server: SSHServer, host: SSHHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The wait is for politeness only; nothing here is polite.
        monkeypatch.setattr("turnout.hosts.ssh.CLOSE_S", 0.05)
        process = await host.spawn(["sleep", "98764"])
        await process.aclose()
        assert await process.read(1) == b""
        assert (await host.run(["true"])).code == 0


async def test_frames_of_many_callers_stay_whole(host: SSHHost) -> None:
    root = f"~/agent-{time.time_ns()}"
    agent = await Agent.connect(host, root, where="lab", changed=lambda handles: None)
    try:
        large = [agent.call("observe", bytes(3 << 20), handles=[]) for _ in range(4)]
        small = [agent.call("observe", b"x", handles=[]) for _ in range(20)]
        answers = await asyncio.wait_for(asyncio.gather(*large, *small), 30)
        assert all(answer == {"runs": {}} for answer, _ in answers)
        cut = asyncio.create_task(agent.call("observe", bytes(7 << 20), handles=[]))
        await asyncio.sleep(0.001)
        cut.cancel()
        await asyncio.gather(cut, return_exceptions=True)
        # Half a frame may have gone out: the next caller is told at once and connects anew.
        if not agent.alive:
            with pytest.raises(TargetError) as caught:
                await asyncio.wait_for(agent.call("observe", handles=[]), 30)
            assert caught.value.retryable
        else:
            await asyncio.wait_for(agent.call("observe", handles=[]), 30)
    finally:
        await agent.aclose()
        await host.run(["sh", "-c", f"rm -rf {root}"])


class TestCut:
    async def test_command_under_way_is_lost(self, server: SSHServer, host: SSHHost) -> None:
        process = await host.spawn(["cat"])
        await process.write(b"ready")
        assert await process.read(5) == b"ready"
        # No other process has this number, not even one that an ended test left behind.
        seconds = f"60.{time.time_ns()}"
        running = asyncio.create_task(host.run(["sleep", seconds]))
        await until(lambda: runs(seconds))
        server.cut()
        with pytest.raises(TargetError, match=r"connection .* was lost") as caught:
            await running
        assert caught.value.retryable
        assert await process.read(5) == b""
        with pytest.raises(TargetError, match="lost"):
            await process.write(b"more")

    async def test_made_again(self, server: SSHServer, host: SSHHost) -> None:
        for _ in range(3):
            assert (await host.run(["true"])).code == 0
            server.cut()
        done = await asyncio.gather(*(host.run(["echo", "x"]) for _ in range(12)))
        assert {d.out for d in done} == {b"x\n"}
        assert server.log.count("Accepted publickey") == 4

    async def test_server_stopped_and_started(self, server: SSHServer, host: SSHHost) -> None:
        assert (await host.run(["true"])).code == 0
        server.stop()
        failures = await asyncio.gather(
            *(host.run(["true"]) for _ in range(5)), return_exceptions=True
        )
        for failure in failures:
            assert isinstance(failure, TargetError)
            assert failure.retryable
            assert "refused the connection" in failure.message
        server.start()
        assert (await host.run(["true"])).code == 0


class TestHungHost:
    async def test_command_times_out_and_works_later(
        self, server: SSHServer, host: SSHHost
    ) -> None:
        assert (await host.run(["true"])).code == 0
        server.pause()
        with pytest.raises(TargetError) as caught:
            await host.run(["true"], timeout_s=0.3)
        assert caught.value.retryable
        server.resume()
        assert (await host.run(["true"])).code == 0

    async def test_login_times_out(self, server: SSHServer, make_host: MakeHost) -> None:
        server.pause()
        host = make_host(replace(server.settings(), connect_timeout_s=0.4))
        with pytest.raises(TargetError, match=r"did not answer within 0\.4 s") as caught:
            await host.run(["true"])
        assert caught.value.retryable

    @pytest.fixture
    def quick_keepalive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # The real 15 s are too long for a test; nothing else changes.
        monkeypatch.setattr(ssh_connect, "KEEPALIVE_S", 0.1)

    async def test_dead_link_is_noticed(
        self, server: SSHServer, host: SSHHost, quick_keepalive: None
    ) -> None:
        process = await host.spawn(["cat"])
        server.pause()
        assert await process.read(1) == b""
        assert host.link is not None
        assert not host.link.alive
        server.resume()
        assert (await host.run(["true"])).code == 0


async def test_too_many_sessions(server: SSHServer, make_host: MakeHost) -> None:
    server.options += ["MaxSessions 2", "LogLevel DEBUG1"]
    server.restart()
    host = make_host(server.settings())
    held = [await host.spawn(["cat"]) for _ in range(2)]
    with pytest.raises(TargetError, match="MaxSessions") as caught:
        await host.run(["true"])
    assert caught.value.retryable
    await held.pop().aclose()
    await until(lambda: session_ended(server))
    assert (await host.run(["true"])).code == 0


def session_ended(server: SSHServer) -> bool:
    return "Close session" in server.log


async def test_closing_ends_the_connection(server: SSHServer, host: SSHHost) -> None:
    await host.spawn(["cat"])
    assert server.connections()
    await host.aclose()
    await until(lambda: not server.connections())
    await host.aclose()


async def test_closing_while_connecting(server: SSHServer, make_host: MakeHost) -> None:
    server.pause()
    host = make_host(server.settings())
    running = asyncio.create_task(host.run(["true"]))
    await until(lambda: host.opening is not None)
    await host.aclose()
    with pytest.raises((TargetError, asyncio.CancelledError)):
        await running


async def test_canceled_caller_does_not_disturb_others(server: SSHServer, host: SSHHost) -> None:
    server.pause()
    first = asyncio.create_task(host.run(["true"]))
    second = asyncio.create_task(host.run(["echo", "x"]))
    await until(lambda: host.opening is not None)
    first.cancel()
    server.resume()
    assert (await second).out == b"x\n"
    with pytest.raises(asyncio.CancelledError):
        await first
