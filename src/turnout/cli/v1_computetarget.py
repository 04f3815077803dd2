"""`turnout computetarget`: targets with v1's options, both generations of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from turnout.cli import attach, cluster
from turnout.cli.parsing import Noun, Parser, count, pairs
from turnout.cli.target_views import fetch, path_of
from turnout.cli.terminal import say
from turnout.cli.v1_options import add_common, answer
from turnout.client.embedded import default_client
from turnout.spec.errors import UserError

EXAMPLES = """\
  turnout computetarget create amlcompute -n cpu --max-nodes 4 -s STANDARD_D2_V2
  turnout computetarget update --name cpu --max_nodes 8 --idle_time 300
  turnout computetarget attach remote -n lab -a lab.example.org -u ana --private-key-file ~/.ssh/id
  turnout computetarget list
  turnout computetarget delete -n cpu

The answers are JSON with v1's keys. `turnout target` says the same to people."""
AMLCOMPUTE = "amlcompute"
REMOTE = "remote"
#: What v1 created and attached besides, and what there is instead.
NOT_CREATED = {
    "computeinstance": "A notebook server is not made here: run yours, and submit from it",
    "aks": "Kubernetes is not there in this version",
    "dsvm": "Machines are not made here: attach one that is there (attach remote)",
    "datafactory": "Data Factory is not there in this version",
}
NOT_ATTACHED = {
    "hdi": "Spark clusters are not there in this version; a machine of one is an SSH target "
    "(attach remote)",
    "batch": "Azure Batch is not there in this version",
    "adla": "Data Lake Analytics is not there in this version",
    "databricks": "Databricks is not there in this version",
    "datafactory": "Data Factory is not there in this version",
    "aks": "Kubernetes is not there in this version",
    "kubernetes": "Kubernetes is not there in this version",
    "kusto": "Data Explorer is not there in this version",
    "synapsespark": "Synapse is not there in this version",
}


def main(argv: Sequence[str]) -> int:
    refuse_absent(argv)
    noun = Noun("computetarget", "Targets, with the options of Azure ML v1.", EXAMPLES)
    declare_create(noun)
    declare_update(noun)
    declare_attach(noun)
    add_common(noun.verb("list", show_all, "List targets."))
    for name, command, about in (
        ("show", show_one, "Show a target."),
        ("delete", delete, "Delete a cluster that was created here."),
        ("detach", detach, "Forget a target that was attached."),
    ):
        parser = noun.verb(name, command, about)
        add_name(parser)
        add_common(parser)
        if name == "delete":
            parser.add_argument(
                "--force", "--yes", "-y", action="store_true", help="cancel its runs first"
            )
    return noun.run(argv)


def add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--name", required=True, metavar="NAME", help="the target's name")


def kinds_of(parser: Parser) -> Any:
    return parser.add_subparsers(
        title="kinds", metavar="KIND", dest="kind", required=True, parser_class=Parser
    )


def refuse_absent(argv: Sequence[str]) -> None:
    """One clear sentence for kinds that are not there, whatever else they are given."""
    for verb, absent in (("create", NOT_CREATED), ("attach", NOT_ATTACHED)):
        if len(argv) > 1 and argv[0] == verb and argv[1] in absent:
            raise UserError(f"{absent[argv[1]]}. `turnout target --help` lists what there is.")


# -- clusters ----------------------------------------------------------------------------------


