"""`turnout run`: what runs there are, what they print, log and leave behind."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from turnout.cli import following, metrics, usage, v1_run
from turnout.cli.parsing import Noun, Parser, add_json, add_run, pairs
from turnout.cli.terminal import (
    StatusLine,
    ago,
    print_fields,
    print_json,
    print_table,
    printable,
    say,
    size,
    took,
)
from turnout.client.embedded import default_client
from turnout.client.http import Client, segment
from turnout.spec.errors import NotFoundError, UserError

STATES = (
    "created", "queued", "provisioning", "preparing", "running", "finalizing",
    "completed", "failed", "canceled",
)  # fmt: skip
FINAL = STATES[-3:]
EXAMPLES = """\
  turnout run list --experiment diabetes
  turnout run show                      the latest run
  turnout run logs --follow c57829e6    a part of the id is enough
  turnout run download latest outputs/model.pkl -o models"""


def main(argv: Sequence[str]) -> int:
    v1_run.refuse_absent(argv)
    noun = Noun("run", "Runs: what there is, what they print, log and leave behind.", EXAMPLES)
    declare_list(noun)
    declare_reads(noun)
    declare_files(noun)
    stop = noun.verb("cancel", cancel, "End a run: politely, then by force.")
    add_run(stop)
    v1_run.add_answer(stop)
    v1_run.add_context(stop)
    tag = noun.verb("tag", change_tags, "Set and remove tags of a run.")
    tag.add_argument("run", metavar="RUN", help="a run's id, a part of it, or 'latest'")
    tag.add_argument("tags", nargs="*", metavar="NAME[=VALUE]", help="tag to set")
    tag.add_argument(
        "--remove", action="append", default=[], metavar="NAME", help="tag to remove; repeatable"
    )
    v1_run.declare(noun)
    return noun.run(argv)


def declare_list(noun: Noun) -> None:
    runs = noun.verb("list", show_all, "List runs, the newest first.")
    runs.add_argument("-e", "--experiment", help="only of this experiment")
    runs.add_argument(
        "--state", choices=STATES, metavar="STATE", help=f"one of {', '.join(STATES)}"
    )
    runs.add_argument("--tag", metavar="NAME[=VALUE]", help="only with this tag")
    runs.add_argument("--parent", metavar="RUN", help="the children of this run")
    runs.add_argument("-t", "--target", metavar="NAME", help="only on this target")
    runs.add_argument("--children", action="store_true", help="children as well")
    runs.add_argument("--limit", type=whole, default=20, help="at most so many (default 20)")
    add_json(runs)
    v1_run.add_answer(runs)
    v1_run.add_filters(runs)


def declare_reads(noun: Noun) -> None:
    show = noun.verb("show", show_one, "Show a run: state, times, error, tags, metrics.")
    add_run(show)
    add_json(show)
    v1_run.add_answer(show)
    v1_run.add_context(show)
    logs = noun.verb("logs", show_logs, "Print what the script printed.")
    add_run(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
    logs.add_argument("--name", help="another log, by a part of its name")
    logs.add_argument("--list", action="store_true", help="list the logs instead")
    add_json(logs)
    shown = noun.verb("metrics", show_metrics, "Print the metrics of a run.")
    add_run(shown)
    shown.add_argument("--name", help="one metric, all its values")
    add_json(shown)
    used = noun.verb("usage", show_usage, "Show what a run uses of CPU, memory and GPUs.")
    add_run(used)
    add_json(used)


def declare_files(noun: Noun) -> None:
    files = noun.verb("files", show_files, "List the outputs and uploads of a run.")
    add_run(files)
    add_json(files)
    download = noun.verb("download", download_files, "Copy files of a run here.")
    add_run(download)
    download.add_argument(
        "names", nargs="*", metavar="NAME", help="file or folder of the run (default: all)"
    )
    add_output(download, "folder to copy into (default .)")
    board = noun.verb("tensorboard", export_events, "Write a run's metrics for TensorBoard.")
    add_run(board)
    board.add_argument(
        "--logdir", type=Path, default=Path("tensorboard"), metavar="DIR",
        help="folder for the event files (default ./tensorboard)",
    )  # fmt: skip
    restore = noun.verb("restore", restore_snapshot, "Write the source as it was submitted.")
    add_run(restore)
    add_output(restore, "new folder (default: RUN-snapshot)")


def add_output(parser: Parser, text: str) -> None:
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help=text)


def whole(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to 1000")
    return int(text)


def find(client: Client, wanted: str) -> dict[str, Any]:
    """The run that RUN means. Raises `UserError` for none or several."""
    if "/" in wanted or not wanted:
        raise NotFoundError(f"There is no run '{wanted}'.")
    if wanted != "latest":
        return client.get(f"/v1/runs/{segment(wanted)}")
    found = client.get("/v1/runs", {"limit": 1})["runs"]
    if not found:
        raise NotFoundError("There are no runs yet. Start one: turnout submit train.py")
    return found[0]


def path_of(view: dict[str, Any]) -> str:
    return f"/v1/runs/{segment(view['id'])}"


# -- reading -----------------------------------------------------------------------------------


def show_all(given: argparse.Namespace) -> int:
    client = default_client()
    query = {
        "experiment": given.experiment,
        "state": given.state,
        "tag": given.tag,
        "parent": find(client, given.parent)["id"] if given.parent else None,
        "target": given.target,
        "include_children": given.children or None,
        "limit": given.limit,
    }
    runs = client.get("/v1/runs", query)["runs"]
    if given.output:
        v1_run.answer(given, [v1_run.summary(view) for view in runs])
    elif given.json:
        print_json(runs)
    elif runs:
        rows = [
            (x["id"], name_of(x), x["state"], x["target"], ago(x["created_at"]), took(x))
            for x in runs
        ]
        print_table(("RUN", "NAME", "STATE", "TARGET", "SUBMITTED", "TOOK"), rows)
    else:
        print("No such runs. Start one: turnout submit train.py")
    return 0


def name_of(view: dict[str, Any]) -> str:
    """The display name where it says more than the id."""
    return "" if view["display_name"] == view["id"] else view["display_name"] or ""


def show_one(given: argparse.Namespace) -> int:
    client = default_client()
    view = find(client, given.run)
    if given.output:
        v1_run.answer(given, v1_run.record(view))
        return 0
    found = client.get(f"{path_of(view)}/metrics")["metrics"]
    if given.json:
        print_json({**view, "metrics": found})
        return 0
    used = samples_of(client, view)
    spec, error = view["spec"] or {}, view["error"] or {}
    words = spec.get("command") or [spec.get("script", ""), *spec.get("arguments", [])]
    print_fields(
        {
            "run": view["id"],
            "name": printable(name_of(view)),
            "experiment": view["experiment"],
            "state": view["state"] + (" (canceling)" if is_canceling(view) else ""),
            "message": printable(view["message"] or ""),
            "error": error.get("message"),
            "exit code": error.get("exit_code"),
            "target": view["target"],
            "script": printable(" ".join(words)),
            "prepares": "an environment" if spec.get("prepare_only") else "",
            "environment": printable((spec.get("environment") or {}).get("name", "")),
            "submitted": f"{view['created_at']} ({ago(view['created_at'])})",
            "attempt": view["attempt"] if view["attempt"] > 1 else None,
            "took": took(view),
            "peak memory": usage.peak_words(used),
            "parent": view["parent"],
            "snapshot": view["snapshot"],
            "tags": printable(", ".join(f"{k}={v}" if v else k for k, v in view["tags"].items())),
        }
    )
    for warning in view["warnings"]:
        print(f"warning: {following.warning_text(warning)}")
    if found:
        print()
        print_metrics(found)
    return 0


def is_canceling(view: dict[str, Any]) -> bool:
    return view["cancel_requested"] and view["state"] not in FINAL


def print_metrics(found: dict[str, Any]) -> None:
    from turnout.payload.values import decode

    print_table(metrics.HEAD, metrics.rows(decode(found)))


def show_metrics(given: argparse.Namespace) -> int:
    client = default_client()
    view = find(client, given.run)
    found = client.get(f"{path_of(view)}/metrics")["metrics"]
    if given.name is not None:
        if given.name not in found:
            from turnout.spec.records import nearest

            raise NotFoundError(
                f"Run {view['id']} has no metric '{given.name}'{nearest(given.name, found)}."
            )
        found = {given.name: found[given.name]}
    if given.json:
        print_json(found)
    elif given.name is not None and isinstance(found[given.name], list):
        for value in found[given.name]:
            print(value)
    elif found:
        print_metrics(found)
    else:
        say(f"Run {view['id']} has logged no metrics.")
    return 0


def samples_of(client: Client, view: dict[str, Any]) -> list[dict[str, Any]]:
    return client.get(f"{path_of(view)}/usage")["samples"]


def show_usage(given: argparse.Namespace) -> int:
    client = default_client()
    view = find(client, given.run)
    found = samples_of(client, view)
    if given.json:
        print_json(found)
    elif found:
        usage.print_usage(found, over=view["state"] in FINAL)
    elif view["state"] in FINAL:
        say(
            f"Nothing is known of what run {view['id']} used: it was over within a second, or "
            "its target could not tell."
        )
    else:
        say(f"Nothing is known yet of what run {view['id']} uses. Its state: {view['state']}.")
    return 0


def show_logs(given: argparse.Namespace) -> int:
    client = default_client()
    view = find(client, given.run)
    logs = client.get(f"{path_of(view)}/logs")["logs"]
    if given.json or given.list:
        if given.json:
            print_json(logs)
        else:
            print_table(("LOG", "SIZE"), [(x["name"], size(x["size"])) for x in logs])
        return 0
    if given.follow and given.name is None:
        end = following.Follower(client, view["id"], cancels=False).follow()
        if end is None:
            return following.INTERRUPTED
        following.say_end(end)
        return 0
    names = {x["name"]: x["size"] for x in logs}
    name = choose_log(view, names, given.name)
    if name:
        at = dump(client, view, name, 0)
        if given.follow:
            follow_one(client, view, name, at)
    return 0


def choose_log(view: dict[str, Any], names: dict[str, int], part: str | None) -> str:
    """The log asked for; without a name the script's, or the build log if that is all there is."""
    if part is None:
        if not names.get(following.DRIVER_LOG) and names.get(following.BUILD_LOG):
            say("The script has not printed anything; this is how its environment was made.")
            return following.BUILD_LOG
        return following.DRIVER_LOG if following.DRIVER_LOG in names else ""
    found = [part] if part in names else [name for name in names if part in name]
    if len(found) != 1:
        known = ", ".join(sorted(found or names)) or "none yet"
        how = "several logs" if found else "no log"
        raise NotFoundError(f"Run {view['id']} has {how} with '{part}' in the name: {known}.")
    return found[0]


