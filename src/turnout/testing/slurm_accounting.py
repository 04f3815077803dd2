"""Accounting of the test kit's Slurm: slurmdbd, with a MariaDB that hears no network."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from turnout.testing.sshd import free_port
from turnout.testing.waiting import wait_until

#: Debian's slurmdbd, mariadb-server-core and mariadb-client-core.
PROGRAMS = ("slurmdbd", "sacctmgr", "mariadbd", "mariadb-install-db", "mariadb")
CONF = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.sock
AccountingStorageEnforce=associations,limits,qos
"""
DBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
"""
#: An account, and a user in it who may give runs.
ACCOUNT, USER = "lab", "root"
#: Where the client library finds the server.
SOCKET_VARIABLE = "MYSQL_UNIX_PORT"


class Accounting:
    """Its parts, in the folder of a Slurm and with the `environ` of that one's daemons."""

    def __init__(self, folder: Path, environ: Mapping[str, str], path: str) -> None:
        self.folder = folder
        self.path = path
        self.socket = folder / "mariadb.sock"
        self.port = free_port()
        self.environ = {**environ, SOCKET_VARIABLE: str(self.socket)}
        config = folder / "slurmdbd.conf"
        config.touch(0o600)
        config.write_text(DBD_CONF.format(folder=folder, port=self.port))

    def conf(self) -> str:
        """Lines of slurm.conf."""
        return CONF.format(folder=self.folder, port=self.port)

    def start(self, start: Callable[..., None]) -> None:
        """`start(name, *options, environ=)` starts a daemon; munged listens already."""
        data = self.folder / "mariadb"
        subprocess.run(
            [
                self.program("mariadb-install-db"),
                "--no-defaults",
                "--user=root",
                f"--datadir={data}",
                "--skip-test-db",
                # Or it changes owner and mode of a program of the machine's own MariaDB.
                "--rpm",
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )
        start(
            "mariadbd",
            "--no-defaults",
            "--user=root",
            "--skip-networking",
            f"--datadir={data}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder}/mariadb.pid",
            environ=self.environ,
        )
        ask = [self.program("mariadb"), "--no-defaults", f"--socket={self.socket}", "-e", "DO 0"]
        wait_until(lambda: self.succeeds(*ask), "mariadbd to answer")
        start("slurmdbd", "-D", environ=self.environ)
        wait_until(lambda: self.sacctmgr("show", "cluster"), "slurmdbd to answer")
        for words in (
            ("add", "cluster", "turnout"),
            ("add", "account", ACCOUNT),
            ("add", "user", USER, f"account={ACCOUNT}"),
            ("modify", "user", USER, "set", f"defaultaccount={ACCOUNT}"),
        ):
            if not self.sacctmgr(*words):
                raise AssertionError(f"sacctmgr {' '.join(words)} failed")

    def program(self, name: str) -> str:
        return shutil.which(name, path=self.path) or name

    def sacctmgr(self, *words: str) -> bool:
        return self.succeeds(self.program("sacctmgr"), "-i", *words)

    def succeeds(self, *argv: str) -> bool:
        done = subprocess.run(argv, env=self.environ, capture_output=True, timeout=60)
        return not done.returncode
