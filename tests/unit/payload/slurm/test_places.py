"""Batches whose runs are gone leave nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

from turnout.payload import rundir
from turnout.payload.slurm import places


def test_old_batches_go_when_their_runs_are_gone(tmp_path: Path) -> None:
    root = str(tmp_path)
    places.tidy(root)
    rundir.make_folder(str(tmp_path / places.FOLDER))
    rundir.make_folder(rundir.run_folder(root, "e_1_ab.1"))
    old = time.time() - 2 * places.KEPT_S
    for name, handles, age in (
        ("held", ["e_1_ab.1", "e_2_ab.1"], old),
        ("gone", ["e_2_ab.1"], old),
        ("new", ["e_2_ab.1"], time.time()),
    ):
        rundir.write_json(places.batch_path(root, name), {"handles": handles})
        os.utime(places.batch_path(root, name), (age, age))
    rundir.write_json(places.batch_path(root, "odd"), ["no", "mapping"])
    os.utime(places.batch_path(root, "odd"), (old, old))
    places.tidy(root)
    left = sorted(path.stem for path in (tmp_path / places.FOLDER).iterdir())
    assert left == ["held", "new"]
