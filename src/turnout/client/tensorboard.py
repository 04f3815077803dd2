"""`Tensorboard`: shows what runs write to `./logs`, while they write it."""

from __future__ import annotations

import collections
import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.client.exceptions import UserErrorException
from turnout.client.http import Client, segment
from turnout.client.run import FINAL
from turnout.client.tensorboard_export import all_runs, export_to_tensorboard, need_tensorboard
from turnout.payload import tracking, values
from turnout.spec.errors import TurnoutError

if TYPE_CHECKING:
    import subprocess

__all__ = ["Tensorboard", "export_to_tensorboard"]

#: Seconds between two looks for more.
LOOK_S = 1.0
START_S = 60.0
#: What a run prints and uses is no event file.
OWN_LOGS = "azureml-logs/"
ADDRESS = re.compile(r"TensorBoard \S+ at (http://\S+)")


class Tensorboard:
    """TensorBoard over the `./logs` folders of runs, and of their children.

    `local_root`: the folder that the files are copied to (a new one). With no runs it is shown as
    it is: what `export_to_tensorboard` wrote, for instance. `port` 0 takes a free one.

    Example::

        tb = Tensorboard([run])
        print(tb.start())
        ...
        tb.stop()
    """

    def __init__(
        self,
        runs: tracking.Run | Iterable[tracking.Run],
        local_root: str | os.PathLike[str] | None = None,
        port: int = 6006,
        **ignored: Any,
    ) -> None:
        unknown = [name for name in ignored if name not in ("use_display_name",)]
        if unknown:
            raise UserErrorException(f"Tensorboard() has no argument '{unknown[0]}'.")
        self._runs = [runs] if isinstance(runs, tracking.Run) else list(runs)
        self._port = port
        if local_root is None:
            import tempfile

            local_root = tempfile.mkdtemp(prefix="turnout-tensorboard-")
        self._root = Path(local_root)
        self._copies: dict[str, Copy] = {}
        self._process: subprocess.Popen[str] | None = None
        self._url = ""
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def local_root(self) -> str:
        return str(self._root)

    def start(self, start_browser: bool = False) -> str:
        """Begin to copy, start TensorBoard; its address. Started already, that is all it gives.

        Raises `UserErrorException` when TensorBoard is not installed or does not start: with what
        it says, for instance that the port is taken.
        """
        if self._process is None or self._process.poll() is not None:
            need_tensorboard()
            self._root.mkdir(parents=True, exist_ok=True)
            self._stopped.clear()
            self._look()
            self._launch()
            if self._runs:
                self._spawn(self._follow)
        if start_browser:
            import webbrowser

            webbrowser.open(self._url)
        return self._url

    def stop(self) -> None:
        """End TensorBoard and the copying. The copied files stay."""
        import subprocess

        self._stopped.set()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for thread in self._threads:
            thread.join()
        self._process, self._threads = None, []

    def __enter__(self) -> Tensorboard:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    # -- below ----------------------------------------------------------------------------------

    def _spawn(self, work: Any, *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _launch(self) -> None:
        import subprocess

        command = [
            *(sys.executable, "-m", "tensorboard.main", "--logdir", str(self._root)),
            *("--host", "127.0.0.1", "--port", str(self._port), "--reload_interval", "2"),
        ]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said: collections.deque[str] = collections.deque(maxlen=20)
        ready = threading.Event()
        self._url = ""
        self._spawn(self._listen, self._process, said, ready)
        ready.wait(START_S)
        if not self._url:
            self.stop()
            raise UserErrorException(
                f"TensorBoard did not start on port {self._port}. It says:\n{''.join(said)}"
            )

    def _listen(self, process: Any, said: Any, ready: threading.Event) -> None:
        """Read all that TensorBoard prints: an unread pipe would stop it one day."""
        for line in process.stdout:
            said.append(line)
            found = ADDRESS.search(line)
            if found:
                self._url = found[1]
                ready.set()
        ready.set()
        process.stdout.close()

    def _follow(self) -> None:
        while not self._stopped.wait(LOOK_S):
            # A service that is away comes back, or somebody will be told by another call.
            with contextlib.suppress(TurnoutError):
                self._look()

    def _look(self) -> None:
        for run in all_runs(self._runs, recursive=True):
            copy = self._copies.get(run.id)
            if copy is None:
                client = run.experiment.workspace.client
                copy = self._copies[run.id] = Copy(client, run.id, self._root / run.id)
            copy.refresh()


class Copy:
    """Copies what a run writes to its watched folders, as it grows."""

    def __init__(self, client: Client, run: str, folder: Path) -> None:
        self.client = client
        self.path = f"/v1/runs/{segment(run)}"
        self.folder = folder
        #: Bytes copied, by name.
        self.sizes: dict[str, int] = {}
        self.whole = False

    def refresh(self) -> None:
        """Take what came since the last time; nothing more once the run is over."""
        if self.whole:
            return
        # Asked first: what is there when it is over is all that there will be.
        over = self.client.get(self.path)["state"] in FINAL
        for log in self.client.get(f"{self.path}/logs")["logs"]:
            if not log["name"].startswith(OWN_LOGS):
                self.take(log["name"], log["size"])
        self.whole = over

    def take(self, name: str, size: int) -> None:
        have = self.sizes.get(name, 0)
        if have >= size:
            return
        goal = self.folder / values.inner_path(name)
        goal.parent.mkdir(parents=True, exist_ok=True)
        # What an earlier copy left there is the beginning of the same file.
        with goal.open("r+b" if goal.exists() else "wb") as file:
            file.seek(have)
            while have < size:
                path = f"{self.path}/logs/{segment(name)}"
                with self.client.open("GET", path, query={"offset": have}) as answer:
                    data = answer.read()
                if not data:
                    break
                file.write(data)
                have += len(data)
        self.sizes[name] = have
