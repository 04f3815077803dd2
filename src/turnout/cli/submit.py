"""`turnout submit`: a script to a target, its output here, its exit code ours."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.cli import following, metrics, packages
from turnout.cli.parsing import Parser, add_json, count, pairs, seconds
from turnout.cli.terminal import StatusLine, print_json, print_table, say
from turnout.spec.errors import UserError

if TYPE_CHECKING:
    from turnout.client.http import Client
    from turnout.client.run_config import RunConfiguration
    from turnout.client.script_run_config import ScriptRunConfig

EXAMPLES = """\
  turnout submit train.py --alpha 0.1
  turnout submit train.py --target lab --pip scikit-learn --pip pandas
  turnout submit train.py --requirements requirements.txt --python 3.11
  turnout submit train.py --conda environment.yml --target lab
  turnout submit --docker python:3.12 --memory 4g --docker-arg=--init train.py
  turnout submit --target lab --detach train.py
  turnout submit --vm-size 2c4g train.py
  turnout submit --config cpu train.py
  turnout submit train.py -- --name this-goes-to-the-script

Turnout's long options are taken before and after SCRIPT; its short ones and those that limit
a container only before. All else after SCRIPT goes to the script, and everything after `--` does.

The folder of the script (or --source-directory) is sent; .amlignore, else .gitignore, says
what is not. Files that the script writes to ./outputs come back: `turnout run download`.
Ctrl-C cancels the run; a second Ctrl-C leaves it to itself. The exit code is the script's."""


#: Words that scripts have for options of their own (`--network resnet50`).
BEFORE_ONLY = {"--help", *packages.LIMITS}


#: Short options that name a list of packages, and the long ones that are taken anywhere.
LISTS = {"-r": "--requirements", "-f": "--conda"}


def make_parser() -> Parser:
    parser = Parser(
        "turnout submit",
        "Run a script on a target and show its output as it is printed.",
        EXAMPLES,
        usage="turnout submit [OPTIONS] SCRIPT [ARGUMENTS …]",
    )
    where = parser.add_argument_group("where")
    where.add_argument(
        "-c",
        "--config",
        metavar="NAME|FILE",
        help="a run configuration: NAME.runconfig in aml_config/ or .azureml/; the other options "
        "change what it says",
    )
    where.add_argument("-t", "--target", help="target to run on (default local)")
    where.add_argument(
        "--vm-size", metavar="SIZE", help="make a cluster of this size, for this run alone"
    )
    where.add_argument("-e", "--experiment", help="experiment (default: the folder's name)")
    where.add_argument("--source-directory", metavar="DIR", help="what to send (default .)")
    needs = parser.add_argument_group("what the script needs")
    needs.add_argument(
        "--environment", metavar="NAME[:VERSION]", help="a named environment of the workspace"
    )
    packages.declare_packages(needs)
    needs.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="variable; repeatable"
    )
    needs.add_argument(
        "--no-eras", action="store_true", help="do not bring back names that libraries dropped"
    )
    gang = parser.add_argument_group("on several nodes, or with several processes")
    gang.add_argument("--nodes", type=count, default=1, metavar="N", help="so many at once")
    gang.add_argument("--processes", type=count, metavar="N", help="so many on each node")
    way = gang.add_mutually_exclusive_group()
    way.add_argument("--mpi", action="store_true", help="started by mpirun")
    way.add_argument("--pytorch", action="store_true", help="with PyTorch's variables (default)")
    way.add_argument(
        "--tensorflow", metavar="WORKERS[+SERVERS]", help="with TF_CONFIG, such as 4 or 4+1"
    )
    packages.declare_container(parser.add_argument_group("in a container"))
    packages.declare_limits(parser.add_argument_group("limits of the container (before SCRIPT)"))
    how = parser.add_argument_group("how")
    how.add_argument("--name", help="display name of the run")
    how.add_argument(
        "--tag", action="append", default=[], metavar="NAME[=VALUE]", help="tag; repeatable"
    )
    how.add_argument(
        "--max-duration", type=seconds, metavar="TIME", help="end it after: 3600, 90m, 2h, 1d"
    )
    how.add_argument(
        "--restarts", type=count, metavar="N", help="start again so often after a lost node (3)"
    )
    how.add_argument(
        "--detach", "--no-follow", action="store_true", help="return when it is submitted"
    )
    add_json(parser)
    return parser


