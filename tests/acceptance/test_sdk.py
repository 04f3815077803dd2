"""The SDK against a real service: what a person says of runs and experiments, secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from turnout import Experiment, Run, ScriptRunConfig, UserErrorException, Workspace


def test_experiments_are_tagged_and_archived(ws: Workspace) -> None:
    exp = Experiment(ws, "kept")
    exp.set_tags({"team": "blue", "year": 2026})
    exp.tag("alone")
    exp.remove_tags(["year"])
    assert exp.tags == {"team": "blue", "alone": None}
    assert [e.name for e in Experiment.list(ws, tags={"team": "blue"})] == ["kept"]
    assert Experiment.list(ws, tags="year") == []

    exp.archive()
    assert exp.archived_time is not None
    assert "kept" not in [e.name for e in Experiment.list(ws)]
    assert "kept" in [e.name for e in Experiment.list(ws, view_type="ArchivedOnly")]
    exp.reactivate()
    assert "kept" in [e.name for e in Experiment.list(ws)]
    with pytest.raises(UserErrorException, match="view_type"):
        Experiment.list(ws, view_type="Some")


def test_the_experiment_of_a_project_folder(ws: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "aml_config"
    folder.mkdir()
    scope = "/subscriptions/s/resourceGroups/g/workspaces/lab/projects/p"
    (folder / "project.json").write_text(f'{{"Id": "from-file", "Scope": "{scope}"}}')
    found = Experiment.from_directory(tmp_path)
    assert (found.name, found.workspace.name) == ("from-file", "lab")


def test_a_run_is_described_from_both_sides(ws: Workspace) -> None:
    code = "from turnout import Run\nRun.get_context().description = 'by the script'\n"
    Path("train.py").write_text(code)
    run = Experiment(ws, "described").submit(ScriptRunConfig(".", "train.py"))
    run.wait_for_completion()
    assert Run.get(ws, run.id).description == "by the script"
    run.description = "by a person"
    assert Run.get(ws, run.id).description == "by a person"


def test_a_snapshot_taken_by_hand(ws: Workspace, tmp_path: Path) -> None:
    Path("code").mkdir()
    Path("code/a.py").write_text("1")
    with Experiment(ws, "by-hand").start_logging() as run:
        digest = run.take_snapshot("code")
    assert run.get_snapshot_id() == digest
    assert (Path(run.restore_snapshot(path=tmp_path / "back")) / "a.py").read_text() == "1"


def test_secrets_are_kept_sealed_and_reach_a_script(ws: Workspace, shell: Any) -> None:
    vault = ws.get_default_keyvault()
    vault.set_secret(name="db-password", value="hunter2-é")
    vault.set_secrets({"other": "x"})
    assert vault.list_secrets() == [{"name": "db-password"}, {"name": "other"}]
    assert vault.get_secrets(["other", "none"]) == {"other": "x", "none": None}
    vault.delete_secret("other")
    with pytest.raises(UserErrorException, match=r"no secret 'db-pasword' \(did you mean"):
        vault.delete_secret("db-pasword")
    with pytest.raises(UserErrorException, match="cannot name a secret"):
        vault.set_secret("a b", "x")

    code = "from turnout import Run\nprint(len(Run.get_context().get_secret('db-password')))\n"
    Path("train.py").write_text(code)
    run = Experiment(ws, "secret").submit(ScriptRunConfig(".", "train.py"))
    run.wait_for_completion()
    run.download_file("azureml-logs/70_driver_log.txt", "log")
    assert Path("log").read_text() == "9\n"
    kept = b"".join(f.read_bytes() for f in shell.home.rglob("*") if f.is_file())
    assert b"hunter2" not in kept
    assert (shell.home / "secret.key").stat().st_mode & 0o077 == 0
