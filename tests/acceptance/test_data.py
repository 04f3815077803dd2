"""Datastores and datasets: given to real runs on this machine, on a cluster and over SSH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from turnout import (
    ComputeTarget,
    Dataset,
    Datastore,
    Environment,
    Experiment,
    OutputFileDatasetConfig,
    RunConfiguration,
    ScriptRunConfig,
    UserErrorException,
    Workspace,
)
from turnout.client.aml_compute import AmlCompute
from turnout.testing.sshd import SSHServer

CSV = "x,y\n1,a\n2,b\n3,c\n4,d\n"

READER = """
import os, sys
from azureml.core import Dataset, Run

run = Run.get_context()
mounted, fetched, table_id, place, one, out = sys.argv[1:]
print("one", open(one).read())
print("mounted", sorted(os.listdir(mounted)), open(mounted + "/b/2.txt").read())
print("fetched", open(fetched + "/a.txt").read(), os.path.exists("here/a.txt"))
open("here/a.txt", "a").write("!")
same = os.environ["AZUREML_DATAREFERENCE_where"]
print("place", open(place + "/a.txt").read() == open(same + "/a.txt").read())
print("named", run.input_datasets["files"] == mounted == os.environ["files"])
table = run.input_datasets["numbers"]
print("table", table.keep_columns("x").take(3).to_pandas_dataframe()["x"].tolist())
same = Dataset.get_by_id(run.experiment.workspace, id=table_id)
print("by id", same.to_pandas_dataframe().shape)
print("out", run.output_datasets["result"] == out, os.listdir(out))
os.makedirs(out + "/deep", exist_ok=True)
open(out + "/deep/r.csv", "w").write("p,q\\n1,2\\n")
os.makedirs("left", exist_ok=True)
open("left/model.txt", "w").write("model")
"""


@pytest.fixture
def store(ws: Workspace, tmp_path: Path) -> Datastore:
    """The default datastore, with a folder of files and a table in it."""
    folder = tmp_path / "data"
    (folder / "b").mkdir(parents=True)
    (folder / "a.txt").write_text("first")
    (folder / "b" / "2.txt").write_text("second")
    (tmp_path / "t.csv").write_text(CSV)
    found = ws.get_default_datastore()
    found.upload(folder, "files", overwrite=True, show_progress=False)
    found.upload_files([tmp_path / "t.csv"], target_path="tables", overwrite=True)
    return found


@pytest.fixture(params=["local", "data-cpu", "data-lab"])
def target(request: pytest.FixtureRequest, ws: Workspace) -> Iterator[str]:
    name = request.param
    if name == "data-cpu":
        config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=1)
        ComputeTarget.create(ws, name, config).wait_for_completion()
    if name == "data-lab":
        server: SSHServer = request.getfixturevalue("server")
        shell: Any = request.getfixturevalue("shell")
        where = ["--address", server.address, "--port", str(server.port), "--yes"]
        who = ["--username", server.username, "--private-key-file", str(server.user_key)]
        shell.run("target", "attach", "ssh", name, *where, *who)
    yield name
    if name != "local":
        shell = request.getfixturevalue("shell")
        shell.run("target", "detach" if name == "data-lab" else "delete", name)


def submit(ws: Workspace, target: str, code: str, arguments: list[Any], **more: Any) -> Any:
    Path("train.py").write_text(dedent(code))
    rc = RunConfiguration()
    rc.target = target
    rc.environment = Environment("data")
    rc.environment.python.conda_dependencies.add_pip_package("pandas")
    for name, value in more.items():
        setattr(rc, name, value)
    exp = Experiment(ws, "data")
    return exp.submit(ScriptRunConfig(".", "train.py", arguments=arguments, run_config=rc))


def output_of(run: Any) -> list[str]:
    run.wait_for_completion()
    run.download_file("azureml-logs/70_driver_log.txt", "log.txt")
    return Path("log.txt").read_text().splitlines()


def test_a_run_reads_and_writes_data(ws: Workspace, store: Datastore, target: str) -> None:
    files = Dataset.File.from_files((store, "files"))
    table = Dataset.Tabular.from_delimited_files(store.path("tables/*.csv"))
    table = table.register(ws, "numbers", create_new_version=True)
    out = OutputFileDatasetConfig("result", destination=(store, "made/{run-id}"))
    out = out.read_delimited_files(path_glob="**/*.csv").register_on_complete(f"made-{target}")
    run = submit(
        ws, target, READER,
        [
            files.as_named_input("files").as_mount(),
            files.as_named_input("copy").as_download("here"),
            table.as_named_input("numbers"),
            store.path("files", data_reference_name="where").as_mount(),
            store.path("files/a.txt").as_mount(),
            out,
        ],
        data_references={
            "kept": store.path("kept").as_upload(path_on_compute="left").to_config()
        },
    )  # fmt: skip
    assert output_of(run) == [
        "one first",
        "mounted ['a.txt', 'b'] second",
        "fetched first True",
        "place True",
        "named True",
        "table [1, 2, 3]",
        "by id (4, 2)",
        "out True []",
    ]
    # What the run changed was its own copy.
    store.download("back", "files/a.txt", show_progress=False)
    assert Path("back/files/a.txt").read_text() == "first"
    # What it wrote is in the datastore, and a dataset.
    assert store.names("kept/") == ["kept/model.txt"]
    assert store.names(f"made/{run.id}") == [f"made/{run.id}/deep/r.csv"]
    made = Dataset.get_by_name(ws, f"made-{target}").to_pandas_dataframe()
    assert made.to_dict("list") == {"p": [1], "q": [2]}
    details = run.get_details()
    assert [d["dataset"]["name"] for d in details["inputDatasets"] if "name" in d["dataset"]] == [
        "numbers"
    ]


def test_a_dataset_of_one_files_path_is_that_file(
    ws: Workspace, store: Datastore, web: str, target: str
) -> None:
    """As in v1: the argument can be opened. One file of a folder is still a folder."""
    code = """
    import sys
    from azureml.core import Run
    inputs = Run.get_context().input_datasets
    print([open(path).read().split()[0] for path in sys.argv[1:4]])
    print(open(inputs["mounted"]).read(), *(os.listdir(path) for path in sys.argv[4:]))
    """.replace("import sys", "import os, sys")
    one = Dataset.File.from_files((store, "files/a.txt"))
    arguments = [
        one.as_named_input("mounted").as_mount(),
        one.as_named_input("fetched").as_download(),
        Dataset.File.from_files(f"{web}/t.csv").as_named_input("page").as_mount(),
        Dataset.File.from_files((store, "files/b")).as_named_input("folder").as_mount(),
        Dataset.File.from_files((store, "files/a*")).as_named_input("pattern").as_mount(),
    ]
    run = submit(ws, target, code, arguments)
    assert output_of(run) == ["['first', 'first', 'x,y']", "first ['2.txt'] ['a.txt']"]


def test_what_is_not_there_is_said_before_anything_starts(ws: Workspace, store: Datastore) -> None:
    with pytest.raises(UserErrorException, match=r"no file at 'files/c.txt' .did you mean"):
        Dataset.File.from_files((store, "files/c.txt"))
    with pytest.raises(UserErrorException, match="no dataset 'nubmers'"):
        Dataset.get_by_name(ws, "nubmers")
    with pytest.raises(UserErrorException, match="There is no datastore 'other'"):
        Datastore.get(ws, "other")
    with pytest.raises(UserErrorException, match="path of this machine"):
        Dataset.Tabular.from_delimited_files("data.csv")
    gone = Dataset.File.from_files((store, "gone"), validate=False)
    with pytest.raises(UserErrorException, match="no file at 'gone'"):
        submit(ws, "local", "", [gone.as_mount()])
    with pytest.raises(UserErrorException, match=r"must be relative and without '\.\.'"):
        submit(ws, "local", "", [store.path("../secret").as_mount()])
    Dataset.File.from_files((store, "files")).register(ws, "twice or more")
    with pytest.raises(UserErrorException, match="with other files"):
        Dataset.File.from_files((store, "tables")).register(ws, "twice or more")


def test_tables_are_read_alike_here_and_split_whole(ws: Workspace, store: Datastore) -> None:
    table = Dataset.Tabular.from_delimited_files((store, "tables/t.csv"))
    train, test = table.random_split(0.5, seed=3)
    both = [*train.to_pandas_dataframe()["x"], *test.to_pandas_dataframe()["x"]]
    assert sorted(both) == [1, 2, 3, 4]
    assert table.skip(1).drop_columns(["y"]).to_pandas_dataframe()["x"].tolist() == [2, 3, 4]

    frame = table.to_pandas_dataframe()
    kept = Dataset.Tabular.register_pandas_dataframe(frame, store, "frame", show_progress=False)
    assert kept.version == 1
    again = Dataset.Tabular.register_pandas_dataframe(
        frame, (store, "frames"), "frame", show_progress=False
    )
    assert (again.version, again.to_pandas_dataframe().equals(frame)) == (2, True)
    assert Dataset.get_by_name(ws, "frame", version=1).version == 1
    assert set(ws.datasets) >= {"frame"}
    again.unregister_all_versions()
    assert "frame" not in ws.datasets


def test_files_of_the_web(
    ws: Workspace, store: Datastore, tmp_path: Path, web: str, target: str
) -> None:
    table = Dataset.Tabular.from_delimited_files(f"{web}/t.csv")
    assert table.to_pandas_dataframe().shape == (4, 2)
    code = """
    from azureml.core import Run
    print(Run.get_context().input_datasets["t"].to_pandas_dataframe().shape)
    """
    run = submit(ws, target, code, [table.as_named_input("t")])
    assert output_of(run) == ["(4, 2)"]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    import functools
    import threading
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "t.csv").write_text(CSV)
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
