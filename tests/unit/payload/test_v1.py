"""v1's import paths: the same objects everywhere, what is not served said in one sentence."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import turnout
import turnout.client.exceptions
from turnout.hosts.payload_zip import payload
from turnout.payload.v1 import modules, names

ROOT = Path(__file__).parents[3]


def every_name() -> list[tuple[str, str]]:
    return [(module, name) for module, listed in names.MODULES.items() for name in listed.split()]


@pytest.mark.parametrize("module", sorted(names.MODULES))
def test_every_module_imports_and_has_what_it_lists(module: str) -> None:
    found = importlib.import_module(module)
    for name in names.MODULES[module].split():
        value = getattr(found, name)
        if not modules.status(module, name):
            home, _, attribute = names.HOMES[name].partition(":")
            assert value is getattr(importlib.import_module(home), attribute)


def test_every_home_is_in_some_module() -> None:
    assert set(names.HOMES) <= {name for _, name in every_name()}


def test_what_is_said_to_be_unserved_is_a_name_of_v1() -> None:
    assert not set(names.UNSERVED) & set(names.HOMES)


def test_an_except_clause_catches_under_either_path() -> None:
    from azureml.core.compute_target import ComputeTargetException as old
    from azureml.exceptions import ComputeTargetException as new

    assert old is new is turnout.ComputeTargetException


def test_importing_the_package_is_enough_for_its_parts() -> None:
    import azureml.core

    assert azureml.core.runconfig.RunConfiguration is turnout.RunConfiguration
    assert azureml.core.VERSION == names.VERSION


def test_unserved_names_import_and_fail_in_one_sentence_when_used() -> None:
    from azureml.core.webservice import AciWebservice, Webservice
    from azureml.explain.model.tabular_explainer import TabularExplainer

    for use in (
        lambda: AciWebservice(),
        lambda: Webservice.list("ws"),
        lambda: TabularExplainer(1, 2),
    ):
        with pytest.raises(modules.NotServedError, match=r"cannot be used: .+\.$"):
            use()


def test_exceptions_of_unserved_parts_can_be_named_in_except() -> None:
    from azureml.exceptions import WebserviceException

    assert issubclass(WebserviceException, turnout.client.exceptions.AzureMLException)
    assert not issubclass(turnout.UserErrorException, WebserviceException)


def test_a_name_that_v1_never_had_is_an_import_error_with_the_nearest() -> None:
    with pytest.raises(ImportError, match="did you mean 'Workspace'"):
        from azureml.core import Workspce  # noqa: F401
    assert not hasattr(importlib.import_module("azureml.core"), "Workspce")


def test_the_limit_that_documentation_says_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import azureml._restclient.snapshots_client

    from turnout.snapshots import limits

    monkeypatch.setenv(limits.MB_VARIABLE, "1")
    azureml._restclient.snapshots_client.SNAPSHOT_MAX_SIZE_BYTES = 3_000_000_000
    assert limits.resolve(None, None)[0] == 2862 * limits.MB


def test_both_distributions_have_the_same_package() -> None:
    ours = ROOT / "src/turnout/payload/v1/package.py"
    assert ours.read_text() == (ROOT / "compat/azureml/src/azureml/__init__.py").read_text()


def run_script(tmp_path: Path, code: str) -> str:
    """`code` with the payload alone, as on a target where nothing is installed."""
    (tmp_path / "payload.zip").write_bytes(payload().data)
    (tmp_path / "run").mkdir()
    env = {
        "PYTHONPATH": str(tmp_path / "payload.zip"),
        "TURNOUT_RUN_FOLDER": str(tmp_path / "run"),
        "TURNOUT_RUN_ID": "exp_1",
        "TURNOUT_EXPERIMENT": "exp",
        "AZUREML_ARM_WORKSPACE_NAME": "lab",
    }
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_script_on_its_target_has_the_run_and_pays_for_nothing_else(tmp_path: Path) -> None:
    code = """
import sys
from azureml.core import Run, Workspace, Experiment, ScriptRunConfig
from azureml.core.run import Run as again
import azureml.core.runconfig
run = Run.get_context()
run.log("x", 1)
print(again is Run, type(run).__module__, run.experiment.name, run.experiment.workspace.name)
heavy = ("turnout.client", "turnout.spec", "importlib.metadata")
print([m for m in sys.modules if m.startswith(heavy)])
for use in (lambda: Workspace.from_config(), lambda: run.experiment.workspace.datasets):
    try:
        use()
    except Exception as e:
        print(type(e).__name__, e)
"""
    lines = run_script(tmp_path, code).splitlines()
    assert lines[0] == "True turnout.payload.tracking exp lab"
    assert lines[1] == "[]"
    assert lines[2].startswith("NotServedError azureml.core.Workspace cannot be used: a script on")
    assert lines[3].startswith("TrackingError workspace.datasets: the workspace is not reachable")
    assert (tmp_path / "run" / "records.jsonl").read_text().count('"x"') == 1


def test_authentication_is_taken_and_forgotten() -> None:
    from azureml.core.authentication import ServicePrincipalAuthentication

    auth = ServicePrincipalAuthentication("tenant", "user", service_principal_password="secret")
    assert "secret" not in repr(vars(auth))
