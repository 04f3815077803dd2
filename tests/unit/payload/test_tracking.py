"""`Run` in a script: records in the run folder, printing without one, on every Python."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from turnout.payload import rundir, tracking, values
from turnout.payload.tracking import Run, TrackingError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run around this process."""
    folder = tmp_path / "exp_1.1"
    folder.mkdir()
    monkeypatch.setenv(rundir.RUN_FOLDER_VARIABLE, str(folder))
    monkeypatch.setenv(rundir.RUN_ID_VARIABLE, "exp_1")
    monkeypatch.setenv(rundir.EXPERIMENT_VARIABLE, "exp")
    monkeypatch.setattr(tracking, "_current", {})
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv(rundir.RUN_FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(tracking, "_current", {})
    return Run.get_context()


def records(folder: Path) -> list[dict[str, object]]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    lines = (folder / "records.jsonl").read_text().splitlines()
    found = [json.loads(line, parse_constant=refuse) for line in lines]
    for record in found:
        assert abs(record.pop("at") - time.time()) < 60
    return found


class Scalar:
    """Looks like a NumPy scalar or array."""

    def __init__(self, value: object) -> None:
        self.value = value
        self.dtype = "float64"
        self.shape = ()

    def tolist(self) -> object:
        return self.value


class Frame:
    columns = ("a", "b")

    def to_dict(self, orient: str) -> dict[str, list[int]]:
        assert orient == "list"
        return {"a": [1, 2], "b": [3, 4]}


class Figure:
    def savefig(self, file: io.BytesIO, format: str) -> None:
        file.write(f"picture as {format}".encode())


# -- in a run ----------------------------------------------------------------------------------


def test_context_is_the_run_around_and_stays_the_same(folder: Path) -> None:
    run = Run.get_context(allow_offline=False)
    assert run is Run.get_submitted_run()
    assert (run.id, run.experiment.name, run.status) == ("exp_1", "exp", "Running")
    assert run.type == "azureml.scriptrun"


@pytest.mark.parametrize(("told", "attempt"), [("3", 3), ("", 1), ("x", 1)])
def test_a_script_knows_which_attempt_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, told: str, attempt: int
) -> None:
    monkeypatch.setenv("TURNOUT_RUN_ATTEMPT", told)
    assert Run.get_context().attempt == attempt


def test_info_of_the_service_is_known_at_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = {"tags": {"a": "1"}, "properties": {"p": "x"}, "display_name": "nice", "number": 7}
    monkeypatch.setenv(tracking.INFO_VARIABLE, json.dumps(info))
    run = Run.get_context()
    assert (run.tags, run.properties) == ({"a": "1"}, {"p": "x"})
    assert (run.display_name, run.number, run.attempt) == ("nice", 7, 1)
    with pytest.raises(TrackingError, match="'p' is 'x' and cannot be changed to 'y'"):
        run.add_properties({"p": "y"})


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (1, 1),
        (0.5, 0.5),
        ("text", "text"),
        (True, True),
        (Decimal("0.25"), 0.25),
        (Scalar(3), 3),
        (Scalar(Scalar(2.5)), 2.5),
        (math.nan, {"$float": "NaN"}),
        (math.inf, {"$float": "Infinity"}),
        (-math.inf, {"$float": "-Infinity"}),
        (Scalar(math.nan), {"$float": "NaN"}),
    ],
)
def test_log_writes_one_strict_record(folder: Path, given: object, written: object) -> None:
    Run.get_context().log("mse", given)
    assert records(folder) == [{"t": "metric", "name": "mse", "value": written}]


@pytest.mark.parametrize("bad", [None, object(), [1], {"a": 1}, b"x", 1j, lambda: 1])
def test_log_refuses_what_is_no_scalar_and_writes_nothing(folder: Path, bad: object) -> None:
    with pytest.raises(TrackingError, match="The metric 'mse'"):
        Run.get_context().log("mse", bad)
    assert not (folder / "records.jsonl").exists()


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_a_metric_needs_a_name(folder: Path, name: object) -> None:
    with pytest.raises(TrackingError, match="needs a name"):
        Run.get_context().log(name, 1)  # type: ignore[arg-type]