def declare_create(noun: Noun) -> None:
    create = noun.verb("create", create_cluster, "Create a cluster.")
    kinds = kinds_of(create)
    about = "Create a cluster: nodes come when runs wait and leave when there are none."
    parser = kinds.add_parser(
        AMLCOMPUTE, prog=f"turnout computetarget create {AMLCOMPUTE}", about=about, help=about
    )
    add_name(parser)
    parser.add_argument(
        "-s",
        "--vm-size",
        "--vm_size",
        "--size",
        required=True,
        metavar="SIZE",
        help="cores, memory and GPUs of a node, by name",
    )
    add_scale(parser)
    parser.add_argument(
        "--vm-priority",
        "--vm_priority",
        "--priority",
        type=str.lower,
        choices=("dedicated", "lowpriority"),
        default="dedicated",
        help="dedicated (default) or lowpriority",
    )
    parser.add_argument("--vnet-name", metavar="NAME", help="virtual network of its runs")
    parser.add_argument("--subnet-name", metavar="NAME", help="range or name of its subnet")
    parser.add_argument("--description", default="", help="a few words for others")
    parser.add_argument("--tags", nargs="*", default=[], metavar="NAME=VALUE", help="tags")
    for name in (
        "--vnet-resourcegroup-name", "--admin-username", "--admin-user-password",
        "--admin-user-ssh-key", "--remote-login-port-public-access", "--location", "-l",
    ):  # fmt: skip
        parser.add_argument(name, dest="ignored", help=argparse.SUPPRESS)
    parser.add_argument("--assign-identity", dest="ignored", nargs="?", help=argparse.SUPPRESS)
    add_common(parser)


def add_scale(parser: argparse.ArgumentParser) -> None:
    for names, about in (
        (("--max-nodes", "--max_nodes"), "grow up to so many"),
        (("--min-nodes", "--min_nodes"), "shrink down to so many"),
        (
            (
                "--idle-seconds-before-scaledown",
                "--idle_seconds_before_scaledown",
                "--idle_time",
                "--idle-time",
            ),
            "a node without a run leaves after so many seconds",
        ),
    ):
        parser.add_argument(*names, type=count, metavar="N", help=about)


def scale(given: argparse.Namespace) -> dict[str, Any]:
    names = ("max_nodes", "min_nodes", "idle_seconds_before_scaledown")
    return {n: value for n in names if (value := getattr(given, n)) is not None}


def create_cluster(given: argparse.Namespace) -> int:
    from turnout.client.aml_compute import AmlCompute
    from turnout.client.compute import ComputeTarget
    from turnout.client.workspace import Workspace

    wanted = AmlCompute.provisioning_configuration(
        vm_size=given.vm_size,
        vm_priority=given.vm_priority,
        vnet_name=given.vnet_name,
        subnet_name=given.subnet_name,
        tags=pairs("--tags", given.tags, value_needed=False),
        description=given.description,
        **scale(given),
    )
    ComputeTarget.create(Workspace(), given.name, wanted)
    return tell(given)


def declare_update(noun: Noun) -> None:
    update = noun.verb("update", change, "Change how far a cluster grows.")
    update.add_argument("kind", nargs="?", choices=(AMLCOMPUTE,), help="may be left out")
    add_name(update)
    add_scale(update)
    add_common(update)


def change(given: argparse.Namespace) -> int:
    cluster.find(given.name)
    wanted = scale(given)
    if not wanted:
        raise UserError(
            "Say what to change: --max-nodes, --min-nodes or --idle-seconds-before-scaledown."
        )
    default_client().request("PATCH", path_of(given.name), wanted)
    return tell(given)


def delete(given: argparse.Namespace) -> int:
    view = fetch(given.name)
    if view["kind"] != "cluster":
        raise UserError(
            f"'{given.name}' was attached, not created: turnout computetarget detach -n "
            f"{given.name}"
        )
    cluster.delete(given.name, force=given.force)
    answer(given, {"id": view.get("id"), "name": view["name"]})
    return 0


# -- machines ----------------------------------------------------------------------------------