def dump(
    client: Client, view: dict[str, Any], name: str, offset: int, out: BinaryIO | None = None
) -> int:
    """Copy a log as it is, to stdout if to nothing else; where it ended."""
    stream: BinaryIO = sys.stdout.buffer if out is None else out
    while True:
        path = f"{path_of(view)}/logs/{segment(name)}"
        with client.open("GET", path, query={"offset": offset}) as answer:
            data = answer.read()
        if not data:
            return offset
        stream.write(data)
        stream.flush()
        offset += len(data)


def follow_one(client: Client, view: dict[str, Any], name: str, offset: int) -> None:
    """Go on with a log that is not the script's. Events only say that there is more."""
    from turnout.client.events import follow

    for event in follow(client, view["id"], {name: offset}):
        if event.kind == "end" or (event.kind == "log" and event.data["name"] == name):
            offset = dump(client, view, name, offset)


# -- files -------------------------------------------------------------------------------------


def files_of(client: Client, view: dict[str, Any]) -> list[dict[str, Any]]:
    return client.get(f"{path_of(view)}/files")["files"]


def show_files(given: argparse.Namespace) -> int:
    client = default_client()
    view = find(client, given.run)
    files = files_of(client, view)
    if given.json:
        print_json(files)
    elif files:
        print_table(("FILE", "SIZE"), [(x["name"], size(x["size"])) for x in files])
    elif view["state"] in FINAL:
        say(f"Run {view['id']} left no files. What a script writes to ./outputs is kept.")
    else:
        say(f"Run {view['id']} has no files yet: outputs come when it ends.")
    return 0