def split(argv: Sequence[str], parser: Parser) -> tuple[list[str], list[str]]:
    """(our options, the script and its arguments); see the help for the rule."""
    options = parser._option_string_actions
    ours: list[str] = []
    script: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return ours, [*script, *rest]
        name = word.partition("=")[0]
        is_option = word.startswith("-") and word != "-"
        is_ours = word.startswith("--") and name in options and name not in BEFORE_ONLY
        if script and not is_ours:
            script.append(word)
        elif is_option:
            ours.append(word)
            action = options.get(name)
            if action is not None and action.nargs != 0 and name == word and rest:
                ours.append(rest.pop(0))
        else:
            script.append(word)
    return ours, script


def main(argv: Sequence[str]) -> int:
    parser = make_parser()
    ours, words = split(argv, parser)
    given = parser.parse_args(ours)
    if not words and not given.config:
        raise UserError(
            "Name a script: turnout submit train.py. `turnout submit --help` says more."
        )
    from turnout.client import submission
    from turnout.client.embedded import default_client
    from turnout.client.here import is_here

    client = default_client()
    if text := strayed(client, given, words):
        say(text)
    if given.config:
        from turnout.cli.configured import make_config as configured

        config = configured(given, words)
    else:
        here = is_here(client, target_of(given))
        config = make_config(given, words[0], words[1:], here=here)
    status = StatusLine()
    view = submission.submit(
        client,
        given.experiment or experiment_of(given, config),
        config,
        tags=pairs("--tag", given.tag, value_needed=False),
        display_name=given.name,
        progress=lambda text: status.show(text) if text.startswith("Sending") else say(text),
    )
    status.clear()
    return detach(view, given) if given.detach else watch(client, view, given)


def strayed(client: Client, given: argparse.Namespace, words: Sequence[str]) -> str:
    """A note when `-r requirements.txt` or `-t lab` went to the script and was most likely meant
    for us."""
    for option, value in itertools.pairwise(words[1:]):
        if option == "-t" and value in [t["name"] for t in client.get("/v1/targets")["targets"]]:
            return (
                f"turnout: note: '-t {value}' goes to {words[0]}, as all short options after the "
                f"script's name do. To run there: --target {value}"
            )
    if given.environment or packages.asks_for_packages(given):
        return ""
    for option, value in itertools.pairwise(words[1:]):
        long = LISTS.get(option, "")
        if long and value.endswith((".txt", ".yml", ".yaml")) and Path(value).is_file():
            return (
                f"turnout: note: '{option} {value}' goes to {words[0]}, as all short options "
                f"after the script's name do. To install what it lists: {long} {value}"
            )
    return ""


def detach(view: dict[str, Any], given: argparse.Namespace) -> int:
    if given.json:
        print_json(view)
    else:
        print(view["id"])
        say(f"Follow it: turnout run logs --follow {view['id']}")
    return 0


def watch(client: Client, view: dict[str, Any], given: argparse.Namespace) -> int:
    run = view["id"]
    if given.json:
        from turnout.client import watching

        end = watching.wait(client, run)
        found = client.get(f"/v1/runs/{run}/metrics")["metrics"]
        print_json({**end, "metrics": found})
        return following.exit_code(end)
    say(f"Run {run} on {view['target']}")
    follower = following.Follower(client, run, cancels=True)
    end = follower.follow()
    if end is None:
        return following.INTERRUPTED
    following.say_end(end, follower.tail)
    show_metrics(client, run)
    return following.exit_code(end)


def show_metrics(client: Client, run: str) -> None:
    """On stderr: stdout is the script's alone."""
    from turnout.payload.values import decode

    found = decode(client.get(f"/v1/runs/{run}/metrics")["metrics"])
    if found:
        print_table(metrics.HEAD, metrics.rows(found), sys.stderr)


