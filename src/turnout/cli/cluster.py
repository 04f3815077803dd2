"""Managed clusters of `turnout target`: create, change, delete, nodes, sizes."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from turnout.cli.asking import agreed
from turnout.cli.parsing import Noun, Parser, add_json, count, pairs, seconds
from turnout.cli.target_views import (
    fetch,
    network_words,
    path_of,
    print_nodes,
    scale_words,
    size_words,
    tell,
)
from turnout.cli.terminal import StatusLine, print_json, print_table, printable, say, size
from turnout.client.embedded import default_client
from turnout.spec.errors import ConflictError, UserError

CREATE_EXAMPLES = """\
  turnout target create cluster cpu --size STANDARD_D2_V2 --max-nodes 4
  turnout target create cluster warm --size STANDARD_D2_V2 --max-nodes 4 --min-nodes 1
  turnout target create cluster one --size 2c4g1gpu --max-nodes 2 --idle-seconds 30m
  turnout target create cluster hpc --size 4c16g --max-nodes 8 --engine lab --partition gpu

2c4g1gpu is 2 cores, 4 GB and 1 GPU. `turnout target sizes` lists v1's names. The same name of a
cluster again changes it."""
UPDATE_EXAMPLES = """\
  turnout target update cpu --max-nodes 8
  turnout target update cpu --min-nodes 0 --idle-seconds 10m"""
DELETE_EXAMPLES = """\
  turnout target delete cpu
  turnout target delete cpu --force      its runs are canceled first"""

SLURM_OPTIONS = {
    "partition": "the partition (default: the engine's)",
    "constraint": "a feature that nodes must have",
    "account": "the account that is charged",
    "qos": "the quality of service",
}


def declare(noun: Noun) -> None:
    """The verbs that clusters have."""
    create = noun.verb("create", create_cluster, "Create a target that is managed here.")
    kinds = create.add_subparsers(
        title="kinds", metavar="KIND", dest="kind", required=True, parser_class=Parser
    )
    about = "Create a cluster: nodes come when runs wait and leave when there are none."
    declare_create(
        kinds.add_parser(
            "cluster",
            prog="turnout target create cluster",
            about=about,
            examples=CREATE_EXAMPLES,
            help=about,
        )
    )
    update = noun.verb("update", change, "Change how far a cluster grows.", UPDATE_EXAMPLES)
    delete = noun.verb("delete", remove, "Delete a cluster and its nodes.", DELETE_EXAMPLES)
    nodes = noun.verb("nodes", show_nodes, "Show the nodes of a cluster and what they run.")
    for parser in (update, delete, nodes):
        parser.add_argument("name", metavar="NAME", help="the cluster's name")
    declare_scale(update, new=False)
    delete.add_argument(
        "--force", "--yes", action="store_true", help="cancel its runs first, without asking"
    )
    add_json(update)
    add_json(nodes)
    add_json(noun.verb("sizes", show_sizes, "List the sizes that nodes can have."))


def declare_create(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="what to call it")
    parser.add_argument("--size", required=True, help="cores, memory and GPUs of a node, by name")
    declare_scale(parser, new=True)
    parser.add_argument("--engine", default="", metavar="NAME", help="on Slurm: the engine's name")
    for option, about in SLURM_OPTIONS.items():
        parser.add_argument(f"--{option}", default="", metavar="NAME", help=f"on Slurm: {about}")
    parser.add_argument(
        "--priority",
        choices=("dedicated", "lowpriority"),
        default="dedicated",
        help="dedicated (default) or lowpriority",
    )
    parser.add_argument("--vnet", metavar="NAME", help="virtual network of its runs")
    parser.add_argument(
        "--subnet", metavar="RANGE", help="range of that network (10.20.0.0/24), or a name"
    )
    parser.add_argument(
        "--vnet-outside", action="store_true", help="let runs reach what is outside of it"
    )
    parser.add_argument(
        "--tag", action="append", default=[], metavar="NAME=VALUE", help="tag; repeatable"
    )
    parser.add_argument("--description", default="", help="a few words for others")
    add_json(parser)


def declare_scale(parser: Parser, *, new: bool) -> None:
    parser.add_argument(
        "--max-nodes",
        type=count,
        metavar="N",
        help="grow up to so many" + (" (default 4)" if new else ""),
    )
    parser.add_argument(
        "--min-nodes",
        type=count,
        metavar="N",
        help="keep so many, even without a run" + (" (default 0)" if new else ""),
    )
    parser.add_argument(
        "--idle-seconds",
        type=idle,
        metavar="TIME",
        help="a node leaves after so long without a run: 90, 30m"
        + (" (default 2m)" if new else ""),
    )


def idle(text: str) -> int:
    """
    >>> idle("0"), idle("2m")
    (0, 120)
    """
    return 0 if text == "0" else seconds(text)


def scale(given: argparse.Namespace) -> dict[str, Any]:
    """What was said of the scale, under the names that it is sent with."""
    found = {
        "min_nodes": given.min_nodes,
        "max_nodes": given.max_nodes,
        "idle_seconds_before_scaledown": given.idle_seconds,
    }
    return {name: value for name, value in found.items() if value is not None}


def create_cluster(given: argparse.Namespace) -> int:
    from turnout.client.aml_compute import AmlCompute
    from turnout.client.compute import ComputeTarget
    from turnout.client.workspace import Workspace

    if bool(given.vnet) != bool(given.subnet):
        raise UserError(
            "--vnet and --subnet belong together: give both or none. A subnet is a range such as "
            "10.20.0.0/24, or a name."
        )
    wanted = AmlCompute.provisioning_configuration(
        vm_size=given.size,
        vm_priority=given.priority,
        tags=pairs("--tag", given.tag),
        description=given.description,
        engine=given.engine,
        **{option: getattr(given, option) for option in SLURM_OPTIONS},
        vnet_name=given.vnet,
        subnet_name=given.subnet,
        vnet_outside=given.vnet_outside,
        **scale(given),
    )
    ComputeTarget.create(Workspace(), given.name, wanted)
    found = fetch(given.name)
    code = tell(found, as_json=given.json)
    if code == 0 and not given.json:
        cluster = found["cluster"]
        print(f"{cluster['vm_size']}: {size_words(cluster['size'])}")
        print(scale_words(found["config"]))
        if network := network_words(found["config"]):
            print(f"Runs are containers in the virtual network {network}.")
        if cluster["limits"]:
            print(printable(cluster["limits"]))
    return code


def find(name: str) -> dict[str, Any]:
    """The cluster of that name."""
    found = fetch(name)
    if found["kind"] != "cluster":
        raise UserError(f"'{name}' is no cluster but of kind {found['kind']}: it has no nodes.")
    return found


def change(given: argparse.Namespace) -> int:
    find(given.name)
    wanted = scale(given)
    if not wanted:
        raise UserError("Say what to change: --max-nodes, --min-nodes or --idle-seconds.")
    found = default_client().request("PATCH", path_of(given.name), wanted)
    if given.json:
        print_json(found)
    else:
        print(f"'{given.name}': {scale_words(found['config'])}.")
    return 0


def remove(given: argparse.Namespace) -> int:
    found = fetch(given.name)
    if found["kind"] != "cluster":
        raise UserError(f"'{given.name}' was not created here: turnout target detach {given.name}")
    try:
        delete(given.name, force=given.force)
    except ConflictError as e:
        if given.force:
            raise
        if not sys.stdin.isatty():
            raise ConflictError(
                f"{e.message} This cancels them: turnout target delete {given.name} --force"
            ) from None
        say(e.message)
        if not agreed(f"Cancel them and delete '{given.name}'?"):
            say("Nothing is changed.")
            return 1
        delete(given.name, force=True)
    print(f"'{given.name}' is deleted.")
    return 0


def delete(name: str, *, force: bool) -> None:
    status = StatusLine()
    if force:
        status.show("Waiting for canceled runs to end")
    try:
        default_client().request("DELETE", path_of(name), query={"force": True} if force else None)
    except ConflictError as e:
        # Scripts have some time to end by themselves, and the service waits no longer than that.
        hint = " They are being canceled: try again in a moment." if force else ""
        raise ConflictError(e.message + hint) from None
    finally:
        status.clear()


def show_nodes(given: argparse.Namespace) -> int:
    view = find(given.name)
    found = default_client().get(f"{path_of(given.name)}/nodes")
    if given.json:
        print_json(found)
        return 0
    if not found["nodes"] and not found.get("engine_nodes"):
        most = view["config"]["max_nodes"]
        print(f"'{given.name}' has no nodes at the moment. Up to {most} come when runs wait.")
    print_nodes(found)
    return 0


def show_sizes(given: argparse.Namespace) -> int:
    found = default_client().get("/v1/sizes")["sizes"]
    if given.json:
        print_json(found)
        return 0
    rows = [(x["name"], x["cores"], size(x["memory_mb"] << 20), x["gpus"] or "") for x in found]
    print_table(("SIZE", "CORES", "MEMORY", "GPUS"), rows)
    return 0
