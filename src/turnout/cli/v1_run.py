"""Verbs of `turnout run` that v1 had: submit-script, download-logs and their like."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.cli import following
from turnout.cli.parsing import Noun, Parser, add_run, count
from turnout.cli.terminal import StatusLine, say, size
from turnout.cli.v1_options import AsV1, add_common, answer
from turnout.spec.errors import NotFoundError, UserError

if TYPE_CHECKING:
    from turnout.client.http import Client
    from turnout.client.run_config import RunConfiguration

SUBMIT_EXAMPLES = """\
  turnout run submit-script -c local -e my_experiment train.py --alpha 0.1
  turnout run submit-script -c cpu --async -t run.json train.py
  turnout run submit-script --ct lab -d conda_dependencies.yml train.py

-c NAME is NAME.runconfig in aml_config/ or .azureml/. Everything from SCRIPT on is the script's.
Its output goes to stderr, and what v1 printed at the end, JSON, to stdout."""
#: Verbs of v1 that are not there, and what there is instead.
ABSENT = {
    "submit-hyperdrive": "Sweeps (HyperDrive) are not in this version",
    "submit-pipeline": "Pipelines are not in this version",
    "monitor-tensorboard": "TensorBoard is not started here: `turnout run tensorboard RUN` writes "
    "what it reads, and says how to start it",
}
LOCAL = "local"


def declare(noun: Noun) -> None:
    for name, about in (
        ("submit-script", "Run a script as a run configuration file says."),
        ("submit", "The same, as before May 2019."),
    ):
        declare_submit(noun.verb(name, submit_script, about, SUBMIT_EXAMPLES))
    update = noun.verb("update", update_run, "Add a tag to a run.")
    update.add_argument(
        "--add-tag", action="append", required=True, metavar="NAME[=VALUE]", help="repeatable"
    )
    follow = noun.verb("monitor-logs", monitor_logs, "Print a run's logs until it ends.")
    logs = noun.verb("download-logs", download_logs, "Copy the logs of a run here.")
    logs.add_argument(
        "-d", "--output-dir", type=Path, required=True, metavar="DIR", help="where to"
    )
    for parser in (update, follow, logs):
        add_run(parser)
        add_common(parser)
        add_context(parser)


def add_answer(parser: argparse.ArgumentParser) -> None:
    """v1's common options for a verb that answers as ours do, unless `--output` is given."""
    add_common(parser, output=None)


def add_context(parser: argparse.ArgumentParser) -> None:
    """Which run, as v1 said it: its id, and the experiment that is not needed."""
    parser.add_argument(
        "-r", "--run", action=AsV1, default=argparse.SUPPRESS, metavar="RUN", help="the run"
    )
    parser.add_argument(
        "-e", "--experiment-name", "--path", action=AsV1, dest="ignored", help=argparse.SUPPRESS
    )


def add_filters(parser: argparse.ArgumentParser) -> None:
    """v1's names of what `run list` takes."""

    def add(*names: str, **options: Any) -> None:
        parser.add_argument(*names, action=AsV1, default=argparse.SUPPRESS, **options)

    add("--last", dest="limit", type=count, metavar="N", help="as --limit")
    add("--experiment-name", dest="experiment", metavar="NAME", help="as --experiment")
    add("--status", dest="state", type=state, metavar="STATUS", help="as --state, in v1's words")
    add("--tags", dest="tag", metavar="NAME[=VALUE]", help="as --tag")
    add("--ct", dest="target", metavar="NAME", help="as --target")
    add("--parent-run-id", "--pipeline-run-id", dest="parent", metavar="RUN", help="as --parent")
    add("--path", dest="ignored", metavar="DIR", help="taken, without effect")
    add("--minimal", dest="ignored", nargs=0, help="taken, without effect")


