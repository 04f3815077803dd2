"""`turnout model`: files that the workspace keeps under a name, version by version."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turnout.cli.parsing import Noun, Parser, add_json, pairs
from turnout.cli.run import find as find_run
from turnout.cli.terminal import ago, print_fields, print_json, print_table, printable, size
from turnout.cli.v1_options import AsV1, add_common, add_place, answer
from turnout.client.embedded import default_client
from turnout.client.model import Model, from_run
from turnout.client.model_requests import body_of
from turnout.client.run_config_files import write
from turnout.client.workspace import Workspace
from turnout.spec.errors import UserError

EXAMPLES = """\
  turnout model register ridge outputs/model.pkl --run latest    of a run, without a copy here
  turnout model register ridge model.pkl --tag stage=test        of this machine
  turnout model list
  turnout model download ridge -o models                         the newest version
  turnout model show ridge:2"""


def main(argv: Sequence[str]) -> int:
    noun = Noun("model", "Models: files under a name, each registration a version.", EXAMPLES)
    declare_register(noun)
    models = noun.verb("list", show_all, "List models, the newest first.")
    models.add_argument("name", nargs="?", metavar="NAME", help="only of this name")
    models.add_argument("-n", "--model-name", metavar="NAME", help="the same, as in v1")
    models.add_argument("--tag", action="append", metavar="NAME[=VALUE]", help="only with this")
    models.add_argument("--run", metavar="RUN", help="only of this run")
    models.add_argument("-l", "--latest", action="store_true", help="one version of each name")
    add_json(models)
    add_common(models, output=None)
    show = noun.verb("show", show_one, "Show a model and its files.")
    add_model(show)
    add_json(show)
    add_common(show, output=None)
    download = noun.verb("download", download_one, "Copy the files of a model here.")
    add_model(download)
    download.add_argument(
        "-o", "--output", "-t", "--target-dir", default=".", metavar="DIR",
        help="folder to copy into (default .)",
    )  # fmt: skip
    download.add_argument("--overwrite", action="store_true", help="replace what is there")
    delete = noun.verb("delete", delete_one, "Delete one version of a model.")
    add_model(delete)
    for parser in (download, delete):
        add_place(parser)
    return noun.run(argv)


def declare_register(noun: Noun) -> None:
    parser = noun.verb("register", register, "Keep files as the next version of a name.", EXAMPLES)
    parser.add_argument("model", nargs="?", metavar="NAME", help="what to call it")
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="file or folder here, or of the run"
    )
    parser.add_argument("-n", "--name", metavar="NAME", help="the same, as in v1")
    parser.add_argument(
        "-p", "--model-path", "--asset-path", metavar="PATH", help="the same, as in v1"
    )
    parser.add_argument("--run", "--run-id", metavar="RUN", help="of this run: id or 'latest'")
    parser.add_argument(
        "--tag", action="append", default=[], metavar="NAME=VALUE", help="tag; repeatable"
    )
    parser.add_argument(
        "--property", action="append", default=[], metavar="NAME=VALUE",
        help="property, which never changes; repeatable",
    )  # fmt: skip
    parser.add_argument("-d", "--description", help="a few words for others")
    parser.add_argument("--framework", "--model-framework", help="such as ScikitLearn")
    parser.add_argument("--framework-version", "--model-framework-version", metavar="VERSION")
    add_json(parser)
    add_common(parser, output=None)
    parser.add_argument(
        "-f", "--run-metadata-file", action=AsV1, type=Path, metavar="FILE",
        help="of the run that `turnout run submit-script -t FILE` wrote down",
    )  # fmt: skip
    parser.add_argument(
        "-t", "--output-metadata-file", action=AsV1, type=Path, metavar="FILE",
        help="write what the model is to this file, too",
    )  # fmt: skip


def add_model(parser: Parser) -> None:
    parser.add_argument("model", nargs="?", metavar="NAME[:VERSION]", help="default: the newest")
    parser.add_argument("-i", "--model-id", metavar="ID", help="the same, as in v1")
    parser.add_argument("-n", "--model-name", metavar="NAME", help="the same, as in v1")


def one_of(what: str, *given: str | None) -> str:
    found = {text for text in given if text}
    if len(found) != 1:
        raise UserError(f"Give the {what}{' once' if found else ''}: `--help` shows how.")
    return found.pop()


def register(given: argparse.Namespace) -> int:
    name = one_of("model's name", given.model, given.name)
    path = one_of("path of its files", given.path, given.model_path)
    said: dict[str, Any] = {
        "tags": pairs("--tag", given.tag),
        "properties": pairs("--property", given.property),
        "description": given.description,
        "framework": given.framework,
        "framework_version": given.framework_version,
    }
    workspace = Workspace()
    wanted = given.run or (given.run_metadata_file and run_of(given.run_metadata_file))
    if wanted:
        run = find_run(default_client(), wanted)
        record = body_of(name, path, details={}, **said)
        found = from_run(workspace, run["id"], record)
    else:
        found = Model.send(workspace, path, name, details={}, **said)
    if given.output_metadata_file:
        write(given.output_metadata_file, json.dumps(found.serialize(), indent=2) + "\n")
    if given.output:
        answer(given, found.serialize())
    elif given.json:
        print_json(found.serialize())
    else:
        total = sum(found.files.values())
        print(f"{found.id}  ({len(found.files)} files, {size(total)})")
    return 0


def run_of(path: Path) -> str:
    """The run that a file of `run submit-script -t` names."""
    try:
        return str(json.loads(path.read_text())["runId"])
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise UserError(f"'{path}' names no run ({e!r}): it needs 'runId'.") from None


def chosen(given: argparse.Namespace) -> Model:
    return Model(Workspace(), one_of("model", given.model, given.model_id, given.model_name))


def show_all(given: argparse.Namespace) -> int:
    name = given.name or given.model_name
    run = find_run(default_client(), given.run)["id"] if given.run else None
    found = Model.list(Workspace(), name, given.tag, run_id=run, latest=given.latest)
    if given.output:
        answer(given, [model.serialize() for model in found])
    elif given.json:
        print_json([model.serialize() for model in found])
    elif found:
        rows = [
            (
                model.id,
                size(sum(model.files.values())),
                ago(model.created_time.isoformat()),
                model.run_id or "",
                words(model.tags),
            )
            for model in found
        ]
        print_table(("MODEL", "SIZE", "REGISTERED", "RUN", "TAGS"), rows)
    else:
        print("No models. Register one: turnout model register NAME PATH")
    return 0


def show_one(given: argparse.Namespace) -> int:
    found = chosen(given)
    if given.output:
        answer(given, found.serialize())
        return 0
    if given.json:
        print_json(found.serialize())
        return 0
    framework = f"{found.model_framework or ''} {found.model_framework_version or ''}".strip()
    print_fields(
        {
            "model": found.id,
            "description": printable(found.description),
            "framework": printable(framework),
            "run": found.run_id,
            "experiment": found.experiment_name,
            "registered": ago(found.created_time.isoformat()),
            "tags": printable(words(found.tags)),
            "properties": printable(words(found.properties)),
        }
    )
    print()
    print_table(("FILE", "SIZE"), [(name, size(count)) for name, count in found.files.items()])
    return 0


def words(given: dict[str, str | None]) -> str:
    return ", ".join(name if value is None else f"{name}={value}" for name, value in given.items())


def download_one(given: argparse.Namespace) -> int:
    print(chosen(given).download(given.output, exist_ok=given.overwrite))
    return 0


def delete_one(given: argparse.Namespace) -> int:
    found = chosen(given)
    text = one_of("model", given.model, given.model_id, given.model_name)
    if ":" not in text and len(Model.list(found.workspace, found.name)) > 1:
        raise UserError(
            f"The model '{found.name}' has several versions: say which, such as {found.id}."
        )
    found.delete()
    print(f"{found.id} is deleted.")
    return 0
