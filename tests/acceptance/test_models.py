"""Models against a real service: registered from here, from a run and inside a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from turnout import (
    Estimator,
    Experiment,
    Model,
    ModelNotFoundException,
    Run,
    ScriptRunConfig,
    UserErrorException,
    Workspace,
)
from turnout.client.resource_configuration import ResourceConfiguration
from turnout.spec.errors import ConflictError, NotFoundError
from turnout.testing.sshd import SSHServer


def a_run(ws: Workspace, code: str, wait: bool = True) -> Run:
    Path("train.py").write_text(code)
    run = Experiment(ws, "models").submit(ScriptRunConfig(".", "train.py"))
    run.wait_for_completion()
    return run


def test_versions_of_a_file_are_counted_found_and_deleted(ws: Workspace, tmp_path: Path) -> None:
    Path("model.pkl").write_bytes(b"one")
    first = Model.register(
        ws, "model.pkl", "ridge", tags={"area": "diabetes", "n": 1}, properties={"p": "q"},
        description="first", model_framework=Model.Framework.SCIKITLEARN,
        model_framework_version="1.5", resource_configuration=ResourceConfiguration(1, 0.5),
        datasets=[("training", "d:1")],
    )  # fmt: skip
    Path("model.pkl").write_bytes(b"two!")
    second = Model.register(workspace=ws, model_path="model.pkl", model_name="ridge")
    assert (first.id, second.id) == ("ridge:1", "ridge:2")
    assert (first.tags, first.properties) == ({"area": "diabetes", "n": "1"}, {"p": "q"})
    assert first.serialize()["framework"] == "ScikitLearn"
    assert first.resource_configuration is not None
    assert first.resource_configuration.memory_in_gb == 0.5
    assert first.datasets == {"training": ["d:1"]}

    assert Model(ws, "ridge").version == ws.models["ridge"].version == 2
    assert Model(ws, "ridge", version=1).description == "first"
    assert Model(ws, id="ridge:1").id == Model(ws, "ridge:1").id == "ridge:1"
    assert Model(ws, "ridge", tags=[["area", "diabetes"]]).version == 1
    assert [m.id for m in Model.list(ws, "ridge")] == ["ridge:2", "ridge:1"]
    assert [m.id for m in Model.list(ws, "ridge", tags=["n"])] == ["ridge:1"]
    assert Model.list(ws, "ridge", properties={"p": "other"}) == []

    assert Path(first.download(tmp_path)).read_bytes() == b"one"
    with pytest.raises(ConflictError, match="exist_ok"):
        second.download(tmp_path)
    assert Path(second.download(tmp_path, exist_ok=True)).read_bytes() == b"two!"
    kept = Model.get_model_path("ridge", version=1, _workspace=ws)
    assert kept == "azureml-models/ridge/1/model.pkl"
    assert Path(kept).read_bytes() == b"one"

    first.add_tags({"stage": "test"})
    first.remove_tags("n")
    first.update(description="changed")
    first.add_properties({"more": 1})
    same = Model(ws, "ridge", version=1)
    assert same.tags == {"area": "diabetes", "stage": "test"}
    assert (same.description, same.properties) == ("changed", {"p": "q", "more": "1"})
    with pytest.raises(ConflictError, match="cannot be changed"):
        first.add_properties({"p": "other"})

    second.delete()
    second.delete()
    assert Model(ws, "ridge").version == 1
    third = Model.register(ws, "model.pkl", "ridge")
    assert third.version == 3
    with pytest.raises(ModelNotFoundException, match="no version 2; it has 3, 1"):
        Model(ws, "ridge", version=2)


def test_a_folder_is_one_model(ws: Workspace, tmp_path: Path) -> None:
    for name in ("net/weights.bin", "net/assets/words.txt", "net/left/out"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    whole = Model.register(ws, "net/", "folder")
    assert list(whole.files) == ["net/assets/words.txt", "net/left/out", "net/weights.bin"]
    got = Path(whole.download(tmp_path))
    assert got == tmp_path / "net"
    assert (got / "assets/words.txt").read_text() == "net/assets/words.txt"
    part = Model.register(ws, "net", "folder", child_paths=["weights.bin", "assets"])
    assert list(part.files) == ["net/assets/words.txt", "net/weights.bin"]
    with pytest.raises(UserErrorException, match="did you mean 'net'"):
        Model.register(ws, "nets", "folder")
    with pytest.raises(UserErrorException, match="cannot name a model"):
        Model.register(ws, "net", "../folder")
    with pytest.raises(UserErrorException, match="deploys none"):
        Model.deploy(ws, "service", [whole])


TRAINS = """\
import os
from turnout import Run
run = Run.get_context()
os.makedirs("outputs/net", exist_ok=True)
open("outputs/model.pkl", "w").write("trained")
open("outputs/net/w", "w").write("weights")
open("elsewhere.pkl", "w").write("uploaded")
run.upload_file("kept/elsewhere.pkl", "elsewhere.pkl")
"""


def test_a_runs_files_become_models_without_a_way_over_here(ws: Workspace, tmp_path: Path) -> None:
    run = a_run(ws, TRAINS)
    model = run.register_model("of-run", "outputs/model.pkl", tags={"a": 1}, description="d")
    assert (model.name, model.version, model.tags) == ("of-run", 1, {"a": "1"})
    assert (model.run_id, model.experiment_name) == (run.id, "models")
    assert model.run is not None
    assert model.run.id == run.id
    assert Path(model.download(tmp_path)).read_text() == "trained"
    assert list(run.register_model("of-run", "./outputs/net/").files) == ["net/w"]
    assert list(run.register_model(model_name="outputs", model_path="outputs").files) == [
        "outputs/model.pkl",
        "outputs/net/w",
    ]
    assert list(run.register_model("kept").files) == ["kept/elsewhere.pkl"]
    with pytest.raises(NotFoundError, match=r"has no file or folder 'outputs/modl.pkl'.*model"):
        run.register_model("of-run", "outputs/modl.pkl")
    with pytest.raises(NotFoundError, match=r"it has outputs/model.pkl and others"):
        run.register_model("of-run", "model.pkl")
    assert {m.id for m in Model.list(ws, run_id=run.id)} == {
        "of-run:1",
        "of-run:2",
        "outputs:1",
        "kept:1",
    }


REGISTERS = (
    TRAINS
    + """\
