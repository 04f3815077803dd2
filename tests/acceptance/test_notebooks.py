"""The examples in v1's style, and our part of a notebook, in kernels as Jupyter starts them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from turnout.testing.sshd import SSHServer

EXAMPLES = Path(__file__).parents[2] / "examples" / "v1"
#: Those that need a machine beside this one have a test of their own.
ALONE = sorted(p.stem for p in EXAMPLES.glob("*.ipynb") if p.stem != "remote-machine")
TIMEOUT_S = 180
Execute = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def execute(shell: Any, tmp_path: Path) -> Execute:
    """Run a notebook to its end, in the shell's folder and by its home, as `jupyter execute` does
    it; its cells with their outputs."""

    def execute(path: Path, **more: str) -> list[dict[str, Any]]:
        # Nobody's own Jupyter or IPython has a say.
        places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        clean = {name: str(tmp_path / name.lower()) for name in places}
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "jupyter-execute"),
                "--inplace", "--kernel_name=python3", f"--timeout={TIMEOUT_S}", str(path),
            ],
            cwd=shell.cwd, env={**shell.env, **clean, **more}, capture_output=True, text=True,
            timeout=2 * TIMEOUT_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-6000:]
        return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]

    return execute


@pytest.fixture
def notebook(shell: Any, execute: Execute) -> Execute:
    """As `execute`, of cells given as text."""

    def notebook(*cells: str, **more: str) -> list[dict[str, Any]]:
        made = [
            {"cell_type": "code", "id": f"c{i}", "metadata": {}, "outputs": [],
             "execution_count": None, "source": cell}
            for i, cell in enumerate(cells)
        ]  # fmt: skip
        text = json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
        return execute(shell.write("made.ipynb", text), **more)

    return notebook


def shown(cell: dict[str, Any], kind: str = "text/html") -> str:
    """The last picture of a cell."""
    found = [out["data"][kind] for out in cell["outputs"] if kind in out.get("data", {})]
    return "".join(found[-1])


def printed(cell: dict[str, Any], stream: str = "stdout") -> str:
    return "".join("".join(o["text"]) for o in cell["outputs"] if o.get("name") == stream)


def bring(name: str, shell: Any) -> Path:
    """A copy of the examples to work in; one notebook of them."""
    shutil.copytree(EXAMPLES, shell.cwd, dirs_exist_ok=True)
    return shell.cwd / f"{name}.ipynb"


# -- the examples --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALONE)
def test_an_example_runs(name: str, shell: Any, execute: Execute) -> None:
    cells = execute(bring(name, shell))
    assert cells[-1]["execution_count"] == len(cells)


def test_the_example_of_a_remote_machine_runs(
    shell: Any, execute: Execute, server: SSHServer
) -> None:
    path = bring("remote-machine", shell)
    shell.write(".ssh/id_rsa", server.user_key.read_text())
    cells = execute(
        path,
        AZUREML_DSVM_ADDRESS=server.address,
        AZUREML_DSVM_USERNAME=server.username,
        AZUREML_DSVM_PORT=str(server.port),
    )
    assert "Succeeded" in printed(cells[1])


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda p: p.stem)
def test_an_example_is_kept_as_it_is_read(path: Path) -> None:
    """No outputs, an assertion about what came out, and named where people look."""
    cells = json.loads(path.read_text())["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    assert not any(c["outputs"] or c["execution_count"] for c in code)
    assert any("assert " in "".join(c["source"]) for c in code)
    assert cells[0]["cell_type"] == "markdown"
    howto = (EXAMPLES.parents[1] / "docs" / "howto" / "notebooks.md").read_text()
    assert f"({os.path.relpath(path, EXAMPLES.parents[1] / 'docs' / 'howto')})" in howto


# -- a run that is watched -----------------------------------------------------------------------

SCRIPT = """
import sys, time
from pathlib import Path
from turnout import Run

run = Run.get_context()
for i in range(3):
    run.log("loss", 1 / (i + 1))
    print("<b>epoch", i, flush=True)
while not Path(sys.argv[1]).exists():
    time.sleep(0.01)
run.log("loss", 0)
"""
SUBMIT = """
from turnout import Experiment, RunConfiguration, RunDetails, ScriptRunConfig, Workspace
rc = RunConfiguration()
rc.environment.python.user_managed_dependencies = True
exp = Experiment(Workspace.from_config(), "watched")
def submit(flag):
    return exp.submit(ScriptRunConfig("scripts", "slow.py", [flag], run_config=rc))