def test_steps_are_for_all_values_of_a_name_or_for_none(folder: Path) -> None:
    run = Run.get_context()
    run.log("a", 1, step=0)
    run.log("a", 2, step=Scalar(1))  # type: ignore[arg-type]
    run.log("b", 1)
    with pytest.raises(TrackingError, match="'a' was logged with a step before"):
        run.log("a", 3)
    with pytest.raises(TrackingError, match="'b' was logged without a step before"):
        run.log("b", 3, step=1)
    assert [r.get("step") for r in records(folder)] == [0, 1, None]


def test_lists_rows_and_tables(folder: Path) -> None:
    run = Run.get_context()
    run.log_list("l", (x / 2 for x in range(3)), description="halves")
    run.log_list("array", Scalar([1, math.nan]))
    run.log_row("r", alpha=Scalar(0.1), mse=1)
    run.log_table("t", {"a": [1, 2], "b": 3})
    run.log_table("frame", Frame())
    assert records(folder) == [
        {"t": "list", "name": "l", "value": [0.0, 0.5, 1.0], "description": "halves"},
        {"t": "list", "name": "array", "value": [1, {"$float": "NaN"}]},
        {"t": "row", "name": "r", "value": {"alpha": 0.1, "mse": 1}},
        {"t": "table", "name": "t", "value": {"a": [1, 2], "b": 3}},
        {"t": "table", "name": "frame", "value": {"a": [1, 2], "b": [3, 4]}},
    ]


def test_wrong_shapes_are_refused(folder: Path) -> None:
    run = Run.get_context()
    with pytest.raises(TrackingError, match="must be a list, not str"):
        run.log_list("l", "abc")
    with pytest.raises(TrackingError, match="at least one column"):
        run.log_row("r")
    with pytest.raises(TrackingError, match="The column 'a' of 'r'"):
        run.log_row("r", a=[1])
    with pytest.raises(TrackingError, match="mapping of column names"):
        run.log_table("t", [1])
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(TrackingError, match="nested too deeply"):
        run.log_list("l", loop)
    assert not (folder / "records.jsonl").exists()


def test_structured_metrics_check_their_schema(folder: Path) -> None:
    run = Run.get_context()
    value = {"schema_type": "confusion_matrix", "schema_version": "v1", "data": {"matrix": [[1]]}}
    run.log_confusion_matrix("cm", json.dumps(value))
    assert records(folder) == [{"t": "schema", "name": "cm", "value": value}]
    with pytest.raises(TrackingError, match="schema type 'confusion_matrix'"):
        run.log_residuals("x", value)
    with pytest.raises(TrackingError, match="not JSON"):
        run.log_predictions("x", "{")
    with pytest.raises(TrackingError, match="'data'"):
        run.log_accuracy_table("x", {"schema_type": "accuracy_table"})


def test_images_are_uploads_that_the_metric_points_to(folder: Path, tmp_path: Path) -> None:
    run = Run.get_context()
    (tmp_path / "a.jpg").write_bytes(b"jpeg")
    run.log_image("loss/../curve", path=tmp_path / "a.jpg")
    run.log_image("plot", plot=Figure())
    first, image, second, plot = records(folder)
    assert (first["t"], image["t"], second["t"]) == ("file", "image", "file")
    assert (folder / "files" / str(image["file"])).read_bytes() == b"jpeg"
    assert str(image["file"]).endswith(".jpg")
    assert (folder / "files" / str(plot["file"])).read_bytes() == b"picture as png"
    with pytest.raises(TrackingError, match="one of the two"):
        run.log_image("x")
    with pytest.raises(TrackingError, match="not int"):
        run.log_image("x", plot=3)


def test_uploads_lie_in_files_and_replace_what_was_there(folder: Path, tmp_path: Path) -> None:
    run = Run.get_context()
    (tmp_path / "m.pkl").write_bytes(b"\0one")
    run.upload_file("outputs/m.pkl", tmp_path / "m.pkl")
    run.upload_file("outputs/m.pkl", io.BytesIO(b"two"))
    run.upload_file("text.txt", io.StringIO("é"))
    assert (folder / "files/outputs/m.pkl").read_bytes() == b"two"
    assert (folder / "files/text.txt").read_bytes() == "é".encode()
    assert [r["size"] for r in records(folder)] == [4, 3, 2]
    assert run.get_file_names() == ["outputs/m.pkl", "text.txt"]
    assert sorted(p.name for p in folder.iterdir()) == ["files", "records.jsonl"]


