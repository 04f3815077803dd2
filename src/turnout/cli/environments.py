"""`turnout environments`: names for what scripts need, and what targets have built of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from turnout.cli import built, following, packages, v1_environment
from turnout.cli.parsing import Noun, Parser, add_json, seconds
from turnout.cli.terminal import (
    ago,
    parse_time,
    print_fields,
    print_json,
    print_table,
    printable,
    say,
    span,
)
from turnout.cli.v1_options import add_common
from turnout.client.embedded import default_client
from turnout.client.http import segment
from turnout.spec.errors import UserError

#: Packages that one line names.
SUMMARY = 5
EXAMPLES = """\
  turnout environments register sk -f conda.yml
  turnout submit train.py --environment sk
  turnout environments build sk --target lab        make it ready ahead
  turnout environments list --target lab            what is built there
  turnout environments prune --older-than 30d --dry-run"""
REGISTER_EXAMPLES = """\
  turnout environments register sk -f conda.yml
  turnout environments register sk -r requirements.txt --python 3.11
  turnout environments register box --image python:3.12 -r requirements.txt
  turnout environments register mine --current      what this Python has installed

Versions never change: the same list again is the same version, another list is the next one."""
BUILD_EXAMPLES = """\
  turnout environments build sk --target lab
  turnout environments build -f conda.yml --target lab"""


def main(argv: Sequence[str]) -> int:
    noun = Noun("environments", "Environments: names for what scripts need.", EXAMPLES)
    declare_reads(noun)
    register = noun.verb(
        "register", register_one, "Keep an environment under a name.", REGISTER_EXAMPLES
    )
    register.add_argument("name", nargs="?", metavar="NAME", help="what to call it")
    register.add_argument("--version", help="a version of your own (default: the next number)")
    register.add_argument("--description", default="", help="a few words for others")
    register.add_argument(
        "--current", action="store_true", help="what this Python has installed, exactly"
    )
    declare_content(register)
    add_json(register)
    v1_environment.add_folder(register)
    build = noun.verb(
        "build", build_one, "Make an environment ready on a target, ahead of runs.", BUILD_EXAMPLES
    )
    build.add_argument("name", nargs="?", metavar="NAME[:VERSION]", help="a named environment")
    build.add_argument("-t", "--target", default="local", help="where (default local)")
    build.add_argument("--detach", action="store_true", help="return when it is submitted")
    declare_content(build)
    add_json(build)
    prune = noun.verb("prune", built.prune, "Remove built environments that nothing uses.")
    prune.add_argument("keys", nargs="*", metavar="KEY", help="these, however young they are")
    prune.add_argument("-t", "--target", default="local", help="where (default local)")
    prune.add_argument(
        "--older-than",
        type=seconds,
        metavar="TIME",
        help="unused for so long: 12h, 30d (default: the setting environments.keep_days)",
    )
    prune.add_argument("--all", action="store_true", help="all that no run uses now")
    prune.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    add_json(prune)
    v1_environment.declare(noun)
    return noun.run(argv)


def declare_reads(noun: Noun) -> None:
    listing = noun.verb("list", show_all, "List named and curated environments, or those built.")
    listing.add_argument("-t", "--target", help="those built on this target instead")
    listing.add_argument("--built", action="store_true", help="those built on any target instead")
    add_json(listing)
    add_common(listing, output=None)
    show = noun.verb("show", show_one, "Show what an environment holds.")
    show.add_argument(
        "name",
        nargs="?",
        default=argparse.SUPPRESS,
        metavar="NAME[:VERSION]|KEY",
        help="its name, or with --target its key there",
    )
    show.add_argument("-t", "--target", help="one that is built on this target")
    add_json(show)
    v1_environment.add_name(show)


def declare_content(parser: Parser) -> None:
    needs = parser.add_argument_group("what it holds")
    packages.declare_packages(needs)
    packages.declare_container(parser.add_argument_group("in a container"), "--image")


# -- reading -----------------------------------------------------------------------------------


def show_all(given: argparse.Namespace) -> int:
    if given.target or given.built:
        return built.show_all(given)
    if given.output:
        return v1_environment.show_all(given)
    found = default_client().get("/v1/environments")["environments"]
    if given.json:
        print_json(found)
        return 0
    rows = [
        (
            x["name"],
            x["version"],
            "curated" if x["curated"] else ago(x["created_at"]),
            summary(x["definition"]),
        )
        for x in found
    ]
    print_table(("ENVIRONMENT", "VERSION", "REGISTERED", "HOLDS"), rows)
    return 0


def summary(definition: dict[str, Any]) -> str:
    """What it holds, in a line.

    >>> summary({"python": {"pip": ["numpy", "pandas"], "python_version": "3.11"}})
    'Python 3.11, numpy, pandas'
    >>> summary({"python": {"pip": list("abcdefgh")}})
    'a, b, c, d, e and 3 more'
    """
    python, docker = definition.get("python", {}), definition.get("docker", {})
    parts: list[str] = []
    if docker.get("enabled"):
        parts.append(
            f"image {docker.get('base_image')}" if docker.get("base_image") else "Dockerfile"
        )
    if python.get("user_managed_dependencies"):
        parts.append(str(python.get("interpreter_path", "python")))
    elif python.get("python_version"):
        parts.append(f"Python {python['python_version']}")
    if not python.get("user_managed_dependencies"):
        parts += [*python.get("conda", []), *python.get("pip", [])]
    more = f" and {len(parts) - SUMMARY} more" if len(parts) > SUMMARY + 1 else ""
    return (", ".join(parts[:SUMMARY] if more else parts) + more) or "Python"


def show_one(given: argparse.Namespace) -> int:
    if not hasattr(given, "name"):
        raise UserError("Name an environment: turnout environments show NAME")
    if given.target:
        return built.show_one(given)
    if given.output:
        return v1_environment.show(given)
    from turnout.spec.definitions import split_name

    name, version = split_name(given.name)
    found = default_client().get(f"/v1/environments/{segment(name)}", {"version": version})
    if given.json:
        print_json(found)
        return 0
    print_fields(
        {
            "environment": found["name"],
            "version": found["version"],
            "others": ", ".join(v for v in found["versions"] if v != found["version"]),
            "registered": "curated" if found["curated"] else ago(found["created_at"]),
            "description": printable(found["description"]),
            "tags": printable(", ".join(f"{k}={v}" for k, v in found["tags"].items())),
        }
    )
    import yaml

    print()
    text = yaml.safe_dump(found["definition"], sort_keys=False, allow_unicode=True)
    for line in text.splitlines():
        print(printable(line))
    return 0


# -- changing ----------------------------------------------------------------------------------


def register_one(given: argparse.Namespace) -> int:
    from turnout.spec.records import to_dict

    if given.directory:
        return v1_environment.register(given)
    if not given.name:
        raise UserError("Say what to call it: turnout environments register NAME -f conda.yml")
    environment = current(given) if given.current else content(given)
    environment.to_spec("elsewhere", {})
    body = {
        "name": given.name,
        "version": given.version,
        "description": given.description,
        "definition": to_dict(environment.definition()),
    }
    found = default_client().post("/v1/environments", body)
    if given.json:
        print_json(found)
    else:
        print(f"{found['name']}:{found['version']} holds {summary(found['definition'])}.")
    return 0


def current(given: argparse.Namespace) -> Any:
    from turnout.client import environment_sources
    from turnout.client.environment import Environment

    refuse_content(given, "--current")
    found = Environment()
    found.python.conda_dependencies, left_out = environment_sources.current_interpreter()
    if left_out:
        say(f"turnout: warning: {environment_sources.left_out_note(left_out)}")
    return found


def refuse_content(given: argparse.Namespace, what: str) -> None:
    for option, name in packages.SAID.items():
        if getattr(given, name):
            raise UserError(f"Give {what} or {option}, not both.")


def content(given: argparse.Namespace) -> Any:
    if not any(getattr(given, name) for name in packages.SAID.values()):
        raise UserError(
            "Say what it holds: -f conda.yml, -r requirements.txt, --pip PACKAGE, --image IMAGE, "
            "--dockerfile FILE."
        )
    return packages.make_environment(given, "python")


def build_one(given: argparse.Namespace) -> int:
    from turnout.client import submission

    if given.name:
        environment = packages.named_environment(given, given.name)
        what = given.name
    else:
        environment, what = content(given), "The environment"
    client = default_client()
    view = submission.prepare(client, environment, given.target)
    run = view["id"]
    if given.detach:
        print_json(view) if given.json else print(run)
        return 0
    if given.json:
        from turnout.client import watching

        end = watching.wait(client, run)
        print_json(end)
        return following.exit_code(end)
    end = following.Follower(client, run, cancels=True).follow()
    if end is None:
        return following.INTERRUPTED
    following.say_end(end)
    if end["state"] == "completed":
        print(f"{what} is ready on {end['target']} ({lasted(end)}).")
    return following.exit_code(end)


def lasted(view: dict[str, Any]) -> str:
    """From the submission to the end: nothing of such a run is a script's time."""
    begin, end = parse_time(view["created_at"]), parse_time(view["ended_at"])
    return span((end - begin).total_seconds()) if begin and end else ""
