"""What a further attempt of a run takes over from those before: their outputs and uploads.

So a script can go on from a checkpoint. May be repeated; a folder that is gone is no error.
"""

from __future__ import annotations

import os

from turnout.payload import rundir, slices, trees


def take_over(root: str, before: str, work: str) -> None:
    """Move outputs and uploads of the attempt `before` beside those of `work`, which is the work
    folder of the next one, and let the folder of `before` go.

    An attempt may have been lost while it did just this: what it had not taken yet goes its way
    first. So what is left of all attempts arrives, the newest of each name.
    """
    run, _, number = before.rpartition(".")
    for attempt in range(1, int(number)):
        after = rundir.run_folder(root, "%s.%d" % (run, attempt + 1))
        move(root, "%s.%d" % (run, attempt), os.path.join(after, rundir.WORK))
    move(root, before, work)


def move(root: str, handle: str, work: str) -> None:
    folder = rundir.run_folder(root, handle)
    slices.end_processes(handle)
    if not os.path.isdir(folder):
        return
    trash = os.path.join(root, rundir.TRASH)
    for part, into in (
        (os.path.join(rundir.WORK, rundir.OUTPUTS), os.path.join(work, rundir.OUTPUTS)),
        (rundir.FILES, os.path.join(os.path.dirname(work), rundir.FILES)),
    ):
        move_into(os.path.join(folder, part), into, trash)
    trees.discard(folder, trash)


def move_into(source: str, into: str, trash: str) -> None:
    """Move what lies in `source`. What has the same name in `into` is of the snapshot, and older.

    A link that the script made in its place leads to what is not ours to move.
    """
    try:
        names = [] if os.path.islink(source) else os.listdir(source)
    except OSError:
        return
    if not names:
        return
    rundir.make_folder(into)
    for name in names:
        there = os.path.join(into, name)
        if os.path.isdir(there) and not os.path.islink(there):
            trees.discard(there, trash)
        elif os.path.lexists(there):
            os.remove(there)
        os.rename(os.path.join(source, name), there)