def state(text: str) -> str:
    """Our name of a state that may be v1's.

    >>> state("Completed"), state("Queued"), state("Starting")
    ('completed', 'queued', 'queued')
    """
    from turnout.spec.runs import V1_STATUS

    ours = {v1.lower(): mine.value for mine, v1 in V1_STATUS.items()}
    if text.lower() in ours.values():
        return text.lower()
    if text.lower() not in ours:
        raise argparse.ArgumentTypeError(f"'{text}' is none of {', '.join(V1_STATUS.values())}")
    return ours[text.lower()]


def refuse_absent(argv: Any) -> None:
    if argv and argv[0] in ABSENT:
        raise UserError(f"{ABSENT[argv[0]]}.")


# -- submitting --------------------------------------------------------------------------------


def declare_submit(parser: Parser) -> None:
    parser.add_argument(
        "-c",
        "--run-configuration-name",
        "--run-configuration",
        dest="config",
        metavar="NAME",
        help="run configuration, a name or a file (default: local, if it is there)",
    )
    parser.add_argument(
        "-e",
        "--experiment-name",
        "--experiment",
        dest="experiment",
        metavar="NAME",
        help="experiment (default: the one that the folder is attached to)",
    )
    parser.add_argument("--path", default=".", metavar="DIR", help="the project's folder (.)")
    parser.add_argument(
        "--source-directory", metavar="DIR", help="what to send (default: the project's folder)"
    )
    parser.add_argument("--ct", "--target", dest="target", metavar="NAME", help="target")
    parser.add_argument(
        "-d", "--conda-dependencies", metavar="FILE", help="conda environment file, instead"
    )
    parser.add_argument(
        "--async", dest="detach", action="store_true", help="return when it is submitted"
    )
    parser.add_argument(
        "-t",
        "--output-metadata-file",
        dest="metadata",
        type=Path,
        metavar="FILE",
        help="write what the run is to this file, too",
    )
    parser.add_argument(
        "script",
        nargs=argparse.REMAINDER,
        metavar="SCRIPT …",
        help="the script and its arguments (default: as the run configuration says)",
    )
    add_common(parser)


def submit_script(given: argparse.Namespace) -> int:
    from turnout.client import submission
    from turnout.client.embedded import default_client
    from turnout.client.script_run_config import ScriptRunConfig

    words = given.script[1:] if given.script[:1] == ["--"] else given.script
    config = configuration(given)
    source = ScriptRunConfig(
        given.source_directory or given.path,
        words[0] if words else None,
        words[1:] if words else None,
        config,
    )
    experiment = experiment_of(given)
    client = default_client()
    status = StatusLine()
    view = submission.submit(
        client,
        experiment,
        source,
        progress=lambda text: status.show(text) if text.startswith("Sending") else say(text),
    )
    status.clear()
    if given.detach:
        finish(given, view)
        return 0
    write_metadata(given.metadata, view)
    say(f"Run {view['id']} on {view['target']}")
    end, tail = watch(client, view["id"])
    if end is None:
        return following.INTERRUPTED
    following.say_end(end, tail)
    finish(given, end)
    return following.exit_code(end)


def watch(client: Client, run: str) -> tuple[dict[str, Any] | None, bytes]:
    """Follow the run with its output on stderr: stdout is for the answer alone."""
    follower = following.Follower(client, run, cancels=True)
    with redirect_stdout(sys.stderr):
        return follower.follow(), follower.tail


def configuration(given: argparse.Namespace) -> RunConfiguration:
    from turnout.client import run_config_files, submission
    from turnout.client.conda_dependencies import CondaDependencies
    from turnout.client.embedded import default_client
    from turnout.client.run_config import RunConfiguration

    folder = Path(given.path)
    if given.config in (None, LOCAL) and LOCAL not in run_config_files.names(folder):
        # This machine needs no file: `turnout run submit-script -c local train.py` anywhere.
        found = RunConfiguration()
    else:
        places = [folder, Path(given.source_directory or folder)]
        found = load(given.config or LOCAL, places, packages=not given.conda_dependencies)
    if given.target:
        found.target = given.target
    if given.conda_dependencies:
        found.environment = submission.named_environment(default_client(), found.environment)
        python = found.environment.python
        python.user_managed_dependencies = False
        python.conda_dependencies = CondaDependencies(given.conda_dependencies)
    return found


