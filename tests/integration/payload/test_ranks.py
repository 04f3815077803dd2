"""One process of a run, as srun starts it: ended before it began, it leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from turnout.payload import plans
from turnout.payload.ranks import one_of

SLEEPS = [sys.executable, "-c", "import time; time.sleep(300)"]
NODES = [{"node": "a", "address": "a"}, {"node": "b", "address": "b"}]
SERVER = {"kind": "tensorflow", "workers": 1, "parameter_servers": 1}


def test_a_server_whose_workers_are_done_already(tmp_path: Path) -> None:
    ticket = {"distribution": SERVER, "grace_s": 1}
    for number in range(10):
        folder = tmp_path / str(number)
        (folder / plans.RANKS).mkdir(parents=True)
        (folder / plans.RANKS / "0.exit").write_text("{}")
        plan = plans.made(ticket, SLEEPS, NODES, [1, 2, 3])
        (folder / plans.PLAN).write_text(json.dumps(plan))
        done = subprocess.run(
            one_of(str(folder)), env={**os.environ, "SLURM_PROCID": "1"}, timeout=60
        )
        assert done.returncode == 0
        end = json.loads((folder / plans.RANKS / "1.exit").read_text())
        assert end["ended_by_us"]