def download_files(given: argparse.Namespace) -> int:
    from turnout.payload.values import inner_path

    client = default_client()
    view = find_with_hint(client, given)
    files = {x["name"]: x["size"] for x in files_of(client, view)}
    names = choose_files(view, files, given.names)
    base: Path = given.output or Path()
    status = StatusLine()
    for number, name in enumerate(names, 1):
        status.show(f"Fetching {number} of {len(names)}: {name} ({size(files[name])})")
        # Names come from the script: none may lead out of the folder.
        goal = base / inner_path(name)
        try:
            goal.parent.mkdir(parents=True, exist_ok=True)
            client.download(f"{path_of(view)}/files/{segment(name)}", goal)
        except OSError as error:
            raise UserError(f"'{goal}' cannot be written: {error.strerror}.") from None
    status.clear()
    total = size(sum(files[name] for name in names))
    say(f"{len(names)} {'file' if len(names) == 1 else 'files'}, {total}, in {base.absolute()}")
    return 0


def find_with_hint(client: Client, given: argparse.Namespace) -> dict[str, Any]:
    try:
        return find(client, given.run)
    except NotFoundError as error:
        if "/" not in given.run and "." not in given.run:
            raise
        raise NotFoundError(
            f"{error.message} For a file of the latest run: "
            f"turnout run download latest {given.run}"
        ) from None


