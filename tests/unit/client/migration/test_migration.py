"""Reading v1's names in code that is never run."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from turnout.cli import migrate
from turnout.client.exceptions import UserErrorException
from turnout.client.migration.reading import Use, read_uses
from turnout.client.migration.report import check, count
from turnout.client.migration.sources import read


def uses_of(tmp_path: Path, code: str) -> dict[str, Use]:
    path = tmp_path / "program.py"
    path.write_text(dedent(code))
    return {use.name: use for use in read_uses(read(path))}


def unserved(uses: dict[str, Use]) -> list[str]:
    return [name for name, use in uses.items() if use.why]


def test_objects_are_followed_through_calls_and_attributes(tmp_path: Path) -> None:
    code = """
    import azureml.core as aml
    from azureml.core import Workspace, Experiment as Exp, ScriptRunConfig
    ws = Workspace.from_config()
    src = ScriptRunConfig(source_directory=".", script="train.py")
    src.run_config.environment.docker.enabled = True
    run = Exp(ws, "x").submit(src)
    run.wait_for_completion(show_output=True)
    run.launch_rocket()
    for child in run.get_children():
        child.no_such()
    for old in Exp(ws, "x").get_runs():
        old.get_metrics()
    print(aml.VERSION, aml.runconfig.DEFAULT_CPU_IMAGE)
    """
    uses = uses_of(tmp_path, code)
    assert unserved(uses) == ["ScriptRun.launch_rocket"]
    assert uses["ScriptRun.launch_rocket"].why == "ScriptRun has no 'launch_rocket'"
    assert uses["ScriptRun.launch_rocket"].where == "line 9"
    assert {
        "azureml.core.Workspace.from_config",
        "DockerSection.enabled",
        "Experiment.submit",
        "Run.get_metrics",
        "azureml.core.VERSION",
        "azureml.core.runconfig.DEFAULT_CPU_IMAGE",
    } <= set(uses)


def test_what_is_outside_is_told_with_the_reason(tmp_path: Path) -> None:
    code = """
    from azureml.core import Webservice
    from azureml.train.automl import AutoMLConfig
    from azureml.core import Nonsense
    import azureml.nonsense
    Webservice.deploy_local()
    """
    uses = uses_of(tmp_path, code)
    assert "deployment" in uses["azureml.core.Webservice"].why
    assert "not in this version" in uses["azureml.train.automl.AutoMLConfig"].why
    assert uses["azureml.core.Nonsense"].why == "v1 has no such name here"
    assert uses["azureml.nonsense"].why == "v1 has no such module"


def test_arguments_that_would_be_refused(tmp_path: Path) -> None:
    code = """
    from azureml.core.compute import AmlCompute
    AmlCompute.provisioning_configuration(vm_size="x", max_nodes=4, rockets=1)
    """
    assert unserved(uses_of(tmp_path, code)) == [
        "azureml.core.compute.AmlCompute.provisioning_configuration(rockets=)"
    ]


def test_a_target_may_be_of_any_kind(tmp_path: Path) -> None:
    code = """
    from azureml.core import ComputeTarget, Workspace
    cpu = ComputeTarget.create(Workspace.from_config(), "cpu", None)
    cpu.wait_for_completion(show_output=True, min_node_count=None, rockets=3)
    cpu.list_nodes()
    cpu.fly()
    """
    assert unserved(uses_of(tmp_path, code)) == [
        "ComputeTarget.fly", "ComputeTarget.wait_for_completion(rockets=)",
    ]  # fmt: skip


def test_lines_that_only_look_like_magic(tmp_path: Path) -> None:
    code = """
    from azureml.core import Run
    text = ("%s and %s"
            % (1, 2))
    question = '''Is it
    there?
    '''
    Run.get_context()
    """
    assert "azureml.core.Run.get_context" in uses_of(tmp_path, code)


def test_names_that_become_something_else_are_followed_no_longer(tmp_path: Path) -> None:
    code = """
    from azureml.core import Workspace
    ws = Workspace.from_config()
    ws = open("x")
    ws.read()
    """
    assert unserved(uses_of(tmp_path, code)) == []


def notebook(*cells: str | list[str]) -> str:
    return json.dumps(
        {"cells": [{"cell_type": "code", "source": c} for c in cells]
         + [{"cell_type": "markdown", "source": "from azureml.core import Nonsense"}]}
    )  # fmt: skip


def test_a_cell_that_cannot_be_parsed_costs_that_cell_alone(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text(
        notebook(
            ["%matplotlib inline\n!pip install x\n", "y = !ls\n", "from azureml.core import Run"],
            "this is no Python",
            "%%writefile train.py\nfrom azureml.core import Nonsense",
            "run = Run.get_context()\nrun?\nrun.log('x', 1)",
        )
    )  # fmt: skip
    ((report,), read_files) = check([tmp_path])
    assert read_files == 1
    assert [use.name for use in report.uses] == [
        "Run.log", "azureml.core.Run", "azureml.core.Run.get_context",
    ]  # fmt: skip
    assert report.problems == ("cell 2, line 1: invalid syntax",)
    assert [use.where for use in report.uses] == [
        "cell 4, line 3",
        "cell 1, line 4",
        "cell 4, line 1",
    ]
    assert count([report]).files_served == 0


def test_folders_are_walked_and_others_code_is_left_out(tmp_path: Path) -> None:
    for name in ("a.py", "deep/er/b.py", ".hidden/c.py", "venv/d.py", "e.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import azureml.core")
    (tmp_path / "broken.ipynb").write_text('{"azureml": ')
    (tmp_path / "other.py").write_text("def broken(:")
    reports, _ = check([tmp_path, tmp_path / "a.py"])
    assert [str(r.path.relative_to(tmp_path)) for r in reports] == [
        "a.py", "broken.ipynb", "deep/er/b.py",
    ]  # fmt: skip
    assert reports[1].problems[0].startswith("it cannot be read: ")


@pytest.mark.parametrize(("name", "said"), [("none", "no file or folder"), ("a.txt", "neither")])
def test_a_bad_path_is_named(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(UserErrorException, match=said):
        check([tmp_path / name])


def test_the_command_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text("from azureml.core import Run, Webservice\n")
    assert migrate.main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("a.py: 1 of 2 names served")
    assert lines[1].split() == ["yes", "azureml.core.Run", "line", "1"]
    assert lines[2].startswith("  no   azureml.core.Webservice  line 1: deployment")
    assert lines[-1] == (
        "1 file read, 1 use v1, 0 of them only what is served. 2 names of v1: 1 served, 1 not."
    )
    assert migrate.main([str(tmp_path), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["count"] == {"files": 1, "files_served": 0, "names": 2, "names_served": 1}
    assert [use["name"] for use in data["files"][0]["uses"] if use["why"]] == [
        "azureml.core.Webservice"
    ]
