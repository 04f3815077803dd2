"""Whole sessions with v1's commands, of both generations, on a real service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from turnout.testing.missing import missing
from turnout.testing.sshd import SSHServer

if TYPE_CHECKING:
    from tests.acceptance.conftest import Shell

TRAIN = """\
import os, sys
from turnout import Run

run = Run.get_context()
run.log("alpha", float(sys.argv[1]) if sys.argv[1:] else 0.0)
print("trained", sys.argv[1:], os.environ.get("EXAMPLE_ENV_VAR"))
"""


def data(shell: Shell, *words: str, code: int = 0) -> Any:
    """A command's answer, which is JSON and nothing else on stdout."""
    return json.loads(shell.run(*words, code=code)[0])


@pytest.fixture
def cluster(shell: Shell) -> str:
    if len(os.sched_getaffinity(0)) < 2:
        missing("needs two cores to cut into nodes")
    return "v1cpu"


def test_a_session_of_the_first_generation(shell: Shell, cluster: str) -> None:
    shell.write("train.py", TRAIN)
    words = ["-n", cluster, "--max_nodes", "1", "--size", "1c1g"]
    made = data(shell, "computetarget", "create", "amlcompute", *words)
    assert made == {
        "location": "local", "name": cluster, "provisioningErrors": None,
        "provisioningState": "Succeeded",
    }  # fmt: skip
    shell.run("configure", "--defaults", "aml_workspace=w", "group=g")
    shell.run("project", "attach", "--experiment-name", "first")
    assert (shell.cwd / "aml_config" / f"{cluster}.runconfig").is_file()
    # The defaults make an environment, with azureml-defaults in it.
    out, err = shell.run("run", "submit", "-c", "local", "train.py", "0.1")
    assert "trained ['0.1'] None" in err
    local = json.loads(out)
    assert (local["status"], local["target"], local["experimentName"]) == (
        "Completed", "local", "first"
    )  # fmt: skip
    assert local["runDefinition"]["arguments"] == ["0.1"]
    there = data(shell, "run", "submit", "-c", cluster, "train.py", "0.2")
    assert (there["status"], there["target"]) == ("Completed", cluster)
    update = ["--name", cluster, "--max_nodes", "2", "--idle_time", "0"]
    assert data(shell, "computetarget", "update", *update)["name"] == cluster
    shown = data(shell, "computetarget", "show", "-n", cluster)
    assert shown["properties"]["scaleSettings"]["maxNodeCount"] == 2
    listed = data(shell, "history", "list")
    assert [run["runId"] for run in listed[:2]] == [there["runId"], local["runId"]]
    alpha = shell.run("history", "last", "--query", "alpha", "-o", "tsv")[0]
    assert alpha == "0.2\n"
    shell.run("computetarget", "delete", "-n", cluster)
    assert cluster not in [x["name"] for x in data(shell, "computetarget", "list")]


def test_a_session_of_the_second_generation(shell: Shell, cluster: str) -> None:
    shell.write("src/train.py", TRAIN)
    shell.run("folder", "attach", "-w", "w", "-g", "g", "-e", "second")
    words = ["-n", cluster, "--min-nodes", "0", "--max-nodes", "2", "-s", "1c1g"]
    words += ["--idle-seconds-before-scaledown", "0", "-w", "w", "-g", "g"]
    data(shell, "computetarget", "create", "amlcompute", *words)
    config = shell.write(
        ".azureml/mine.runconfig",
        f"# Ours.\nscript: train.py\ntarget: {cluster}\nenvironment:\n"
        "  environmentVariables: {EXAMPLE_ENV_VAR: on}\n"
        f"  python: {{userManagedDependencies: true, interpreterPath: {sys.executable}}}\n"
        "notes: kept\n",
    )
    submit = ["run", "submit-script", "-c", "mine", "--source-directory", "src"]
    out, err = shell.run(*submit, "-t", "run.json", "train.py", "0.5")
    assert "'.azureml/mine.runconfig', line 7: 'notes' is not known here" in err
    assert "trained ['0.5'] on" in err
    run = json.loads(out)
    assert json.loads((shell.cwd / "run.json").read_text())["runId"] == run["runId"]
    assert (run["target"], run["experimentName"]) == (cluster, "second")
    local = data(shell, *submit, "--ct", "local", "--async", "train.py")
    shown, err = shell.run("run", "monitor-logs", "-r", local["runId"])
    assert "trained [] on" in shown
    listed = data(shell, "run", "list", "-e", "second", "--last", "2")
    assert [x["runId"] for x in listed] == [local["runId"], run["runId"]]
    shell.run("run", "update", "-r", run["runId"], "--add-tag", "best=yes")
    assert data(shell, "run", "show", "-r", run["runId"])["tags"] == {"best": "yes"}
    assert data(shell, "run", "cancel", "-r", run["runId"])["status"] == "Completed"
    fetched = data(shell, "run", "download-logs", "-d", "logs", "-r", run["runId"])
    assert "logs/azureml-logs/70_driver_log.txt" in fetched["downloadedFiles"]
    assert (shell.cwd / "logs/azureml-logs/70_driver_log.txt").read_text() == (
        "trained ['0.5'] on\n"
    )
    shell.run("computetarget", "delete", "-n", cluster, "--force")
    assert config.read_text().startswith("# Ours.")


