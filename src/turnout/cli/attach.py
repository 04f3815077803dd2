"""`turnout target attach`: a machine, its login, and the host key that a person confirms."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from turnout.cli.asking import agreed, secret
from turnout.cli.parsing import Noun, Parser, add_json, pairs
from turnout.cli.target_views import fetch, tell
from turnout.cli.terminal import say
from turnout.spec.errors import UserError

if TYPE_CHECKING:
    from turnout.client.remote_compute import RemoteComputeAttachConfiguration

EXAMPLES = """\
  turnout target attach ssh lab --address lab.example.org --username ana
  turnout target attach ssh lab --address 10.0.0.7 --username ana --private-key-file ~/.ssh/id_lab
  turnout target attach ssh inner --address node7 --username ana --jump ana@gate.example.org

Without --password, --private-key-file and --agent, your own keys and agent are tried, as ssh does.
Passwords and passphrases are asked for, never taken from the command line."""


def declare(noun: Noun) -> None:
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
            examples=EXAMPLES,
            help=about,
        )
    )


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


def attach_ssh(given: argparse.Namespace) -> int:
    from turnout.client.compute import ComputeTarget
    from turnout.client.workspace import Workspace

    if not given.ssh_config_host and not (given.address and given.username):
        missing = "--username" if given.address else "--address"
        raise UserError(f"{missing} is missing (or --ssh-config-host, which says both).")
    config = login_of(given)
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


def login_of(given: argparse.Namespace) -> RemoteComputeAttachConfiguration:
    """Where the machine is and how to log in there; asks for what is not said on the line."""
    from turnout.client.remote_compute import RemoteCompute, read_key

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
    return RemoteCompute.attach_configuration(
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
    return agreed("Accept it?")