"""
WAIT = """
import time
from turnout.client import widgets
def wait(claim):
    end = time.monotonic() + 60
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.01)
"""


@pytest.fixture
def flag(shell: Any) -> str:
    """Ends the script `slow.py` once it is there."""
    shell.write("scripts/slow.py", SCRIPT)
    return str(shell.cwd / "go")


def test_a_run_is_watched_while_other_cells_run(notebook: Execute, flag: str) -> None:
    cells = notebook(
        SUBMIT + WAIT,
        f"run = submit({flag!r})\nRunDetails(run).show()",
        f"other = submit({flag!r})\nRunDetails(other).show()\nRunDetails(run).show()",
        # The picture comes without being asked for: this cell only waits.
        "wait(lambda: all('epoch 2' in x.picture.log for x in widgets._live.values()))\n"
        "len(widgets._live)",
        f"open({flag!r}, 'w').close()\nrun.wait_for_completion()\nother.wait_for_completion()\n"
        "widgets._live",
    )
    assert shown(cells[3], "text/plain") == "2"
    assert shown(cells[4], "text/plain") == "{}"
    for picture in (shown(cells[1]), shown(cells[2])):
        assert "Completed" in picture
        assert "&lt;b&gt;epoch 2" in picture
        assert "last 0 · min 0 · max 1 · 4 values" in picture
    # Two runs in one cell, each with one picture, which changed in place.
    assert [len(c["outputs"]) for c in cells[1:3]] == [1, 2]


def test_an_interrupt_ends_the_watching_and_not_the_run(notebook: Execute, flag: str) -> None:
    cells = notebook(
        SUBMIT + WAIT + "import os, signal, threading",
        f"run = submit({flag!r})\nRunDetails(run).show()",
        # As the button does it: the kernel gets SIGINT while a cell runs.
        "try:\n    get_ipython().run_cell('''\n"
        "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "run.wait_for_completion()\n''')\n"
        "finally:\n    wait(lambda: not widgets._live)",
        "run.get_status()",
        f"RunDetails(run).show()\nopen({flag!r}, 'w').close()\n_ = run.wait_for_completion()",
    )
    assert "Not watched any more" in shown(cells[1])
    assert "Running" in shown(cells[3], "text/plain")
    assert "Completed" in shown(cells[4])


def test_a_kernel_ends_though_a_run_goes_on(notebook: Execute, shell: Any, flag: str) -> None:
    cells = notebook(SUBMIT, f"run = submit({flag!r})\nRunDetails(run).show()\nprint(run.id)")
    Path(flag).touch()
    out, _ = shell.run("run", "logs", "--follow", printed(cells[1]).strip())
    assert "epoch 2" in out
    assert "●" in shown(cells[1])


def test_outside_of_a_notebook_it_is_text(shell: Any, flag: str) -> None:
    Path(flag).touch()
    shell.write("go.py", SUBMIT + f"run = submit({flag!r})\nrun.wait_for_completion()\n"
                "RunDetails(run).show()\n")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "go.py"], cwd=shell.cwd, env=shell.env, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert re.match(r"Run watched_\w+ · Completed\n", done.stdout), done.stdout + done.stderr
    assert "loss: 0 (the last of 4)" in done.stdout


# -- old names in cells --------------------------------------------------------------------------

OLD = "from collections import Mapping\nimport inspect\nMapping, inspect.getargspec"


def test_old_names_come_back_in_cells(notebook: Execute) -> None:
    cells = notebook(
        "import azureml.core\nimport azureml.core.run",
        "1 + 1",
        OLD,
        OLD,
        "from IPython.core.display import display, HTML\ndisplay(HTML('<i>x</i>'))",
        "import numpy as np\nimport pandas as pd\nframe = pd.DataFrame({'x': [np.float(1)]})\n"
        "len(frame.append({'x': np.float(2)}, ignore_index=True))",
    )
    assert [printed(c, "stderr") for c in (cells[0], cells[1], cells[3])] == ["", "", ""]
    said = printed(cells[2], "stderr")
    assert "line 1 of the cell: collections.Mapping is gone from Python" in said
    assert shown(cells[4]) == "<i>x</i>"
    assert shown(cells[5], "text/plain") == "2"
    said = printed(cells[5], "stderr")
    assert "line 3 of the cell: numpy.float is gone from NumPy" in said
    assert "line 4 of the cell: pandas.DataFrame.append is gone from pandas" in said


def test_old_names_can_be_left_gone(notebook: Execute) -> None:
    (cell,) = notebook(
        "import azureml.core\ntry:\n    from collections import Mapping\n"
        "except ImportError as e:\n    print(e)",
        TURNOUT_ERAS="0",
    )
    assert "cannot import name 'Mapping'" in printed(cell)


# -- what a cell ends with -----------------------------------------------------------------------


def test_a_last_expression_is_a_table(notebook: Execute) -> None:
    """Each kind of thing of the workspace, and each dictionary of them; nothing of it is HTML."""
    cells = notebook(
        "import pathlib\n"
        "from azureml.core import Dataset, Environment, Experiment, Model, Workspace\n"
        "ws = Workspace(workspace_name='shown')\nexp = Experiment(ws, 'shown')\n"
        "run = exp.start_logging(tags={'<i>': '<b>'})\nrun.complete()\n"
        "env = Environment('shown')\n"
        "env.environment_variables = {'A': '<b>'}\nenv.register(ws)\n"
        "pathlib.Path('m.txt').write_text('model')\n"
        "model = Model.register(ws, 'm.txt', 'shown-model', tags={'<b>': None})\n"
        "store = ws.get_default_datastore()\nstore.upload_files(['m.txt'], target_path='shown')\n"
        "data = Dataset.File.from_files((store, 'shown'))\n"
        "data = data.register(ws, 'shown data', '<b>', create_new_version=True)",
        "ws", "exp", "run", "env", "model", "ws.experiments", "ws.environments", "ws.models",
        "ws.datasets", "ws.datastores", "ws.compute_targets",
    )  # fmt: skip
    pictures = [shown(cell) for cell in cells[1:]]
    assert all(picture.startswith("<table>") for picture in pictures)
    assert not any("<b>" in picture for picture in pictures)
    named = ["shown", "shown", "Completed", "shown", "shown-model", "shown", "shown",
             "shown-model", "shown data", "yes", ""]  # fmt: skip
    assert [n for n, picture in zip(named, pictures, strict=True) if n not in picture] == []