def load(name: str, folders: Sequence[Path], *, packages: bool = True) -> RunConfiguration:
    """The run configuration that `-c` means: a file, or a name in the first folder that has it.
    `packages`: whether its list of packages counts."""
    from turnout.client import run_config_files as files

    if Path(name).is_file():
        return files.load(Path(name), None, warn, packages=packages)
    has = (folder for folder in folders if files.has(folder, name))
    return files.load(next(has, folders[0]), name, warn, packages=packages)


def warn(text: str) -> None:
    say(f"turnout: warning: {text}")


def experiment_of(given: argparse.Namespace) -> str:
    from turnout.cli import v1_folder
    from turnout.cli.submit import experiment_name

    return (
        given.experiment
        or v1_folder.experiment_of(Path(given.path))
        or experiment_name(given.source_directory or given.path)
    )


def record(view: dict[str, Any]) -> dict[str, Any]:
    """A run with v1's keys."""
    from turnout.client.run import from_view
    from turnout.client.workspace import Workspace

    return {
        "experimentName": view["experiment"],
        **from_view(Workspace(), view).get_details(),
    }


def summary(view: dict[str, Any]) -> dict[str, Any]:
    """A run of a list with v1's keys: without its definition, and no question to the service."""
    from turnout.client.details import details

    found = details({**view, "spec": None}, {})
    del found["logFiles"]
    return {"experimentName": view["experiment"], **found}


def finish(given: argparse.Namespace, view: dict[str, Any]) -> None:
    write_metadata(given.metadata, view)
    answer(given, record(view))


def write_metadata(path: Path | None, view: dict[str, Any]) -> None:
    if path is None:
        return
    import json

    from turnout.client.run_config_files import write

    write(path, json.dumps(record(view), indent=2) + "\n")


# -- the rest ----------------------------------------------------------------------------------


def update_run(given: argparse.Namespace) -> int:
    from turnout.cli.parsing import pairs
    from turnout.cli.run import find, path_of
    from turnout.client.embedded import default_client

    tags = {n: v or None for n, v in pairs("--add-tag", given.add_tag, value_needed=False).items()}
    client = default_client()
    view = find(client, given.run)
    changed = client.request("PATCH", path_of(view), {"tags": {"set": tags, "remove": []}})
    answer(given, record(changed))
    return 0


def monitor_logs(given: argparse.Namespace) -> int:
    from turnout.cli.run import find
    from turnout.client.embedded import default_client

    client = default_client()
    follower = following.Follower(client, find(client, given.run)["id"], cancels=False)
    end = follower.follow()
    if end is None:
        return following.INTERRUPTED
    following.say_end(end)
    return 0


def download_logs(given: argparse.Namespace) -> int:
    from turnout.cli.run import dump, find, path_of
    from turnout.client.embedded import default_client
    from turnout.payload.values import inner_path

    client = default_client()
    view = find(client, given.run)
    logs = client.get(f"{path_of(view)}/logs")["logs"]
    if not logs:
        raise NotFoundError(f"Run {view['id']} has no logs yet. Its state is '{view['state']}'.")
    written: list[str] = []
    for log in logs:
        # Names come from the script: none may lead out of the folder.
        goal = given.output_dir / inner_path(log["name"])
        try:
            goal.parent.mkdir(parents=True, exist_ok=True)
            with goal.open("wb") as file:
                dump(client, view, log["name"], 0, file)
        except OSError as e:
            raise UserError(f"'{goal}' cannot be written: {e.strerror}.") from None
        written.append(str(goal))
    total = size(sum(log["size"] for log in logs))
    say(f"{len(written)} {'log' if len(written) == 1 else 'logs'}, {total}")
    answer(given, {"downloadedFiles": written})
    return 0