def declare_attach(noun: Noun) -> None:
    parent = noun.verb("attach", attach_remote, "Check a machine and keep it as a target.")
    kinds = kinds_of(parent)
    about = "Attach a Linux machine that SSH reaches."
    parser = kinds.add_parser(
        REMOTE, prog=f"turnout computetarget attach {REMOTE}", about=about, help=about
    )
    add_name(parser)
    parser.add_argument("-a", "--address", required=True, help="name or IP address")
    parser.add_argument("--ssh-port", type=count, default=22, metavar="PORT", help="default 22")
    parser.add_argument("-u", "--username", required=True, help="user on that machine")
    parser.add_argument(
        "-p",
        "--password",
        help="a password; others on this machine may see it there, so that `turnout target attach "
        "ssh` asks for it instead",
    )
    parser.add_argument("--private-key-file", metavar="FILE", help="a private key")
    parser.add_argument(
        "--private-key-passphrase", default="", metavar="TEXT", help="the key's passphrase"
    )
    parser.add_argument(
        "--host-key",
        metavar="FINGERPRINT",
        help="accept exactly this host key (default: the one that it shows)",
    )
    parser.add_argument("--tags", nargs="*", default=[], metavar="NAME=VALUE", help="tags")
    parser.add_argument("--description", default="", help="a few words for others")
    add_common(parser)


def attach_remote(given: argparse.Namespace) -> int:
    from turnout.client.compute import ComputeTarget
    from turnout.client.remote_compute import RemoteCompute
    from turnout.client.workspace import Workspace

    config = RemoteCompute.attach_configuration(
        given.username,
        address=given.address,
        ssh_port=given.ssh_port,
        password=given.password or "",
        private_key_file=given.private_key_file or "",
        private_key_passphrase=given.private_key_passphrase,
    )
    given.yes = True  # v1 did not ask
    ComputeTarget.attach(
        Workspace(),
        given.name,
        config,
        tags=pairs("--tags", given.tags, value_needed=False),
        description=given.description,
        confirm=lambda seen: attach.confirm(given, seen),
    )
    return tell(given)


def detach(given: argparse.Namespace) -> int:
    view = fetch(given.name)
    if view["kind"] == "cluster":
        raise UserError(
            f"'{given.name}' was created, not attached: turnout computetarget delete -n "
            f"{given.name}"
        )
    default_client().request("DELETE", path_of(given.name))
    answer(given, {"id": view.get("id"), "name": view["name"]})
    return 0


# -- showing -----------------------------------------------------------------------------------


def record(view: dict[str, Any]) -> dict[str, Any]:
    """v1's keys of a target."""
    return {
        "location": "local",
        "name": view["name"],
        "provisioningErrors": view["provisioning_errors"] or None,
        "provisioningState": view["provisioning_state"],
    }


def details(view: dict[str, Any]) -> dict[str, Any]:
    config, cluster_view = view["config"], view.get("cluster")
    found = {
        **record(view),
        "id": view.get("id"),
        "type": view.get("type"),
        "description": view["description"],
        "tags": view["tags"],
        "createdOn": view["created_at"],
        "modifiedOn": view["modified_at"],
        "properties": config,
    }
    if cluster_view:
        found["properties"] = {
            "vmSize": config["vm_size"],
            "vmPriority": config.get("vm_priority"),
            "scaleSettings": {
                "minNodeCount": config.get("min_nodes"),
                "maxNodeCount": config.get("max_nodes"),
                "nodeIdleTimeBeforeScaleDown": config.get("idle_seconds_before_scaledown"),
            },
            "allocationState": cluster_view["allocation_state"],
            "currentNodeCount": cluster_view["current_node_count"],
            "targetNodeCount": cluster_view["target_node_count"],
            "nodeStateCounts": cluster_view["node_state_counts"],
        }
    return found


def tell(given: argparse.Namespace) -> int:
    """How a create, an update or an attach ended; 1 when it failed."""
    view = fetch(given.name)
    answer(given, record(view))
    for problem in view["provisioning_errors"] or []:
        say(f"{problem['message']} {problem.get('fix') or ''}".rstrip())
    return 0 if view["provisioning_state"] == "Succeeded" else 1


def show_all(given: argparse.Namespace) -> int:
    found = default_client().get("/v1/targets")["targets"]
    answer(given, [{**record(x), "type": x.get("type")} for x in found if x["kind"] != "local"])
    return 0


def show_one(given: argparse.Namespace) -> int:
    answer(given, details(fetch(given.name)))
    return 0
