"""`turnout target`: machines to run on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from turnout.cli.parsing import Noun, Parser, add_json, pairs
from turnout.cli.terminal import ago, print_fields, print_json, print_table, printable, say
from turnout.client.embedded import default_client
from turnout.client.http import segment
from turnout.spec.errors import NotFoundError, UserError

EXAMPLES = """\
  turnout target attach ssh lab --address lab.example.org --username ana
  turnout target attach ssh lab --ssh-config-host lab
  turnout target check lab
  turnout submit train.py --target lab"""
ATTACH_EXAMPLES = """\
  turnout target attach ssh lab --address lab.example.org --username ana
  turnout target attach ssh lab --address 10.0.0.7 --username ana --private-key-file ~/.ssh/id_lab
  turnout target attach ssh inner --address node7 --username ana --jump ana@gate.example.org

Without --password, --private-key-file and --agent, your own keys and agent are tried, as ssh does.
Passwords and passphrases are asked for, never taken from the command line."""


def main(argv: Sequence[str]) -> int:
    noun = Noun("target", "Targets: this machine, and those attached to run on.", EXAMPLES)
    add_json(noun.verb("list", show_all, "List targets with their state."))
    show = noun.verb("show", show_one, "Show a target's configuration (no secrets) and state.")
    check = noun.verb("check", check_again, "Try everything that a run needs there.")
    detach = noun.verb("detach", remove, "Forget a target. Nothing is removed on the machine.")
    for parser in (show, check, detach):
        parser.add_argument("name", metavar="NAME", help="the target's name")
    add_json(show)
    add_json(check)
    attach = noun.verb("attach", attach_ssh, "Check a machine and keep it as a target.")
    kinds = attach.add_subparsers(
        title="kinds", metavar="KIND", dest="kind", required=True, parser_class=Parser
    )
    about = "Attach a Linux machine that SSH reaches."
    declare_ssh(
        kinds.add_parser(
            "ssh",
            prog="turnout target attach ssh",
            about=about,
            examples=ATTACH_EXAMPLES,
            help=about,
        )
    )
    return noun.run(argv)


def declare_ssh(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="what to call it")
    where = parser.add_argument_group("where")
    where.add_argument("--address", help="name or IP address")
    where.add_argument("--port", type=int, default=None, help="default 22")
    where.add_argument("--username", help="user on that machine")
    where.add_argument("--ssh-config-host", metavar="HOST", help="a Host of ~/.ssh/config")
    where.add_argument("--jump", metavar="USER@HOST:PORT", help="go through this machine")
    who = parser.add_argument_group("how to log in")
    who.add_argument("--password", action="store_true", help="ask for a password")
    who.add_argument("--password-stdin", action="store_true", help="read the password from stdin")
    who.add_argument(
        "--private-key-file", metavar="FILE", help="a private key; its passphrase is asked for"
    )
    who.add_argument(
        "--passphrase-stdin", action="store_true", help="read the key's passphrase from stdin"
    )
    who.add_argument("--agent", action="store_true", help="use the keys of your SSH agent")
    trust = parser.add_argument_group("trust")
    trust.add_argument("--host-key", metavar="FINGERPRINT", help="accept exactly this host key")
    trust.add_argument("--yes", action="store_true", help="accept the host key without asking")
    there = parser.add_argument_group("on that machine")
    there.add_argument("--python", metavar="PATH", help="a Python 3.8 or newer (default: found)")
    there.add_argument("--folder", metavar="DIR", help="where to keep files (default ~/.turnout)")
    parser.add_argument(
        "--tag", action="append", default=[], metavar="NAME=VALUE", help="tag; repeatable"
    )
    parser.add_argument("--description", default="", help="a few words for others")
    add_json(parser)


# -- reading -----------------------------------------------------------------------------------


def show_all(given: argparse.Namespace) -> int:
    found = default_client().get("/v1/targets")["targets"]
    if given.json:
        print_json(found)
        return 0
    rows = [
        (x["name"], x["kind"], x["provisioning_state"], place(x["config"]), ago(x["created_at"]))
        for x in found
    ]
    print_table(("TARGET", "KIND", "STATE", "WHERE", "ATTACHED"), rows)
    return 0


def place(config: dict[str, Any]) -> str:
    if config.get("ssh_config_host"):
        return str(config["ssh_config_host"])
    if not config.get("address"):
        return "this machine"
    port = config.get("port") or 22
    user = f"{config['username']}@" if config.get("username") else ""
    return f"{user}{config['address']}{'' if port == 22 else f':{port}'}"


def show_one(given: argparse.Namespace) -> int:
    found = fetch(given.name)
    if given.json:
        print_json(found)
        return 0
    print_fields(
        {
            "target": found["name"],
            "kind": found["kind"],
            "state": found["provisioning_state"],
            "attached": ago(found["created_at"]),
            "description": printable(found["description"] or ""),
            "tags": printable(", ".join(f"{k}={v}" for k, v in (found["tags"] or {}).items())),
            **{name.replace("_", " "): value for name, value in found["config"].items()},
        }
    )
    print_problems(found)
    return 0


def fetch(name: str) -> dict[str, Any]:
    client = default_client()
    try:
        return client.get(f"/v1/targets/{segment(name)}")
    except NotFoundError:
        from turnout.spec.records import nearest

        known = [x["name"] for x in client.get("/v1/targets")["targets"]]
        raise NotFoundError(
            f"There is no target '{name}'{nearest(name, known)}. "
            "`turnout target list` shows what there is."
        ) from None


def print_problems(found: dict[str, Any]) -> None:
    for problem in found["provisioning_errors"] or []:
        say(f"  {printable(problem['message'])} {printable(problem.get('fix') or '')}".rstrip())


# -- changing ----------------------------------------------------------------------------------


def check_again(given: argparse.Namespace) -> int:
    fetch(given.name)
    found = default_client().post(f"/v1/targets/{segment(given.name)}/check")
    return tell(found, as_json=given.json)


def tell(found: dict[str, Any], *, as_json: bool) -> int:
    """How an attach or a check ended; 1 when it failed."""
    succeeded = found["provisioning_state"] == "Succeeded"
    if as_json:
        print_json(found)
    elif succeeded:
        print(f"'{found['name']}' is ready: turnout submit train.py --target {found['name']}")
    else:
        say(f"'{found['name']}' cannot be used:")
        print_problems(found)
        say(
            f"When that is mended: turnout target check {found['name']} (or attach it again, "
            "with other settings)."
        )
    return 0 if succeeded else 1


def remove(given: argparse.Namespace) -> int:
    fetch(given.name)
    default_client().request("DELETE", f"/v1/targets/{segment(given.name)}")
    print(f"'{given.name}' is detached.")
    return 0


def attach_ssh(given: argparse.Namespace) -> int:
    from turnout.client.compute import ComputeTarget, RemoteCompute, read_key
    from turnout.client.workspace import Workspace

    if not given.ssh_config_host and not (given.address and given.username):
        missing = "--username" if given.address else "--address"
        raise UserError(f"{missing} is missing (or --ssh-config-host, which says both).")
    if given.password and given.password_stdin:
        raise UserError("Give --password or --password-stdin, not both.")
    key = read_key(given.private_key_file) if given.private_key_file else ""
    passphrase = ""
    if given.passphrase_stdin or is_encrypted(key):
        passphrase = secret(f"Passphrase of {given.private_key_file}: ", given.passphrase_stdin)
    password = ""
    if given.password or given.password_stdin:
        password = secret(f"Password for {given.name}: ", given.password_stdin)
    is_line = (given.host_key or "").startswith(("ssh-", "ecdsa-", "sk-"))
    config = RemoteCompute.attach_configuration(
        given.username or "",
        address=given.address,
        ssh_port=given.port or 22,
        password=password,
        private_key_file=given.private_key_file or "",
        private_key_passphrase=passphrase,
        ssh_config_host=given.ssh_config_host,
        jump=given.jump,
        use_agent=given.agent,
        host_key=given.host_key if is_line else None,
        python=given.python,
        folder=given.folder,
    )
    tags = pairs("--tag", given.tag)
    found = ComputeTarget.attach(
        Workspace(),
        given.name,
        config,
        tags=tags,
        description=given.description,
        confirm=lambda seen: confirm(given, seen),
    )
    return tell(fetch(found.name), as_json=given.json)


def secret(prompt: str, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UserError(
            f"{prompt.rstrip(': ')} is needed and there is no terminal to ask on. Use "
            "--password-stdin or --passphrase-stdin."
        )
    from getpass import getpass

    return getpass(prompt)


def is_encrypted(key: str) -> bool:
    """Whether a private key has a passphrase.

    >>> is_encrypted("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    True
    """
    if "ENCRYPTED" in key:
        return True
    if "BEGIN OPENSSH PRIVATE KEY" not in key:
        return False
    import base64
    import binascii

    body = "".join(line for line in key.splitlines() if line and not line.startswith("-"))
    try:
        data = base64.b64decode(body)
    except binascii.Error:
        return False
    # "openssh-key-v1", NUL, then the cipher's name with its length before it.
    return data[15:23] != b"\0\0\0\x04none"


def confirm(given: argparse.Namespace, seen: dict[str, Any]) -> bool:
    """Whether the person accepts the machine's host key."""
    fingerprint = seen["fingerprint"]
    if given.host_key:
        if given.host_key == fingerprint:
            return True
        raise UserError(
            f"The host key of '{given.name}' is {fingerprint}, not {given.host_key}. Either the "
            "fingerprint is mistyped, or this is another machine."
        )
    if seen.get("conflict"):
        say(
            f"Beware: known_hosts has another key for '{given.name}' ({seen['conflict']}). The "
            "machine was set up anew, or somebody stands in between."
        )
    elif seen["known"]:
        say(f"Host key of '{given.name}': {fingerprint} (in known_hosts)")
        return True
    if given.yes and not seen.get("conflict"):
        say(f"Host key of '{given.name}': {fingerprint} (accepted)")
        return True
    if not sys.stdin.isatty():
        raise UserError(
            f"The host key of '{given.name}' is not known: {fingerprint}. If it is right, give "
            f"--host-key {fingerprint}"
        )
    print(f"Host key of '{given.name}': {fingerprint}", file=sys.stderr)
    print("Accept it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
