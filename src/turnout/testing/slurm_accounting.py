"""What Slurm needs to keep accounts, limits and qualities of service: slurmdbd, and a MariaDB.

Both run in the folder of the `Slurm` that asks for them.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from turnout.testing.dockerd import Unavailable
from turnout.testing.sshd import free_port
from turnout.testing.waiting import wait_until

PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "sacctmgr")
#: In slurm.conf. Limits are held, so each user needs an account: root has one from the start.
CONF = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.sock
AccountingStorageEnforce=limits,qos
"""
DAEMON = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
"""
USER = """\
create user if not exists slurm@'127.0.0.1' identified by '{password}';
grant all on slurm.* to slurm@'127.0.0.1';
"""
DATABASE = """\
--no-defaults
--user=root
--datadir={folder}/database
--socket={folder}/database.sock
--pid-file={folder}/database.pid
--bind-address=127.0.0.1
--port={database_port}
--skip-name-resolve
--innodb-flush-log-at-trx-commit=0
--innodb-log-file-size=8M
--init-file={folder}/database.sql
"""


class Accounting:
    """`start(program, *options)` starts a daemon; `folder` is the Slurm's."""

    def __init__(self, folder: Path, start: Callable[..., None], path: str) -> None:
        self.folder = folder
        self.start_daemon = start
        self.path = path
        self.words = {
            "folder": str(folder),
            "host": socket.gethostname(),
            "port": free_port(),
            "database_port": free_port(),
            "password": secrets.token_hex(8),
        }

    @staticmethod
    def check(path: str) -> None:
        for name in PROGRAMS:
            if not shutil.which(name, path=path):
                raise Unavailable(f"there is no {name}: scripts/slurm installs it")

    def conf(self) -> str:
        """Its lines in slurm.conf."""
        return CONF.format(**self.words)

    def start(self) -> None:
        (self.folder / "slurmdbd.conf").touch(mode=0o600)
        (self.folder / "slurmdbd.conf").write_text(DAEMON.format(**self.words))
        (self.folder / "database.sql").touch(mode=0o600)
        (self.folder / "database.sql").write_text(USER.format(**self.words))
        made = subprocess.run(
            [
                shutil.which("mariadb-install-db", path=self.path) or "mariadb-install-db",
                "--no-defaults",
                "--user=root",
                f"--datadir={self.folder}/database",
                "--auth-root-authentication-method=socket",
                "--skip-test-db",
            ],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise AssertionError(f"mariadb-install-db: {made.stdout}{made.stderr}")
        self.start_daemon("mariadbd", *DATABASE.format(**self.words).split())
        wait_until(lambda: self.listens("database_port"), "MariaDB to listen")
        self.start_daemon("slurmdbd", "-D")
        wait_until(lambda: self.listens("port"), "slurmdbd to listen")

    def listens(self, port: str) -> bool:
        try:
            socket.create_connection(("127.0.0.1", int(self.words[port])), 1).close()
        except OSError:
            return False
        return True
