"""What a further attempt of a run takes over from the one before: its outputs.

So a script can go on from a checkpoint. May be repeated; a folder that is gone is no error.
"""

from __future__ import annotations

import os

from turnout.payload import rundir, slices, trees


def take_over(root: str, before: str, work: str) -> None:
    """Move the outputs of the attempt `before` into `work`, and let its folder go."""
    folder = rundir.run_folder(root, before)
    slices.end_processes(before)
    outputs = os.path.join(folder, rundir.WORK, rundir.OUTPUTS)
    into = rundir.make_folder(os.path.join(work, rundir.OUTPUTS))
    trash = os.path.join(root, rundir.TRASH)
    try:
        names = os.listdir(outputs)
    except OSError:
        names = []
    for name in names:
        there = os.path.join(into, name)
        if os.path.lexists(there):
            # Of the snapshot: what the run wrote since is newer.
            trees.discard(there, trash)
        os.rename(os.path.join(outputs, name), there)
    trees.discard(folder, trash)
