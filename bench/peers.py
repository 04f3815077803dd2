"""Peers, each in its own environment under bench/.venvs, run as their own documentation says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.samples import Sample
from bench.timing import Unavailable, command

VENVS = Path(__file__).parent / ".venvs"
SKLEARN = "scikit-learn>=1.5,<2"


@dataclass(frozen=True)
class Peer:
    """`prepare` writes what the peer needs beside the script and returns the call to be timed."""

    name: str
    requirements: tuple[str, ...]
    prepare: Callable[[Path, Sample, Path], Callable[[], None]]
    #: The same for 100 runs at once, where that takes seconds and not minutes.
    hundred: Callable[[Path, Sample, Path], Callable[[], None]] | None = None


def venv(name: str, requirements: tuple[str, ...]) -> Path:
    """The bin folder of an environment with `requirements`; made once."""
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    folder = VENVS / name
    ready = folder / "ready"
    wanted = "\n".join(requirements)
    if not ready.exists() or ready.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        command([uv, "venv", "-q", "-p", sys.executable, folder])()
        python = folder / "bin" / "python"
        command([uv, "pip", "install", "-q", "--compile-bytecode", "-p", python, *requirements])()
        ready.write_text(wanted)
    return folder / "bin"


def place(sample: Sample, home: Path) -> Path:
    """A folder of the peer's own with the script in it."""
    folder = home / sample.name
    folder.mkdir(parents=True)
    shutil.copy(sample.script, folder)
    return folder


SUBMITIT = """import runpy, submitit, sys
executor = submitit.LocalExecutor(folder={logs!r})
executor.update_parameters(timeout_min=5)
runs = [executor.submit(runpy.run_path, {script!r}) for _ in range(int(sys.argv[1]))]
for run in runs:
    run.exception()
"""


def submitit(bin_: Path, sample: Sample, home: Path, count: int = 1) -> Callable[[], None]:
    folder = place(sample, home)
    driver = folder / "driver.py"
    driver.write_text(SUBMITIT.format(logs=str(folder / "logs"), script=str(folder / "train.py")))
    return command([bin_ / "python", driver, str(count)], cwd=folder)


METAFLOW = """import runpy
from metaflow import FlowSpec, step

class Train(FlowSpec):
    @step
    def start(self):
        self.items = list(range({count}))
        self.next(self.train{foreach})

    @step
    def train(self):
        runpy.run_path({script!r})
        self.next(self.{after})
{join}
    @step
    def end(self):
        pass

if __name__ == "__main__":
    Train()
"""
METAFLOW_JOIN = """
    @step
    def join(self, inputs):
        self.next(self.end)
"""


def metaflow(bin_: Path, sample: Sample, home: Path, count: int = 1) -> Callable[[], None]:
    folder = place(sample, home)
    flow = folder / "flow.py"
    many = count > 1
    flow.write_text(
        METAFLOW.format(
            script=str(folder / "train.py"),
            count=count,
            foreach=', foreach="items"' if many else "",
            after="join" if many else "end",
            join=METAFLOW_JOIN if many else "",
        )
    )
    env = {
        "METAFLOW_USER": "bench",
        "METAFLOW_HOME": str(folder),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder / "store"),
    }
    argv = [bin_ / "python", flow, "--no-pylint", "run", "--max-num-splits", "200"]
    return command([*argv, "--max-workers", "2"], cwd=folder, env=env)


def mlflow(bin_: Path, sample: Sample, home: Path) -> Callable[[], None]:
    folder = place(sample, home)
    (folder / "MLproject").write_text(
        "name: bench\nentry_points:\n  main:\n    command: python train.py\n"
    )
    env = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{bin_}:/usr/local/bin:/usr/bin:/bin",
    }
    return command([bin_ / "mlflow", "run", ".", "--env-manager", "local"], cwd=folder, env=env)


def guild(bin_: Path, sample: Sample, home: Path) -> Callable[[], None]:
    folder = place(sample, home)
    (home / "guild").mkdir(exist_ok=True)
    env = {"GUILD_HOME": str(home / "guild"), "PYTHONWARNINGS": "ignore"}
    return command([bin_ / "guild", "run", "-y", "train.py"], cwd=folder, env=env)


def dvc(bin_: Path, sample: Sample, home: Path) -> Callable[[], None]:
    folder = place(sample, home)
    (folder / "dvc.yaml").write_text(
        f"stages:\n  train:\n    cmd: {bin_ / 'python'} train.py\n"
        "    deps: [train.py]\n    always_changed: true\n"
    )
    name = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for argv in (
        ["git", "init", "-q"],
        [str(bin_ / "dvc"), "init", "-q"],
        [str(bin_ / "dvc"), "config", "core.analytics", "false"],
        ["git", "add", "-A"],
        ["git", *name, "commit", "-qm", "bench"],
    ):
        command(argv, cwd=folder)()
    env = {
        "GIT_AUTHOR_NAME": "bench",
        "GIT_AUTHOR_EMAIL": "bench@localhost",
        "GIT_COMMITTER_NAME": "bench",
        "GIT_COMMITTER_EMAIL": "bench@localhost",
    }
    return command([bin_ / "dvc", "exp", "run", "-q"], cwd=folder, env=env)


#: Upper bounds: a fresh release of a peer must not change what is compared.
PEERS = (
    Peer(
        "submitit LocalExecutor",
        ("submitit>=1.5,<1.6", SKLEARN),
        submitit,
        lambda bin_, sample, home: submitit(bin_, sample, home, 100),
    ),
    Peer(
        "metaflow run",
        ("metaflow>=2.19,<2.20", "setuptools<81", SKLEARN),
        metaflow,
        lambda bin_, sample, home: metaflow(bin_, sample, home, 100),
    ),
    Peer("mlflow run --env-manager local", ("mlflow>=3.1,<4", "setuptools<81", SKLEARN), mlflow),
    Peer("guild run", ("guildai>=0.9,<0.10", "setuptools<81", SKLEARN), guild),
    Peer("dvc exp run", ("dvc>=3.60,<4", SKLEARN), dvc),
)


def install(peer: Peer) -> Path:
    """The peer's bin folder; `Unavailable` when it will not install."""
    try:
        return venv(peer.name.split()[0], peer.requirements)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(str(error)) from None
