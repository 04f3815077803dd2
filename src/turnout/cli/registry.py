"""`turnout registry`: logins at registries that images come from, kept by the workspace."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from turnout.cli.asking import secret
from turnout.cli.parsing import Noun, add_json
from turnout.cli.terminal import ago, print_json, print_table
from turnout.client.embedded import default_client
from turnout.client.http import segment

EXAMPLES = """\
  turnout registry login registry.example.org --username ana
  turnout registry login docker.io --username ana --password-stdin < token.txt

The password is asked for, never taken from the command line; it is kept encrypted and shown to
nobody. Images of that registry are pulled with it on every target."""


def main(argv: Sequence[str]) -> int:
    noun = Noun("registry", "Logins at registries that images come from.", EXAMPLES)
    login = noun.verb("login", log_in, "Keep a user name and a password (or token).", EXAMPLES)
    login.add_argument("address", metavar="ADDRESS", help="such as registry.example.org")
    login.add_argument("-u", "--username", required=True, help="user at that registry")
    login.add_argument(
        "--password-stdin", action="store_true", help="read the password from stdin"
    )
    add_json(noun.verb("list", show_all, "List the logins, without their passwords."))
    logout = noun.verb("logout", log_out, "Forget a login.")
    logout.add_argument("address", metavar="ADDRESS", help="such as registry.example.org")
    return noun.run(argv)


def log_in(given: argparse.Namespace) -> int:
    password = secret(f"Password for {given.username} at {given.address}: ", given.password_stdin)
    body = {"address": given.address, "username": given.username, "password": password}
    found = default_client().post("/v1/registries", body)
    print(f"Logged in at {found['address']} as {found['username']}.")
    return 0


def show_all(given: argparse.Namespace) -> int:
    found = default_client().get("/v1/registries")["registries"]
    if given.json:
        print_json(found)
    elif found:
        rows = [(x["address"], x["username"], ago(x["modified_at"])) for x in found]
        print_table(("REGISTRY", "USER", "SINCE"), rows)
    else:
        print("No logins. Images are pulled without one: turnout registry login ADDRESS")
    return 0


def log_out(given: argparse.Namespace) -> int:
    address = given.address.split("://")[-1].split("/")[0]
    default_client().request("DELETE", f"/v1/registries/{segment(address)}")
    print(f"The login at {given.address} is forgotten.")
    return 0