@pytest.mark.parametrize(
    "name", ["/etc/x", "../x", "a/../../x", "a//b", ".", "", "a\\..\\..\\b", "a\0"]
)
def test_uploads_never_leave_the_run(folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(TrackingError):
        Run.get_context().upload_file(name, io.BytesIO(b"x"))
    assert list(folder.iterdir()) == []


def test_bad_uploads_are_named_and_leave_nothing(folder: Path, tmp_path: Path) -> None:
    run = Run.get_context()
    with pytest.raises(TrackingError, match=r"no file 'no\.txt' to upload as 'a'"):
        run.upload_file("a", "no.txt")
    with pytest.raises(TrackingError, match="upload_folder"):
        run.upload_file("a", tmp_path)
    with pytest.raises(TrackingError, match="2 and 1"):
        run.upload_files(["a", "b"], ["x"])
    with pytest.raises(TrackingError, match="no folder"):
        run.upload_folder("a", tmp_path / "none")
    run.upload_file("a", io.BytesIO(b"1"))
    with pytest.raises(TrackingError, match="part of its name is a file"):
        run.upload_file("a/b", io.BytesIO(b"2"))
    assert len(records(folder)) == 1


def test_upload_folder_keeps_the_tree(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/x").write_text("1")
    (tmp_path / "d/e/y").write_text("2")
    Run.get_context().upload_folder("models/", tmp_path / "d")
    assert Run.get_context().get_file_names() == ["models/e/y", "models/x"]


def test_tags_are_text_and_properties_stay(folder: Path) -> None:
    run = Run.get_context()
    run.tag("rank", 1)
    run.set_tags({"a": None, "b": 0.5})
    run.remove_tags(["b"])
    run.add_properties({"p": 1})
    run.add_properties({"p": "1"})
    with pytest.raises(TrackingError, match="'p' is '1' and cannot be changed to '2'"):
        run.add_properties({"p": 2})
    assert run.get_tags() == {"rank": "1", "a": None}
    assert [r.get("set", r.get("remove", r.get("add"))) for r in records(folder)] == [
        {"rank": "1"},
        {"a": None, "b": "0.5"},
        ["b"],
        {"p": "1"},
        {"p": "1"},
    ]


def test_children_write_for_themselves(folder: Path) -> None:
    run = Run.get_context()
    with run.child_run("kid") as child:
        child.log("a", 1)
        child.upload_file("f", io.BytesIO(b"x"))
    with pytest.raises(ZeroDivisionError), child.child_run() as grand:
        _ = 1 / 0
    assert child.id.startswith("exp_1_")
    assert grand.id.startswith(f"{child.id}_")
    begin, metric, file, end, begin2, end2 = records(folder)
    assert begin == {"t": "child", "id": child.id, "name": "kid", "tags": {}}
    assert metric["run"] == file["run"] == end["run"] == child.id
    assert end["state"] == "completed"
    assert begin2["run"] == child.id
    assert end2["error"] == {"code": "UserError", "message": "ZeroDivisionError: division by zero"}
    assert (folder / "files/children" / child.id / "f").read_bytes() == b"x"
    assert (run.get_file_names(), child.get_file_names()) == ([], ["f"])
    assert (child.status, grand.status) == ("Completed", "Failed")
    assert run.get_children(recursive=True) == [child, grand]
    assert run.get_children(status="Failed") == []


def test_create_children_by_count_and_by_tags(folder: Path) -> None:
    run = Run.get_context()
    assert len({c.id for c in run.create_children(3)}) == 3
    tagged = run.create_children(tag_key="fold", tag_values=[1, 2])
    assert [c.tags for c in tagged] == [{"fold": "1"}, {"fold": "2"}]
    assert run.get_children(tags={"fold": 2}) == [tagged[1]]
    for wrong in ({}, {"count": 1, "tag_key": "a"}, {"tag_key": "a"}):
        with pytest.raises(TrackingError):
            run.create_children(**wrong)  # type: ignore[arg-type]
    with pytest.raises(TrackingError, match="cannot be the id"):
        run.child_run(run_id="../x")
    assert run.child_run(run_id="mine").id == "exp_1_mine"


def test_a_script_fails_but_does_not_cancel_itself(folder: Path) -> None:
    run = Run.get_context()
    with pytest.raises(TrackingError, match="cannot cancel its own run"):
        run.cancel()
    run.fail(ValueError("no data"), error_code=7)
    run.flush()
    assert records(folder) == [
        {"t": "state", "state": "failed", "error": {"code": "7", "message": "ValueError: no data"}}
    ]


def test_metrics_read_back_with_other_processes_records(folder: Path) -> None:
    run = Run.get_context()
    run.log("mse", 1)
    rundir.append_record(str(folder), {"t": "metric", "name": "mse", "value": {"$float": "NaN"}})
    with (folder / "records.jsonl").open("a") as file:
        file.write("{damaged}\n")
    run.log_row("r", a=1)
    run.log_row("r", a=2)
    found = run.get_metrics()
    assert found["mse"][0] == 1
    assert math.isnan(found["mse"][1])
    assert found["r"] == {"a": [1, 2]}
    assert run.get_metrics("r") == {"r": {"a": [1, 2]}}
    assert set(run.get_metrics(recursive=True)) == {"exp_1"}


def test_folded_metrics() -> None:
    found = values_of(
        [
            {"t": "metric", "name": "one", "value": 1},
            {"t": "list", "name": "l", "value": [1]},
            {"t": "list", "name": "l", "value": [2, 3]},
            {"t": "row", "name": "r", "value": {"a": 1}},
            {"t": "row", "name": "r", "value": {"a": 2, "b": 3}},
            {"t": "image", "name": "i", "file": "a.png"},
            {"t": "metric", "name": "other", "value": 1, "run": "child"},
            {"t": "tags", "set": {}},
        ]
    )
    assert found == {"one": 1, "l": [1, 2, 3], "r": {"a": [1, 2], "b": 3}, "i": "a.png"}


def values_of(found: list[dict[str, object]]) -> dict[str, object]:
    from turnout.payload.metrics import fold_metrics

    return fold_metrics(found)


def test_encoding_is_undone() -> None:
    data = {"a": [1, math.inf, {"b": -math.inf}], "$float": "kept"}
    assert values.decode(json.loads(json.dumps(values.encode(data), allow_nan=False))) == data


def test_threads_and_forks_lose_and_mix_nothing(folder: Path) -> None:
    """In a process of its own: forking one that has threads is not for a test runner."""
    script = """
import os, threading
from turnout import Run
run = Run.get_context()
def work(n):
    for i in range(200):
        run.log_list("t%d" % n, ["x" * 300, i])
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
pids = []
for _ in range(2):
    pid = os.fork()
    if not pid:
        work(9)
        os._exit(0)
    pids.append(pid)
work(9)
for pid in pids: assert os.waitpid(pid, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    found = records(folder)
    for n in range(4):
        assert [r["value"][1] for r in found if r["name"] == f"t{n}"] == list(range(200))  # type: ignore[index]
    # The parent and two children.
    assert sum(r["name"] == "t9" for r in found) == 600


def test_a_missing_run_folder_is_said(folder: Path) -> None:
    folder.rename(folder.with_name("gone"))
    with pytest.raises(tracking.RunEnvironmentException, match="Is it mounted"):
        Run.get_context()
    folder.mkdir()


# -- offline -----------------------------------------------------------------------------------


def test_offline_prints(offline: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert offline.id.startswith("OfflineRun_")
    assert Run.get_context() is offline
    offline.log("mse", 0.5)
    assert capsys.readouterr().out == "Attempted to log scalar metric mse:\n0.5\n"
    offline.log_list("l", (i for i in range(2)))
    assert capsys.readouterr().out == "Attempted to log list metric l:\n[0, 1]\n"
    offline.tag("a", 1)
    assert "{'a': '1'}" in capsys.readouterr().out
    assert offline.get_metrics() == {"mse": 0.5, "l": [0, 1]}
    with pytest.raises(TrackingError, match=r"no file 'no\.txt'"):
        offline.upload_file("x", "no.txt")
    with offline.child_run() as child:
        child.log("z", 1)
    assert child.get_metrics() == {"z": 1}
    offline.cancel()


@pytest.mark.usefixtures("offline")
def test_offline_can_be_refused() -> None:
    with pytest.raises(tracking.RunEnvironmentException, match="Submit it"):
        Run.get_context(allow_offline=False)
