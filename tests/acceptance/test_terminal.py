"""What `turnout submit` does on a terminal."""

from __future__ import annotations

import os
import pty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.acceptance.conftest import Shell


def test_the_status_line_is_gone_when_the_script_prints(shell: Shell) -> None:
    shell.write("hello.py", "print('hello')")
    master, slave = pty.openpty()
    with shell.start("submit", "hello.py", stderr_to=slave) as process:
        os.close(slave)
        said = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # Linux says so when the other side is closed
                break
            if not part:
                break
            said += part
        assert process.stdout is not None
        assert process.stdout.read() == b"hello\n"
    os.close(master)
    assert process.returncode == 0
    assert said.startswith(b"Run work_")
    # Whatever was shown on the line was wiped before the end.
    assert said.rpartition(b"\x1b[K")[2] in (b"", said)
