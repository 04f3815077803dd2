"""Runs, experiments and workspaces with v1's commands."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import pytest
from fake_v1 import RUN, FakeClient, Out, call

from turnout.cli import main as cli
from turnout.cli import v1_data, v1_folder, v1_options, v1_run


@pytest.mark.parametrize("module", [v1_data, v1_run, v1_options, v1_folder])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_run_list_in_v1s_words(capsys: Out, client: FakeClient) -> None:
    words = "--last 5 --experiment-name exp --status Completed --tags best=1 --ct cpu --minimal"
    words += " -o json -w w -g g"
    found = call(capsys, "run", "list", *words.split())
    assert found[0]["runId"] == "exp_1_ab"
    assert found[0]["experimentName"] == "exp"
    assert found[0]["status"] == "Completed"
    query = client.asked[0][2]
    assert (query["limit"], query["state"], query["tag"]) == (5, "completed", "best=1")
    assert query["target"] == "cpu"
    # Whoever gives an option that only v1 has reads v1's answer; others ours.
    assert call(capsys, "run", "list", "-w", "w", "--query", "[].runId") == ["exp_1_ab"]
    assert cli.main(["run", "list", "-e", "exp", "--target", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("RUN ")
    assert cli.main(["run", "list", "--last", "1", "-o", "table"]) == 0
    assert capsys.readouterr().out.startswith("ExperimentName  RunId")
    assert cli.main(["run", "list", "--status", "Done"]) == 2
    assert "'Done' is none of NotStarted, Starting, " in capsys.readouterr().err


def test_the_run_is_an_option_or_a_word(capsys: Out, client: FakeClient) -> None:
    newest = {**RUN, "id": "exp_2_cd"}
    client.answers["GET", "/v1/runs"] = {"runs": [newest]}
    client.answers["GET", "/v1/runs/exp_2_cd"] = newest
    client.answers["GET", "/v1/runs/exp_2_cd/logs"] = {"logs": []}
    assert call(capsys, "run", "show", "-o", "json")["runId"] == "exp_2_cd"
    for words in (["-r", "exp_1_ab"], ["exp_1_ab"], ["--run", "exp_1_ab"]):
        assert call(capsys, "run", "show", *words, "-o", "json")["runId"] == "exp_1_ab"
    assert call(capsys, "run", "cancel", "-r", "exp_1_ab", "-o", "json")["status"] == "Completed"
    assert call(capsys, "run", "show", "-r", "exp_1_ab", "-e", "exp")["runId"] == "exp_1_ab"
    assert call(capsys, "run", "cancel", "exp_1_ab") is None


def test_update_adds_tags(capsys: Out, client: FakeClient) -> None:
    found = call(capsys, "run", "update", "-r", "exp_1_ab", "--add-tag", "a=1", "--add-tag", "b")
    assert found["runId"] == "exp_1_ab"
    assert client.sent("PATCH") == [{"tags": {"set": {"a": "1", "b": None}, "remove": []}}]


def test_there_are_no_logs_yet(capsys: Out) -> None:
    assert cli.main(["run", "download-logs", "-d", "logs"]) == 2
    assert "has no logs yet. Its state is 'completed'." in capsys.readouterr().err
    assert not Path("logs").exists()


def test_history_is_of_the_folders_experiment(capsys: Out, client: FakeClient) -> None:
    found = call(capsys, "history", "list")[0]
    assert (found["runId"], found["run_id"]) == ("exp_1_ab", "exp_1_ab")
    assert cli.main(["project", "attach", "--experiment-name", "mine", "-o", "none"]) == 0
    call(capsys, "history", "list", "--last", "3")
    assert client.asked[-2][2] == {"experiment": "mine", "limit": 3}
    client.answers["GET", "/v1/runs/exp_1_ab/metrics"] = {"metrics": {"mse": [3, 2], "best": 2}}
    assert cli.main(["history", "last", "--query", "mse", "-o", "TSV"]) == 0
    assert capsys.readouterr().out == "2\n"
    assert call(capsys, "history", "last", "-o", "JSON")["status"] == "Completed"
    client.answers["GET", "/v1/runs"] = {"runs": []}
    assert cli.main(["history", "last"]) == 2
    assert "no such runs yet" in capsys.readouterr().err
    Path("aml_config/project.json").write_text("{}")
    assert cli.main(["history", "list"]) == 2
    assert "'aml_config/project.json' names no experiment" in capsys.readouterr().err


def test_experiments_and_workspaces(capsys: Out) -> None:
    assert call(capsys, "experiment", "list", "-w", "w", "-o", "json")[0]["name"] == "exp"
    assert call(capsys, "workspace", "show", "-w", "w")["name"] == "default"
    assert call(capsys, "workspace", "list")[0]["name"] == "default"
    words = ["-n", "w", "-g", "g", "-l", "westeurope", "--exist-ok", "--yes"]
    assert call(capsys, "workspace", "create", *words)["name"] == "default"


def test_configure(capsys: Out) -> None:
    assert cli.main(["configure", "--defaults", "aml_workspace=w", "group=g"]) == 0
    assert "nothing to configure" in capsys.readouterr().err
    assert cli.main(["configure", "-d", "group"]) == 2
