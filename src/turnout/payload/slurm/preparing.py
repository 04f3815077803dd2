"""Makes an environment where Slurm's commands are, before nodes are asked for.

The login machine reaches package indexes where nodes often do not, and nobody's GPUs stand idle
while packages are installed.
"""

from __future__ import annotations

from turnout.payload import rundir
from turnout.payload.following import Stopped
from turnout.payload.processes import StartError
from turnout.payload.recipes import PrepareError
from turnout.payload.store import StoreError
from turnout.payload.supervisor import Supervisor, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Preparer(Supervisor):
    """A supervisor that ends when the environment is ready; then the run is handed over."""

    def carry_out(self) -> None:
        try:
            end = self.try_to_prepare()
        except BaseException as e:
            # The node will try it again, and say what is wrong.
            report(e)
            end = None
        if end is not None:
            self.write_exit(end)
        self.tell_all()

    def try_to_prepare(self) -> dict[str, Any] | None:
        self.take_ticket()
        self.set_status("queued", "Making the environment ready")
        try:
            self.follower.check_stop()
            activation = self.make_environment()
            if self.ticket.get("prepare_only"):
                self.keep(activation)
                return {"reason": "exited", "code": 0}
        except Stopped:
            return {"reason": "stopped", "message": "Stopped before Slurm had it."}
        except (PrepareError, StartError, StoreError) as e:
            return {"reason": "prepare", "message": str(e)}
        return None

    def set_status(self, state: str, message: str, script_pid: int | None = None) -> None:
        super().set_status("queued" if state == "preparing" else state, message, script_pid)

    def tell_all(self) -> None:
        """What this one was is no state of the run any more."""
        rundir.remove_quietly(self.path(rundir.STATUS))
        super().tell_all()