for i in range(2):
    model = run.register_model(
        model_name="by-script", model_path="outputs/model.pkl", tags={"mse": 0.5}
    )
print(model.name, model.version)
run.register_model("by-script-up", "kept/elsewhere.pkl")
run.register_model("by-script-bad", "outputs/mdel.pkl")
with run.child_run("inner") as child:
    child.upload_file("m.bin", "elsewhere.pkl")
    child.register_model("by-child", "m.bin")
"""
)


def test_a_script_registers_what_it_leaves(ws: Workspace, tmp_path: Path) -> None:
    run = a_run(ws, REGISTERS)
    model = Model(ws, "by-script")
    assert (model.version, model.run_id, model.tags) == (1, run.id, {"mse": "0.5"})
    assert Path(model.download(tmp_path)).read_text() == "trained"
    assert list(Model(ws, "by-script-up").files) == ["elsewhere.pkl"]
    child = Model(ws, "by-child")
    assert child.run_id == next(iter(run.get_children())).id
    assert Path(child.download(tmp_path)).read_text() == "uploaded"
    again = next(iter(run.get_children())).register_model("by-child", "m.bin")
    assert (again.version, again.run_id) == (2, child.run_id)
    with pytest.raises(NotFoundError, match=r"it has m\.bin"):
        next(iter(run.get_children())).register_model("by-child", "outputs/x")
    warnings = run.get_details()["warnings"]
    assert "'by-script-bad' was not registered" in json.dumps(warnings)
    assert "outputs/model.pkl" in json.dumps(warnings)
    with pytest.raises(ModelNotFoundException, match="did you mean 'by-script'"):
        Model(ws, "by-scrpt")


def test_the_command_line(ws: Workspace, shell: Any) -> None:
    a_run(ws, TRAINS)
    model = "outputs/model.pkl"
    text, _ = shell.run("model", "register", "cli", model, "--run", "latest", "--tag", "a=b")
    assert text == "cli:1  (1 files, 7 B)\n"
    Path("here.bin").write_text("here")
    text, _ = shell.run("model", "register", "-n", "cli", "-p", "here.bin", "--json")
    assert json.loads(text)["id"] == "cli:2"
    listed = json.loads(shell.run("model", "list", "cli", "--json")[0])
    assert [found["id"] for found in listed] == ["cli:2", "cli:1"]
    listed = json.loads(shell.run("model", "list", "--tag", "a=b", "--run", "latest", "--json")[0])
    assert [found["id"] for found in listed] == ["cli:1"]
    assert "cli:2" in shell.run("model", "list", "--latest")[0]
    assert "model.pkl  7 B" in shell.run("model", "show", "cli:1")[0]
    assert shell.run("model", "download", "cli", "-o", "into")[0] == "into/here.bin\n"
    assert Path("into/here.bin").read_text() == "here"
    assert "is there already" in shell.fails("model", "download", "-i", "cli:2", "-t", "into")
    shell.run("model", "download", "cli:2", "-o", "into", "--overwrite")
    assert "say which, such as cli:2" in shell.fails("model", "delete", "cli")
    assert shell.run("model", "delete", "cli:2")[0] == "cli:2 is deleted.\n"
    assert "it has 1" in shell.fails("model", "show", "cli:2")
    assert "did you mean 'here.bin'" in shell.fails("model", "register", "cli", "her.bin")
    assert "has no file or folder" in shell.fails(
        "model", "register", "cli", "x", "--run", "latest"
    )
    assert "Give the path" in shell.fails("model", "register", "cli")
    assert "no version" in shell.fails("model", "show", "cli:one")


@pytest.mark.ssh
def test_a_script_on_another_machine_registers_too(
    ws: Workspace, shell: Any, server: SSHServer, tmp_path: Path
) -> None:
    argv = ["target", "attach", "ssh", "models-lab", "--address", server.address, "--yes"]
    argv += ["--port", str(server.port), "--username", server.username]
    shell.run(*argv, "--private-key-file", str(server.user_key))
    try:
        Path("train.py").write_text(REGISTERS.replace("by-script", "over-ssh"))
        est = Estimator(
            ".", entry_script="train.py", compute_target="models-lab", user_managed=True
        )
        est.run_config.environment.python.interpreter_path = "python3"
        run = Experiment(ws, "models").submit(est)
        run.wait_for_completion()
        model = Model(ws, "over-ssh")
        assert (model.version, model.run_id) == (1, run.id)
        assert Path(model.download(tmp_path)).read_text() == "trained"
    finally:
        shell.run("target", "detach", "models-lab")
