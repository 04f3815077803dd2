"""`turnout engine`: what clusters of more than one machine are made on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from turnout.cli.attach import confirm, declare_ssh, login_of
from turnout.cli.parsing import Noun, Parser, add_json, pairs
from turnout.cli.target_views import place, print_problems, size_words
from turnout.cli.terminal import (
    ago,
    print_fields,
    print_json,
    print_table,
    printable,
    say,
    span,
)
from turnout.client.embedded import default_client
from turnout.client.http import segment
from turnout.spec.errors import UserError

EXAMPLES = """\
  turnout engine attach slurm lab                           sbatch is on this machine
  turnout engine attach slurm lab --address login.example.org --username ana
  turnout engine show lab                                   partitions, nodes, limits
  turnout target create cluster hpc --engine lab --size 4c16g --max-nodes 8
  turnout submit train.py --target hpc"""
#: Options that mean nothing on this machine.
OF_ADDRESS = ("username", "port", "jump", "password", "private_key_file", "host_key")
ATTACH_EXAMPLES = """\
  turnout engine attach slurm lab
  turnout engine attach slurm lab --address login.example.org --username ana --partition gpu
  turnout engine attach slurm lab --folder /work/ana/turnout

Nobody needs to be root, and nothing is installed: `sbatch`, `squeue` and `scancel` are used as by
you. The folder must lie on a file system that the nodes see too; it is tried."""


def main(argv: Sequence[str]) -> int:
    noun = Noun("engine", "Engines: Slurm, for clusters of more than one machine.", EXAMPLES)
    about = "Check a Slurm and keep it, to make clusters on."
    attach = noun.verb("attach", attach_slurm, about, ATTACH_EXAMPLES)
    kinds = attach.add_subparsers(
        title="kinds", metavar="KIND", dest="kind", required=True, parser_class=Parser
    )
    slurm = kinds.add_parser(
        "slurm",
        prog="turnout engine attach slurm",
        about=about,
        examples=ATTACH_EXAMPLES,
        help=about,
    )
    slurm.add_argument(
        "--partition", default="", metavar="NAME", help="of clusters that name none"
    )
    declare_ssh(slurm)
    add_json(noun.verb("list", show_all, "List engines."))
    show = noun.verb("show", show_one, "Show version, partitions and limits of an engine.")
    check = noun.verb("check", check_again, "Try again everything that a run needs there.")
    detach = noun.verb("detach", remove, "Forget an engine. Nothing is changed there.")
    for parser in (show, check, detach):
        parser.add_argument("name", metavar="NAME", help="the engine's name")
    add_json(show)
    add_json(check)
    return noun.run(argv)


def path_of(name: str) -> str:
    return f"/v1/engines/{segment(name)}"


def attach_slurm(given: argparse.Namespace) -> int:
    from turnout.client.compute import pin_host_key

    client = default_client()
    config: dict[str, Any] = {}
    if given.address or given.ssh_config_host:
        login = login_of(given)
        login.validate_configuration()
        config = login.to_config()
        if not config.get("host_key"):
            pin_host_key(client, given.name, config, lambda seen: confirm(given, seen))
    elif given.address is not None or any(getattr(given, name) for name in OF_ADDRESS):
        raise UserError("--address is missing: the machine on which `sbatch` is used.")
    for option in ("partition", "folder", "python"):
        if getattr(given, option):
            config[option] = getattr(given, option)
    body = {
        "name": given.name,
        "config": config,
        "description": given.description,
        "tags": pairs("--tag", given.tag),
    }
    found = client.post("/v1/engines", body)
    code = tell(found, as_json=given.json)
    if code == 0 and not given.json:
        print_site(client.get(path_of(given.name)))
        print(f"Next: turnout target create cluster NAME --engine {given.name} --size 2c4g")
    return code


def tell(found: dict[str, Any], *, as_json: bool) -> int:
    """How an attach or a check ended; 1 when it failed."""
    succeeded = found["provisioning_state"] == "Succeeded"
    if as_json:
        print_json(found)
    elif succeeded:
        print(f"'{found['name']}' is ready.")
    else:
        say(f"'{found['name']}' cannot be used:")
        print_problems(found)
        say(f"When that is mended: turnout engine check {found['name']}")
    return 0 if succeeded else 1


def show_all(given: argparse.Namespace) -> int:
    found = default_client().get("/v1/engines")["engines"]
    if given.json:
        print_json(found)
    elif found:
        rows = [
            (x["name"], x["kind"], x["provisioning_state"], place(x), ago(x["created_at"]))
            for x in found
        ]
        print_table(("ENGINE", "KIND", "STATE", "WHERE", "SINCE"), rows)
    else:
        print("No engines. Clusters are cut from this machine without one.")
    return 0


def show_one(given: argparse.Namespace) -> int:
    found = default_client().get(path_of(given.name))
    if given.json:
        print_json(found)
        return 0
    print_fields(
        {
            "engine": found["name"],
            "kind": found["kind"],
            "state": found["provisioning_state"],
            "where": place(found),
            "partition": found["config"].get("partition"),
            "description": printable(found["description"] or ""),
        }
    )
    print_problems(found)
    print_site(found)
    return 0


def print_site(found: dict[str, Any]) -> None:
    """What the engine is like at the moment."""
    site = found["site"]
    if site is None:
        say(found["problem"])
        return
    print_fields(
        {
            "version": f"Slurm {site['version']}, cluster {site['cluster']}, user {site['user']}",
            "accounting": "yes" if site["accounting"] else "no: Slurm keeps no limits of users",
            "limits": "; ".join(site["limits"]),
            "power saving": "nodes are powered on when runs wait" if site["power_saving"] else "",
            "preemption": "" if site["preemption"] == "OFF" else site["preemption"],
            "containers": ", ".join(site["containers"]),
        }
    )
    rows = [
        (
            f"{row['name']}{' (default)' if row['default'] else ''}",
            row["state"],
            row["nodes"],
            size_words(row),
            span(row["max_time_s"]) if row["max_time_s"] else "no limit",
        )
        for row in site["partitions"]
    ]
    print_table(("PARTITION", "STATE", "NODES", "LARGEST NODE", "LONGEST RUN"), rows)


def check_again(given: argparse.Namespace) -> int:
    return tell(default_client().post(f"{path_of(given.name)}/check"), as_json=given.json)


def remove(given: argparse.Namespace) -> int:
    default_client().request("DELETE", path_of(given.name))
    print(f"'{given.name}' is detached.")
    return 0
