"""`Workspace`: found by files as v1's, or without any."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_service import FakeService

from turnout import Workspace
from turnout.client.exceptions import ProjectSystemException, WorkspaceException

CONFIG = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}
SCOPE = "/subscriptions/s/resourceGroups/g/providers/M/workspaces/w/projects/p"


def put(path: Path, data: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("config.json", CONFIG),
        (".azureml/config.json", CONFIG),
        ("aml_config/config.json", CONFIG),
        ("aml_config/project.json", {"Id": "e", "Scope": SCOPE}),
    ],
)
def test_from_config_looks_upwards(tmp_path: Path, file: str, data: object) -> None:
    put(tmp_path / file, data)
    deep = tmp_path / "a/b"
    deep.mkdir(parents=True)
    ws = Workspace.from_config(deep)
    assert (ws.name, ws.subscription_id, ws.resource_group) == ("w", "s", "g")


def test_nearest_and_oldest_layout_win(tmp_path: Path) -> None:
    put(tmp_path / "config.json", {**CONFIG, "workspace_name": "outer"})
    put(tmp_path / "in/.azureml/config.json", {**CONFIG, "workspace_name": "dot"})
    put(tmp_path / "in/aml_config/config.json", {**CONFIG, "workspace_name": "old"})
    assert Workspace.from_config(tmp_path / "in").name == "old"
    assert Workspace.from_config(tmp_path / "in/.azureml/config.json").name == "dot"


@pytest.mark.usefixtures("client")
def test_without_a_file_it_is_the_default_workspace(service: FakeService, tmp_path: Path) -> None:
    put(tmp_path / "config.json", {"some": "other program's"})
    service("GET", "/v1/workspace", {"name": "team", "version": "1", "home": "/h", "pid": 1})
    ws = Workspace.from_config(tmp_path)
    assert service.requests == []
    assert (ws.name, ws.get_details()["home"]) == ("team", "/h")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '"x"'])
def test_damaged_files_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / ".azureml/config.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ProjectSystemException, match=r"\.azureml/config\.json"):
        Workspace.from_config(tmp_path)
    with pytest.raises(ProjectSystemException, match="no configuration at"):
        Workspace.from_config(tmp_path / "none.json")


def test_written_and_read(tmp_path: Path) -> None:
    Workspace.create("w", subscription_id="s", resource_group="g").write_config(tmp_path)
    assert Workspace.from_config(tmp_path / ".azureml").name == "w"
    assert json.loads((tmp_path / ".azureml/config.json").read_text()) == CONFIG


def test_names_by_position_and_keyword() -> None:
    assert Workspace("s", "g", "w").name == Workspace(name="w").name == Workspace.get("w").name
    with pytest.raises(WorkspaceException, match="'nam'"):
        Workspace(nam="w")


@pytest.mark.usefixtures("client")
def test_experiments_and_targets(service: FakeService) -> None:
    service(
        "GET",
        "/v1/experiments",
        {"experiments": [{"name": n, "tags": {}, "archived_at": None} for n in "ab"]},
    )
    service("GET", "/v1/targets", {"targets": []})
    ws = Workspace(name="w")
    assert list(ws.experiments) == ["a", "b"]
    assert ws.compute_targets == {}