def test_a_script_that_fails(shell: Shell) -> None:
    shell.write("train.py", "import sys; print('no'); sys.exit(3)\n")
    shell.write(
        "aml_config/local.runconfig", "environment: {python: {userManagedDependencies: true}}\n"
    )
    found = data(shell, "run", "submit-script", "train.py", code=3)
    assert (found["status"], found["error"]["exitCode"]) == ("Failed", 3)
    shell.write("aml_config/odd.runconfig", "script: train.py\nnodeCount: two\n")
    err = shell.fails("run", "submit", "-c", "odd")
    assert "'aml_config/odd.runconfig', line 2: 'nodeCount' must be a whole number" in err


def test_our_submit_with_a_configuration(shell: Shell) -> None:
    shell.write("train.py", TRAIN)
    shell.write(
        ".azureml/here.runconfig",
        "script: train.py\narguments: [1]\nenvironment:\n"
        "  python: {userManagedDependencies: true}\n",
    )
    out, _ = shell.run("submit", "--config", "here")
    assert out == "trained ['1'] None\n"
    out, _ = shell.run("submit", "-c", "here", "--env", "EXAMPLE_ENV_VAR=x", "train.py", "2")
    assert out == "trained ['2'] x\n"


def test_an_environment_that_a_file_names(shell: Shell) -> None:
    shell.write("train.py", "import os; print(os.environ['WHO'])\n")
    program = (
        "import sys\nfrom turnout import Environment, Workspace\n"
        "e = Environment('named-in-a-file')\ne.environment_variables['WHO'] = 'the workspace'\n"
        "e.python.user_managed_dependencies = True\n"
        "e.python.interpreter_path = sys.executable\ne.register(Workspace())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=shell.env, cwd=shell.cwd)
    shell.write(".azureml/named.runconfig", "environment: {name: named-in-a-file}\n")
    assert shell.run("submit", "-c", "named", "train.py")[0] == "the workspace\n"
    # Options change what the workspace keeps, not nothing.
    assert shell.run("submit", "-c", "named", "--no-eras", "train.py")[0] == "the workspace\n"
    assert "is for a container" in shell.fails(
        "submit", "-c", "named", "--memory", "1g", "train.py"
    )
    shell.write(".azureml/named.runconfig", "environment: {name: none-such}\n")
    assert "none-such" in shell.fails("submit", "-c", "named", "train.py")


def test_from_a_run_to_a_model(shell: Shell) -> None:
    shell.write(
        "train.py",
        "import os\nos.makedirs('outputs')\nopen('outputs/m.pkl', 'w').write('model')\n",
    )
    config = "{environment: {python: {user_managed_dependencies: true}}}"
    shell.write("aml_config/local.runconfig", config)
    shell.run("run", "submit-script", "-c", "local", "-e", "models", "-t", "run.json", "train.py")
    words = ["-n", "v1model", "-f", "run.json", "--asset-path", "outputs/m.pkl"]
    words += ["-t", "model.json"]
    made = data(shell, "model", "register", *words, "-w", "w", "-g", "g")
    assert (made["id"], made["experimentName"]) == ("v1model:1", "models")
    assert json.loads((shell.cwd / "model.json").read_text()) == made
    assert data(shell, "model", "show", "-n", "v1model", "-w", "w", "--query", "version") == 1
    assert data(shell, "model", "list", "-w", "w", "--query", "[0].name") == "v1model"
    shell.run("model", "download", "-i", "v1model:1", "-t", "there", "-w", "w")
    assert (shell.cwd / "there/m.pkl").read_text() == "model"
    shell.write("run.json", "{}")
    assert "'run.json' names no run" in shell.fails("model", "register", *words)
    shell.run("model", "delete", "-i", "v1model:1", "-g", "g")


def test_data(shell: Shell) -> None:
    name = shell.run("datastore", "show-default", "-w", "w", "--query", "name", "-o", "tsv")[0]
    store = ["-n", name.strip(), "-w", "w", "-g", "g"]
    assert name.strip() in data(shell, "datastore", "list", "--query", "[].name")
    shell.write("src/deep/a.txt", "one")
    out, err = shell.run("datastore", "upload", *store, "-p", "src", "-u", "v1data")
    assert json.loads(out) == {"name": name.strip(), "path": "v1data"}
    assert "Uploaded src/deep/a.txt" in err
    shell.write("src/deep/a.txt", "two")
    up = ["datastore", "upload", *store, "-p", "src", "-u", "v1data"]
    down = ["datastore", "download", *store, "-p", "v1data", "--hide-progress", "true"]
    shell.run(*up)
    assert data(shell, *down, "-d", "one")["downloaded"] == 1
    assert (shell.cwd / "one/v1data/deep/a.txt").read_text() == "one"
    shell.run(*up, "--overwrite", "true")
    assert data(shell, *down, "-d", "one", "--overwrite")["downloaded"] == 1
    assert (shell.cwd / "one/v1data/deep/a.txt").read_text() == "two"
    assert "neither true nor false" in shell.fails(*up, "--overwrite", "maybe")
    assert data(shell, "datastore", "set-default", *store)["isDefault"]
    assert "workspace's own datastores" in shell.fails("datastore", "attach-blob", "-n", "x")
    subprocess.run([sys.executable, "-c", DATASETS], check=True, env=shell.env, cwd=shell.cwd)
    assert "v1digits" in data(shell, "dataset", "list", "--query", "[].name")
    found = data(shell, "dataset", "show", "-n", "v1digits", "-v", "1")
    assert found["source"] == [f"('{name.strip()}', 'v1files')"]
    same = data(shell, "dataset", "show", "-i", found["registration"]["id"])
    assert same["registration"]["name"] == "v1digits"
    assert "one of the two" in shell.fails("dataset", "show")
    assert "no version 'new'" in shell.fails("dataset", "show", "-n", "v1digits", "-v", "new")
    assert "registered in Python" in shell.fails("dataset", "register", "-f", "dataset.json")
    shell.run("dataset", "unregister", "-n", "v1digits")
    assert "v1digits" not in data(shell, "dataset", "list", "--query", "[].name")


def test_environments(shell: Shell) -> None:
    made = data(shell, "environment", "scaffold", "-n", "v1env", "-d", "mine", "-w", "w")
    assert (made["name"], made["version"]) == ("v1env", None)
    shell.write("mine/conda_dependencies.yml", "dependencies: [{pip: [numpy]}]\n")
    kept = data(shell, "environment", "register", "-d", "mine", "-g", "g")
    assert (kept["name"], kept["version"]) == ("v1env", "1")
    query = "python.condaDependencies.dependencies[0].pip"
    found = data(shell, "environment", "show", "-n", "v1env", "-v", "1", "--query", query)
    assert found == ["numpy"]
    assert "v1env" in data(shell, "environment", "list", "-w", "w", "--query", "[].name")
    shell.run("environment", "download", "-n", "v1env", "-d", "copy")
    assert "numpy" in (shell.cwd / "copy/conda_dependencies.yml").read_text()
    assert "is there already" in shell.fails(
        "environment", "download", "-n", "v1env", "-d", "copy"
    )
    # Ours is for people.
    assert shell.run("environments", "show", "v1env")[0].startswith("environment ")
    assert "Name an environment" in shell.fails("environments", "show")
    assert "Say what to call it" in shell.fails("environments", "register", "--pip", "numpy")


DATASETS = """\
import os
from turnout import Dataset, RunConfiguration, Workspace

ws = Workspace()
store = ws.get_default_datastore()
os.makedirs("in", exist_ok=True)
open("in/a.txt", "w").write("digits")
store.upload("in", target_path="v1files", overwrite=True, show_progress=False)
files = Dataset.File.from_files((store, "v1files")).register(
    ws, "v1digits", create_new_version=True
)
rc = RunConfiguration("train.py", ["--folder", files.as_named_input("mnist").as_mount()])
rc.environment.python.user_managed_dependencies = True
rc.data_references = {"place": store.path("v1files").as_mount().to_config()}
rc.save(".", "mnist")
"""


def test_datasets_of_a_configuration(shell: Shell) -> None:
    subprocess.run([sys.executable, "-c", DATASETS], check=True, env=shell.env, cwd=shell.cwd)
    path = shell.cwd / ".azureml/mnist.runconfig"
    text = path.read_text()
    assert "- DatasetConsumptionConfig:mnist\n" in text
    assert "        name: v1digits\n" in text
    shell.write(
        "train.py",
        "import os, sys\nfrom azureml.core import Run\nrun = Run.get_context()\n"
        "print(open(sys.argv[2] + '/a.txt').read(), run.input_datasets['mnist'] == sys.argv[2],\n"
        "      os.path.exists(os.environ['AZUREML_DATAREFERENCE_place'] + '/a.txt'))\n",
    )
    _, err = shell.run("run", "submit-script", "-c", "mnist")
    assert "digits True True\n" in err
    # Azure's id is none of ours; the name is the same.
    lines = [f"{x.partition('id:')[0]}id: 5a3c" if " id: " in x else x for x in text.splitlines()]
    path.write_text("\n".join(lines) + "\n")
    out, _ = shell.run("submit", "-c", "mnist")
    assert out == "digits True True\n"
    path.write_text(path.read_text().replace("name: v1digits", "name: v1digit"))
    assert "did you mean 'v1digits'" in shell.fails("submit", "-c", "mnist")
    path.write_text(text.replace("Config:mnist", "Config:mnits"))
    assert "there is no 'mnits' in 'data'" in shell.fails("submit", "-c", "mnist")


@pytest.mark.ssh
def test_attach_remote(shell: Shell, server: SSHServer) -> None:
    shell.write("train.py", TRAIN)
    words = ["-n", "v1lab", "-a", server.address, "--ssh-port", str(server.port)]
    words += ["-u", server.username, "--private-key-file", str(server.user_key)]
    out, err = shell.run("computetarget", "attach", "remote", *words, "-w", "w", "-g", "g")
    assert json.loads(out)["provisioningState"] == "Succeeded"
    assert "(accepted)" in err or "in known_hosts" in err
    shell.run("folder", "attach")
    config = shell.cwd / ".azureml/v1lab.runconfig"
    text = config.read_text()
    assert "target: v1lab\n" in text
    text = text.replace("userManagedDependencies: false", "userManagedDependencies: true")
    config.write_text(text.replace("interpreterPath: python\n", "interpreterPath: python3\n"))
    found = data(shell, "run", "submit-script", "-c", "v1lab", "train.py", "0.7")
    assert (found["status"], found["target"]) == ("Completed", "v1lab")
    shell.run("computetarget", "detach", "-n", "v1lab")
    assert "v1lab" not in [x["name"] for x in data(shell, "computetarget", "list")]


def test_the_local_run_configuration_needs_no_file(shell: Shell) -> None:
    shell.write("train.py", "print('hello')")
    out, err = shell.run("run", "submit-script", "-c", "local", "-e", "bare", "train.py")
    assert json.loads(out)["status"] == "Completed"
    assert "hello" in err
    said = shell.fails("run", "submit-script", "-c", "gpu", "-e", "bare", "train.py")
    assert "no run configuration 'gpu'" in said
    assert "turnout folder attach" in said