def choose_files(view: dict[str, Any], files: dict[str, int], wanted: Sequence[str]) -> list[str]:
    if not files:
        raise NotFoundError(f"Run {view['id']} has no files. Its state is '{view['state']}'.")
    if not wanted:
        return list(files)
    found: dict[str, None] = {}
    for text in wanted:
        name = text.removeprefix("./").rstrip("/")
        below = [file for file in files if file == name or file.startswith(name + "/")]
        if not below:
            from turnout.spec.records import nearest

            raise NotFoundError(
                f"Run {view['id']} has no file '{text}'{nearest(text, files)}. "
                "`turnout run files` lists them."
            )
        found.update(dict.fromkeys(below))
    return list(found)


def export_events(given: argparse.Namespace) -> int:
    from turnout.client.run import Run
    from turnout.client.tensorboard_export import export_to_tensorboard
    from turnout.client.workspace import Workspace

    view = find(default_client(), given.run)
    export_to_tensorboard(Run.get(Workspace(), view["id"]), given.logdir)
    say(f"Show it: tensorboard --logdir {shlex.quote(str(given.logdir))}")
    return 0


def restore_snapshot(given: argparse.Namespace) -> int:
    from turnout.snapshots import restore

    client = default_client()
    view = find(client, given.run)
    digest = view["snapshot"] or view["properties"].get("ContentSnapshotId")
    if not digest:
        raise NotFoundError(f"Run {view['id']} has no snapshot.")
    goal = given.output or Path(f"{view['id']}-snapshot")
    count = restore(client.stream(f"/v1/snapshots/{segment(digest)}"), goal)
    say(f"{count} {'file' if count == 1 else 'files'} in {goal.absolute()}")
    return 0


# -- changing ----------------------------------------------------------------------------------


def cancel(given: argparse.Namespace) -> int:
    client = default_client()
    view = find(client, given.run)
    if view["state"] in FINAL:
        say(f"Run {view['id']} is over already: {view['state']}.")
        if given.output:
            v1_run.answer(given, v1_run.record(view))
        return 0
    from turnout.client import watching

    client.post(f"{path_of(view)}/cancel")
    status = StatusLine()
    status.show(f"Canceling {view['id']} …")
    end = watching.wait(client, view["id"])
    status.clear()
    say(f"Run {view['id']}: {end['state']}.")
    if given.output:
        v1_run.answer(given, v1_run.record(end))
    return 0


def change_tags(given: argparse.Namespace) -> int:
    if not given.tags and not given.remove:
        raise UserError("Name a tag to set or to remove: turnout run tag latest NAME=VALUE")
    tags: dict[str, Any] = {
        name: value or None for name, value in pairs("tag", given.tags, value_needed=False).items()
    }
    client = default_client()
    view = find(client, given.run)
    changed = client.request(
        "PATCH", path_of(view), {"tags": {"set": tags, "remove": given.remove}}
    )
    print_fields({name: value or "-" for name, value in changed["tags"].items()})
    return 0
