"""`turnout folder` and `turnout project`: a folder with run configurations, as v1 made one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.cli.parsing import Noun
from turnout.cli.terminal import say
from turnout.cli.v1_options import add_common, answer
from turnout.spec.errors import UserError

if TYPE_CHECKING:
    from turnout.client.run_config import RunConfiguration

OLD, NEW = "aml_config", ".azureml"
PROJECT_FILE, CONFIG_FILE = "project.json", "config.json"
#: Keys of v1's answer.
EXPERIMENT, GROUP, SUBSCRIPTION, WORKSPACE = (
    "Experiment name", "Resource group", "Subscription id", "Workspace name"
)  # fmt: skip
PACKAGES = "conda_dependencies.yml"
#: What v1 left out of snapshots in the file that it wrote.
LEFT_OUT = (
    ".ipynb_checkpoints",
    "azureml-logs",
    ".azureml",
    ".git",
    "outputs",
    "azureml-setup",
    "docs",
)
PACKAGES_TEXT = """\
# What the scripts of this folder need: a conda environment file. Without a Python version it is
# the target's own.
name: project_environment
dependencies:
# - python=3.11
# - scikit-learn
- pip:
  - azureml-defaults
"""
FOLDER_EXAMPLES = """\
  turnout folder attach -w my-workspace -g my-group -e my_experiment
  turnout run submit-script -c local train.py"""
PROJECT_EXAMPLES = """\
  turnout project attach --experiment-name my_experiment
  turnout run submit -c local train.py"""


def main_folder(argv: Sequence[str]) -> int:
    noun = Noun("folder", "Folders with run configurations, as from May 2019.", FOLDER_EXAMPLES)
    attach = noun.verb("attach", attach_folder, "Write .azureml/ and .amlignore, if not there.")
    attach.add_argument("--path", type=Path, default=Path(), metavar="DIR", help="default .")
    attach.add_argument("-e", "--experiment-name", metavar="NAME", help="experiment of its runs")
    add_common(attach)
    return noun.run(argv)


def main_project(argv: Sequence[str]) -> int:
    noun = Noun("project", "Folders with run configurations, as before.", PROJECT_EXAMPLES)
    attach = noun.verb("attach", attach_project, "Write aml_config/, if it is not there.")
    attach.add_argument("--path", type=Path, default=Path(), metavar="DIR", help="default .")
    attach.add_argument(
        "-e", "--experiment-name", metavar="NAME", help="default: the folder's name"
    )
    add_common(attach)
    return noun.run(argv)


def attach_folder(given: argparse.Namespace) -> int:
    folder, found = start(given, NEW)
    values = {
        "subscription_id": found[SUBSCRIPTION],
        "resource_group": found[GROUP],
        "workspace_name": found[WORKSPACE],
    }
    write_json(folder / CONFIG_FILE, values)
    if given.experiment_name:
        write_json(folder / PROJECT_FILE, project(found))
    write_ignore_file(folder.parent)
    write_configurations(folder)
    answer(given, found)
    return 0


def write_ignore_file(project: Path) -> None:
    """v1 wrote one always. Beside a .gitignore it would count instead of it, and what that leaves
    out would be sent from then on."""
    if (project / ".gitignore").exists() and not (project / ".amlignore").exists():
        say("No .amlignore is written: .gitignore says what is not sent.")
    else:
        write(project / ".amlignore", "".join(f"{name}\n" for name in LEFT_OUT))


def attach_project(given: argparse.Namespace) -> int:
    folder, found = start(given, OLD)
    write_json(folder / PROJECT_FILE, project(found))
    write_configurations(folder)
    answer(given, found)
    return 0


def start(given: argparse.Namespace, name: str) -> tuple[Path, dict[str, Any]]:
    """(the configuration's folder, what is attached to what)."""
    from turnout.cli.submit import experiment_name
    from turnout.client.embedded import default_client
    from turnout.spec.runs import check_name

    if not given.path.is_dir():
        raise UserError(f"There is no folder '{given.path}'.")
    experiment = given.experiment_name or experiment_name(str(given.path))
    check_name("an experiment", experiment)
    # The workspace is the service's; the names that v1 was given are kept for those who read them.
    workspace = given.workspace_name or str(default_client().get("/v1/workspace")["name"])
    folder = given.path / name
    try:
        folder.mkdir(exist_ok=True)
    except OSError as e:
        raise UserError(f"'{folder}' cannot be made: {e.strerror}.") from None
    return folder, {
        EXPERIMENT: experiment,
        "Project path": str(given.path.absolute()),
        GROUP: given.resource_group or "",
        SUBSCRIPTION: given.subscription_id or "",
        WORKSPACE: workspace,
    }


def project(found: dict[str, Any]) -> dict[str, str]:
    experiment = found[EXPERIMENT]
    scope = (
        f"/subscriptions/{found[SUBSCRIPTION]}/resourceGroups/{found[GROUP]}"
        "/providers/Microsoft.MachineLearningServices"
        f"/workspaces/{found[WORKSPACE]}/projects/{experiment}"
    )
    return {"Id": experiment, "Scope": scope}


def write_configurations(folder: Path) -> None:
    """A run configuration for this machine, one for a container, one for each target; what is
    there already stays as it is."""
    from turnout.client.embedded import default_client

    write(folder / PACKAGES, PACKAGES_TEXT)
    names = [t["name"] for t in default_client().get("/v1/targets")["targets"]]
    for name in dict.fromkeys(("local", *names)):
        save(folder, name, configuration(folder, name))
    in_container = configuration(folder, "local")
    in_container.environment.docker.enabled = True
    save(folder, "docker", in_container)


def configuration(folder: Path, target: str) -> RunConfiguration:
    from turnout.client.conda_dependencies import CondaDependencies
    from turnout.client.run_config import RunConfiguration

    found = RunConfiguration(script="train.py")
    found.target = target
    python = found.environment.python
    python.conda_dependencies = CondaDependencies(folder / PACKAGES)
    python._conda_dependencies_file = f"{folder.name}/{PACKAGES}"
    return found


def save(folder: Path, name: str, config: RunConfiguration) -> None:
    from turnout.client import run_config_files

    file = folder / f"{name}.runconfig"
    if file.exists():
        say(f"'{file}' is there already and stays as it is.")
    else:
        run_config_files.save(config, file)


def write_json(path: Path, data: dict[str, Any]) -> None:
    """v1 wrote these anew with each attach."""
    from turnout.client.run_config_files import write as replace

    replace(path, json.dumps(data, indent=4) + "\n")


def write(path: Path, text: str) -> None:
    from turnout.client.run_config_files import write as replace

    if not path.exists():
        replace(path, text)


def experiment_of(folder: Path) -> str | None:
    """The experiment that the folder is attached to, if one is said."""
    from turnout.client.run_config_files import config_folder

    path = config_folder(folder) / PROJECT_FILE
    try:
        return str(json.loads(path.read_text())["Id"]) or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise UserError(
            f"'{path}' names no experiment ({e!r}). Mend it, or attach the folder again."
        ) from None