def make_config(
    given: argparse.Namespace, script: str, arguments: Sequence[str], *, here: bool = False
) -> ScriptRunConfig:
    """`here`: the target is this machine, under whatever name."""
    from turnout.client.run_config import RunConfiguration
    from turnout.client.script_run_config import ScriptRunConfig

    folder, script = locate(script, given.source_directory)
    config = RunConfiguration()
    target = target_of(given)
    config.target = target
    config.amlcompute.vm_size = given.vm_size
    config.environment_variables = variables(given.env)
    if given.environment:
        found = packages.named_environment(given, given.environment)
    else:
        interpreter = given.python or default_interpreter("local" if here else target)
        found = packages.make_environment(given, interpreter)
    packages.add_limits(found, given)
    found.eras = found.eras and not given.no_eras
    config.environment = found
    config.restarts = given.restarts
    distribute(config, given)
    return ScriptRunConfig(
        folder, script, arguments, config, max_run_duration_seconds=given.max_duration
    )


def distribute(config: RunConfiguration, given: argparse.Namespace) -> None:
    """How many processes on how many nodes, and how they find each other."""
    config.node_count = given.nodes
    processes = given.processes or 1
    if given.tensorflow:
        workers, _, servers = given.tensorflow.partition("+")
        if not workers.isdecimal() or not (servers or "0").isdecimal():
            raise UserError(f"--tensorflow '{given.tensorflow}': give 4, or 4+1 with a server.")
        if given.processes:
            raise UserError("--tensorflow says how many processes there are: leave --processes.")
        config.communicator = "ParameterServer"
        config.tensorflow.worker_count = int(workers)
        config.tensorflow.parameter_server_count = int(servers or 0)
    elif given.mpi:
        config.communicator = "OpenMpi"
        config.mpi.process_count_per_node = processes
    elif given.pytorch or processes > 1:
        config.communicator = "Gloo"
        config.pytorch.process_count = processes * given.nodes


def target_of(given: argparse.Namespace) -> str:
    """The target's name; a size alone asks for a cluster of the run's own."""
    from turnout.client.here import RUN_BASED

    if given.vm_size and (given.target or RUN_BASED).lower() != RUN_BASED:
        raise UserError(
            f"--vm-size makes a cluster for this run, and --target {given.target} is another "
            "place: give one of them."
        )
    return given.target or (RUN_BASED if given.vm_size else "local")


def locate(script: str, folder: str | None) -> tuple[str, str]:
    """(source folder, script inside it). A script outside the current folder brings its own."""
    path = Path(script)
    if folder is not None:
        base = Path(folder).expanduser().absolute()
        # A path as the shell completes it, and not one below the source folder.
        if not (base / path).is_file() and path.is_file() and path.absolute().is_relative_to(base):
            return folder, path.absolute().relative_to(base).as_posix()
        return folder, script
    whole = Path(os.path.normpath(path.expanduser().absolute()))
    if whole.is_relative_to(Path.cwd()):
        return ".", whole.relative_to(Path.cwd()).as_posix()
    return str(whole.parent), whole.name


def default_interpreter(target: str) -> str:
    """The Python that `python` would be in this shell; on another machine, its `python3`."""
    from turnout.client.embedded import is_hosted

    if target != "local" or is_hosted():
        return "python3"
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        prefix = os.environ.get(variable)
        if prefix and (Path(prefix) / "bin" / "python").exists():
            return str(Path(prefix) / "bin" / "python")
    return sys.executable


def variables(given: Sequence[str]) -> dict[str, str]:
    """`NAME` alone passes on the value that it has here."""
    found: list[str] = []
    for text in given:
        if "=" not in text:
            if text not in os.environ:
                raise UserError(f"--env {text}: it is not set here. Write {text}=VALUE.")
            text = f"{text}={os.environ[text]}"
        found.append(text)
    return pairs("--env", found)


def experiment_of(given: argparse.Namespace, config: ScriptRunConfig) -> str:
    """Where none is named: what the folder of the run configuration is attached to, if it is."""
    folder = config.source_directory
    if given.config:
        from turnout.cli.v1_folder import experiment_of as attached

        return attached(Path(folder)) or experiment_name(folder)
    return experiment_name(folder)


def experiment_name(folder: str) -> str:
    """The folder's name, as far as it can name an experiment."""
    name = Path(folder).expanduser().resolve().name
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-_.")[:128] or "default"
