"""`turnout target` with a real sshd: attach, run there, what goes wrong."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from turnout.testing.sshd import SSHServer, make_key, public_line

if TYPE_CHECKING:
    from tests.acceptance.conftest import Shell

pytestmark = pytest.mark.ssh


def where(server: SSHServer, name: str = "lab") -> list[str]:
    return [
        "target", "attach", "ssh", name, "--address", server.address, "--port", str(server.port),
        "--username", server.username,
    ]  # fmt: skip


def test_attach_submit_detach(shell: Shell, server: SSHServer) -> None:
    key = ["--private-key-file", str(server.user_key)]
    err = shell.fails(*where(server), *key)
    fingerprint = err.rpartition("--host-key ")[2].strip()
    assert fingerprint.startswith("SHA256:")
    assert "not SHA256:other" in shell.fails(*where(server), *key, "--host-key", "SHA256:other")
    out, _ = shell.run(*where(server), *key, "--host-key", fingerprint)
    assert "'lab' is ready" in out
    shell.write(
        "train.py",
        "import getpass, os\nfrom turnout import Run\nrun = Run.get_context()\n"
        "print(getpass.getuser())\nrun.log('x', 1)\n"
        "os.makedirs('outputs')\nopen('outputs/m', 'w').write('there')\n",
    )
    out, err = shell.run("submit", "train.py", "--target", "lab")
    assert out == f"{server.username}\n"
    assert "METRIC" in err
    shell.run("run", "download", "-o", "got")
    assert (shell.cwd / "got/outputs/m").read_text() == "there"
    assert "lab" in shell.run("target", "list")[0]
    shown = shell.run("target", "show", "lab", "--json")[0]
    assert "PRIVATE KEY" not in shown
    assert json.loads(shown)["provisioning_state"] == "Succeeded"
    assert "is ready" in shell.run("target", "check", "lab")[0]
    shell.run("target", "detach", "lab")
    assert "no target 'lab'" in shell.fails("target", "show", "lab")


def test_a_key_with_a_passphrase(shell: Shell, server: SSHServer) -> None:
    key = make_key(shell.cwd / "key", passphrase="open sesame")
    server.authorize(public_line(key))
    argv = [*where(server, "locked"), "--yes", "--private-key-file", str(key)]
    assert "--passphrase-stdin" in shell.fails(*argv)

    def attach(passphrase: str, code: int) -> str:
        with shell.start(*argv, "--passphrase-stdin", stdin=subprocess.PIPE) as process:
            out, err = process.communicate(passphrase.encode() + b"\n", timeout=60)
        assert process.returncode == code, err
        assert passphrase.encode() not in out + err
        return (out + err).decode()

    assert "passphrase" in attach("mistaken words", 1).lower()
    assert "'locked' is ready" in attach("open sesame", 0)
    shell.run("target", "detach", "locked")


def test_what_can_be_seen_to_be_wrong_before(shell: Shell, server: SSHServer) -> None:
    (shell.cwd / "no-key").write_text("hello")
    for file, text in (("nowhere", "cannot be read"), ("no-key", "holds no private key")):
        assert text in shell.fails(*where(server), "--private-key-file", file)


def test_an_unreachable_machine(shell: Shell) -> None:
    argv = ["target", "attach", "ssh", "gone", "--address", "127.0.0.1", "--port", "1"]
    _, err = shell.run(*argv, "--username", "nobody", "--yes", code=1)
    assert "'gone' cannot be used" in err
    assert "127.0.0.1" in err
    shell.run("target", "detach", "gone")


def test_a_refused_login(shell: Shell, server: SSHServer) -> None:
    key = make_key(shell.cwd / "stranger")
    _, err = shell.run(*where(server, "refused"), "--yes", "--private-key-file", str(key), code=1)
    assert "'refused' cannot be used" in err
    shell.run("target", "detach", "refused")
