from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout.spec.errors import TargetError
from turnout.spec.targets import ObservedState
from turnout.targets.base import Target, TargetResources
from turnout.targets.ssh import SSHConfig, SSHTarget
from turnout.testing.conformance import Bench, TargetConformance
from turnout.testing.sshd import SSHServer
from turnout.testing.waiting import until

pytestmark = pytest.mark.ssh


@pytest.fixture(scope="module")
def server() -> Iterator[SSHServer]:
    with SSHServer() as server:
        yield server


class TestSSHTarget(TargetConformance):
    @pytest.fixture(autouse=True)
    def machine(self, server: SSHServer, tmp_path: Path) -> None:
        self.server = server
        self.folder = tmp_path / "remote host"

    def make_target(self, resources: TargetResources) -> Target[Any]:
        config = SSHConfig.model_validate(
            {
                "address": self.server.address,
                "port": self.server.port,
                "username": self.server.username,
                "private_key": self.server.user_key.read_text(),
                "host_key": self.server.host_key,
                "folder": str(self.folder),
            }
        )
        return SSHTarget("lab", config, resources)

    async def test_a_cut_connection_is_made_again(self, bench: Bench) -> None:
        script = "import time\nprint('a', flush=True)\ntime.sleep(2)\nprint('b')\n"
        handle = await bench.launch(bench.ticket(script))
        await bench.wrote(handle, b"a")
        self.server.cut()

        async def answered() -> bool:
            try:
                return (await bench.look(handle)).state is not ObservedState.ABSENT
            except TargetError as e:
                if not e.retryable:
                    raise
                return False

        await until(answered, "an answer after the cut")
        seen = await bench.ended(handle)
        assert seen.exit is not None
        assert seen.exit.code == 0
        assert await bench.output(handle) == b"a\nb\n"

    async def test_a_machine_that_is_down_for_a_while(self, bench: Bench) -> None:
        script = "import time\nprint('a', flush=True)\ntime.sleep(2)\nprint('b')\n"
        handle = await bench.launch(bench.ticket(script))
        await bench.wrote(handle, b"a")
        self.server.stop()
        with pytest.raises(TargetError) as caught:
            await bench.look(handle)
        assert caught.value.retryable
        self.server.start()
        await bench.ended(handle)
        assert await bench.output(handle) == b"a\nb\n"
