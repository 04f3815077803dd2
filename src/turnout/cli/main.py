"""Entry of `turnout`: finds the command's module, prints the help, turns errors into exit codes.

Nothing is imported here that `turnout --help` does not need.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

#: Command, the module that has `main(argv) -> exit code`, and what it is for; by group.
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Train": {
        "submit": ("turnout.cli.submit", "Run a script on a target, with its output here"),
        "run": ("turnout.cli.run", "List runs, read logs and metrics, cancel, download"),
        "experiment": ("turnout.cli.experiment", "List experiments"),
        "model": ("turnout.cli.model", "Register, list and download models"),
        "portal": ("turnout.cli.portal", "Open the pages of all this in the browser"),
    },
    "Machines": {
        "target": (
            "turnout.cli.target",
            "Create clusters, attach machines, watch and remove them",
        ),
        "engine": ("turnout.cli.engine", "Attach Slurm, for clusters beyond this machine"),
        "environments": ("turnout.cli.environments", "Name, build, list and prune environments"),
        "registry": ("turnout.cli.registry", "Log in at registries that images come from"),
        "quota": ("turnout.cli.quota", "See and set how much may be in use at once"),
    },
    "As in Azure ML v1": {
        "folder": ("turnout.cli.v1_folder", "Attach a folder: .azureml/ with run configurations"),
        "project": ("turnout.cli.v1_folder", "The same in aml_config/, as before May 2019"),
        "computetarget": ("turnout.cli.v1_computetarget", "Targets, with v1's options"),
        "datastore": ("turnout.cli.v1_data", "Copy files to datastores and from them"),
        "dataset": ("turnout.cli.v1_data", "List and show datasets"),
        "history": ("turnout.cli.v1_history", "List runs"),
        "workspace": ("turnout.cli.v1_workspace", "Show the workspace"),
        "configure": ("turnout.cli.v1_workspace", "Take defaults, without effect"),
    },
    "Turnout itself": {
        "config": ("turnout.cli.config", "Set how environments are made, for everyone"),
        "events": ("turnout.cli.events", "See who did what in the workspace"),
        "service": ("turnout.cli.service", "See or stop the service that works in the background"),
        "server": ("turnout.cli.server", "Run the service for a team, on TCP"),
        "migrate": (
            "turnout.cli.migrate",
            "Read azureml scripts and notebooks: what of them is served",
        ),
        "version": ("turnout.cli.version", "Show the version"),
    },
}
COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}
#: Other names of commands, not listed.
ALIASES = {"environment": "environments"}
EXAMPLES = """\
  turnout submit train.py                 on this machine, with this Python
  turnout submit train.py --alpha 0.1     the script's options follow its name
  turnout target create cluster cpu --size STANDARD_D2_V2 --max-nodes 4
  turnout target attach ssh lab --address lab.example.org --username ana
  turnout submit train.py --target lab --pip scikit-learn
  turnout run list
  turnout run logs --follow
  turnout run download latest"""

#: Exit codes: what was asked for cannot be, everything else.
USER_ERROR, FAILURE = 2, 1
#: As a shell reports a process that SIGINT ended.
INTERRUPTED = 130
BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        code = dispatch(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has had enough. Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except Exception as error:
        if os.environ.get("TURNOUT_DEBUG"):
            raise
        return report(error)


def dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        if len(args) > 1 and args[1] in COMMANDS:
            return run_command([*args[1:], "--help"])
        sys.stdout.write(help_text())
        return 0
    if args[0] in ("-V", "--version"):
        args = ["version", *args[1:]]
    return run_command([ALIASES.get(args[0], args[0]), *args[1:]])


def run_command(args: list[str]) -> int:
    if args[0] not in COMMANDS:
        from turnout.spec.errors import UserError
        from turnout.spec.records import nearest

        what = "option" if args[0].startswith("-") else "command"
        raise UserError(
            f"There is no {what} '{args[0]}'{nearest(args[0], COMMANDS)}. "
            "`turnout --help` lists the commands."
        )
    module = import_module(COMMANDS[args[0]][0])
    # A module that has several commands is told which.
    run = getattr(module, f"main_{args[0]}", None) or module.main
    return run(args[1:])


def help_text() -> str:
    lines = [
        "Turnout runs the same training script, unchanged, on any compute target.",
        "",
        "usage: turnout COMMAND [OPTIONS]",
    ]
    for title, commands in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:<14} {summary}" for name, (_, summary) in commands.items()]
    lines += ["", "Examples:", EXAMPLES, ""]
    lines += ["`turnout COMMAND --help` says more about each.", ""]
    return "\n".join(lines)


def report(error: Exception) -> int:
    """One message for a person; a stack trace only with TURNOUT_DEBUG=1."""
    from turnout.spec.errors import TurnoutError, UserError

    sys.stdout.flush()
    if isinstance(error, TurnoutError):
        text = error.message
    else:
        text = (
            f"{type(error).__name__}: {error}\n"
            "This should not happen. TURNOUT_DEBUG=1 shows where it did."
        )
    print(f"turnout: error: {text}", file=sys.stderr)
    return USER_ERROR if isinstance(error, UserError) else FAILURE


if __name__ == "__main__":
    sys.exit(main())
