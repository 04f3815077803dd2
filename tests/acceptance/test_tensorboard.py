"""Runs in TensorBoard: what they log exported, what they write to ./logs shown as they grow."""

from __future__ import annotations

import io
import struct
import urllib.request
import zlib
from pathlib import Path
from typing import Any

import pytest

from turnout import Experiment, ScriptRunConfig, UserErrorException, Workspace
from turnout.client.tensorboard import Tensorboard, export_to_tensorboard
from turnout.testing.waiting import wait_until


def png(width: int, height: int) -> bytes:
    """A black image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(width)) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def events(folder: Path) -> list[tuple[Any, ...]]:
    """(tag, value or size, step) of every event below the folder, read as TensorBoard reads."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    found: list[tuple[Any, ...]] = []
    for path in sorted(folder.rglob("*tfevents*")):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.HasField("image"):
                    shown: Any = (value.image.width, value.image.height)
                else:
                    shown = value.simple_value
                found.append((value.tag, shown, event.step, event.wall_time))
    return found


def test_metrics_are_exported(ws: Workspace, tmp_path: Path, shell: Any) -> None:
    (tmp_path / "plot.png").write_bytes(png(3, 2))
    with Experiment(ws, "board").start_logging() as run:
        run.log("mse", 2.0)
        run.log("mse", 1.0)
        run.log("f1", 0.5, step=40)
        run.log("note", "no number")
        run.log_list("ages", [1, 2])
        run.log_row("fit", x=1, y=0.25)
        run.log_image("plot", path=str(tmp_path / "plot.png"))
        with run.child_run("inner") as child:
            child.log("depth", 3)
    goal = tmp_path / "tb"
    found: list[tuple[Any, ...]] = []
    for _ in range(2):  # once more changes nothing
        export_to_tensorboard(run, goal)
        found = events(goal / run.id)
        assert [x[:3] for x in found] == [
            ("mse", 2.0, 0), ("mse", 1.0, 1), ("f1", 0.5, 40), ("ages", 1.0, 0), ("ages", 2.0, 1),
            ("fit/x", 1.0, 0), ("fit/y", 0.25, 0), ("plot", (3, 2), 0),
        ]  # fmt: skip
        assert [x[:3] for x in events(goal / child.id)] == [("depth", 3.0, 0)]
    times = [x[3] for x in found]
    assert times[:3] == sorted(times[:3])
    _, err = shell.run("run", "tensorboard", run.id, "--logdir", str(tmp_path / "two"))
    assert len(events(tmp_path / "two" / run.id)) == len(found)
    assert f"tensorboard --logdir {tmp_path}/two" in err
    with pytest.raises(UserErrorException, match="not str"):
        export_to_tensorboard(["x"], goal)  # type: ignore[list-item]


GROWS = """
import os, pathlib, time
pathlib.Path("logs/train").mkdir(parents=True)
with open("logs/train/events.out.tfevents.1", "wb", buffering=0) as file:
    file.write(b"first")
    while not os.path.exists({go!r}):
        time.sleep(0.02)
    file.write(b" second")
"""


def test_it_shows_what_a_run_writes(ws: Workspace, tmp_path: Path) -> None:
    go = tmp_path / "go"
    Path("train.py").write_text(GROWS.format(go=str(go)))
    run = Experiment(ws, "board").submit(ScriptRunConfig(".", "train.py"))
    root = tmp_path / "root"
    copy = root / run.id / "logs/train/events.out.tfevents.1"
    board = Tensorboard([run], local_root=root, port=0)
    try:
        url = board.start()
        assert board.start() == url
        with urllib.request.urlopen(url) as answer:
            assert b"TensorBoard" in answer.read()
        wait_until(lambda: copy.exists() and copy.read_bytes() == b"first", "the first part")
        port = int(url.rstrip("/").rpartition(":")[2])
        with pytest.raises(UserErrorException, match=f"did not start on port {port}"):
            Tensorboard([], local_root=tmp_path / "other", port=port).start()
        go.touch()
        said = io.StringIO()
        run.wait_for_completion(show_output=True, out=said)
        assert "second" not in said.getvalue()
        wait_until(lambda: copy.read_bytes() == b"first second", "the second part")
    finally:
        go.touch()
        board.stop()
    assert copy.read_bytes() == b"first second"
