"""Data of run configuration files: how it is written, read back and looked up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from turnout import RunConfiguration, ScriptRunConfig
from turnout.client import run_config_inputs
from turnout.client.dataset_factories import Dataset
from turnout.client.dataset_inputs import DatasetConsumptionConfig, OutputFileDatasetConfig
from turnout.client.datasets import FileDataset, TabularDataset
from turnout.client.datastore import DataReference
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.spec.data import DataSource
from turnout.spec.errors import NotFoundError

STORE = cast(Any, SimpleNamespace(name="store"))


def dataset(kind: Any = FileDataset) -> Any:
    found = kind([DataSource("store", "digits")], {}, None)
    found.id, found.name, found.version = "d1", "digits", 2
    return found


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What the workspace was asked for; it has `digits` and the id `d1`."""
    asked: list[tuple[str, Any]] = []

    def by_id(ws: Any, id: str) -> Any:
        asked.append(("id", id))
        if id != "d1":
            raise NotFoundError(f"There is no dataset '{id}'.")
        return dataset()

    def by_name(ws: Any, name: str, version: Any = "latest") -> Any:
        asked.append((name, version if version == "latest" else int(version)))
        if name not in ("digits", "table"):
            raise NotFoundError(f"There is no dataset '{name}'.")
        return dataset(TabularDataset if name == "table" else FileDataset)

    monkeypatch.setattr(Dataset, "get_by_id", staticmethod(by_id))
    monkeypatch.setattr(Dataset, "get_by_name", staticmethod(by_name))
    return asked


def looked_up(text: str, arguments: list[str] | None = None) -> ScriptRunConfig:
    path = Path("a.runconfig")
    path.write_text(text)
    source = ScriptRunConfig(".", "train.py", arguments, RunConfiguration.load(path))
    return run_config_inputs.with_datasets(source)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_inputs_among_the_arguments_are_written_by_name(kept: list[tuple[str, Any]]) -> None:
    reference = DataReference(STORE, "place", "some/where", "download")
    rc = RunConfiguration(
        "train.py", ["--in", dataset().as_named_input("digits").as_mount("x"), "--at", reference]
    )
    rc.save(".", "a")
    said = yaml.safe_load(Path(".azureml/a.runconfig").read_text())
    assert said["arguments"] == [
        "--in", "DatasetConsumptionConfig:digits", "--at", "$AZUREML_DATAREFERENCE_place"
    ]  # fmt: skip
    assert said["dataReferences"]["place"]["pathOnDataStore"] == "some/where"
    entry = said["data"]["digits"]
    assert entry["dataLocation"]["dataset"] == {"id": "d1", "name": "digits", "version": "2"}
    assert (entry["mechanism"], entry["pathOnCompute"]) == ("mount", "x")
    # The object is as it was; and what comes back asks for the same.
    assert isinstance(rc.arguments[1], DatasetConsumptionConfig)
    source = ScriptRunConfig(".", "train.py", None, RunConfiguration.load(".", "a"))
    spec = run_config_inputs.with_datasets(source).run_config.to_spec()
    direct = rc.to_spec()
    assert spec.arguments == direct.arguments
    assert sorted(spec.inputs, key=lambda x: x.name) == sorted(direct.inputs, key=lambda x: x.name)
    assert kept == [("id", "d1")]


def test_a_configuration_with_data_can_be_printed() -> None:
    rc = RunConfiguration("train.py", [dataset().as_named_input("digits").as_mount()])
    rc.data = {"digits": dataset().as_named_input("digits")}
    rc.data_references = {"place": DataReference(STORE, "place")}
    assert "$AZUREML_DATAREFERENCE_digits" in repr(rc)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (OutputFileDatasetConfig("result"), "output 'result' cannot be kept in a file"),
        (
            FileDataset([DataSource("store", "x")], {}, cast(Any, None)).as_named_input("fresh"),
            "input 'fresh' has no name",
        ),
    ],
)
def test_what_no_file_can_say(item: Any, text: str) -> None:
    for rc in (RunConfiguration("t.py", [item]), RunConfiguration("t.py")):
        if not rc.arguments:
            rc.data = {item.name: item}
        with pytest.raises(UserErrorException, match=text):
            rc.save(".", "a")
        assert not Path(".azureml").exists()


def test_by_id_then_by_name(kept: list[tuple[str, Any]]) -> None:
    data = "data:\n  a: {dataLocation: {dataset: %s}, mechanism: %s}\n"
    found = looked_up(data % ("{id: d1}", "Mount"), ["--x", "DatasetConsumptionConfig:a"])
    assert found.run_config.data["a"].mode == "mount"
    assert found.arguments == ["--x", found.run_config.data["a"]]
    found = looked_up(data % ("{id: 5a3c, name: digits, version: '3'}", "download"))
    assert found.run_config.data["a"].mode == "download"
    assert kept == [("id", "d1"), ("id", "5a3c"), ("digits", 3)]
    found = looked_up(data % ("{name: table}", "direct"))
    assert found.run_config.data["a"].mode == "direct"
    assert kept[-1] == ("table", "latest")


@pytest.mark.parametrize(
    ("dataset", "text"),
    [
        ("{id: 5a3c}", "input 'a' is the dataset with the id 5a3c, which is not in this"),
        ("{id: 5a3c, name: no}", "input 'a': There is no dataset 'no'"),
        ("{name: digits, version: new}", "input 'a': 'new' is no version"),
    ],
)
def test_what_is_not_there(kept: list[tuple[str, Any]], dataset: str, text: str) -> None:
    with pytest.raises(RunConfigurationException, match=text):
        looked_up(f"data:\n  a:\n    dataLocation:\n      dataset: {dataset}\n")


def test_an_argument_without_an_input() -> None:
    with pytest.raises(RunConfigurationException, match="there is no 'b' in 'data'"):
        looked_up("arguments: ['DatasetConsumptionConfig:b']\n")
    plain = ScriptRunConfig(".", "train.py", ["--x"])
    assert run_config_inputs.with_datasets(plain) is plain


def test_the_modes_of_v1s_service() -> None:
    path = Path("a.runconfig")
    path.write_text("dataReferences: {a: {dataStoreName: s, mode: Download}}\n")
    assert RunConfiguration.load(path).data_references["a"].mode == "download"
