"""`turnout service`: the embedded service of this user, looked at without starting it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from turnout.cli.parsing import Noun, add_json
from turnout.cli.terminal import print_fields, print_json
from turnout.client.embedded import EmbeddedEndpoint, default_client, home_folder, is_hosted
from turnout.spec.errors import ServiceError, UserError

STOP_S = 15.0


def main(argv: Sequence[str]) -> int:
    noun = Noun(
        "service",
        "The service that works in the background for this user. It starts by itself with the\n"
        "first command and ends when there is nothing to do.",
    )
    add_json(noun.verb("status", show, "Say whether it runs, and where it keeps its files."))
    noun.verb("stop", stop, "End it. Runs go on; the next command starts it again.")
    return noun.run(argv)


def endpoint() -> EmbeddedEndpoint:
    if is_hosted():
        raise UserError("TURNOUT_URL names a service that runs elsewhere; stop it there.")
    return EmbeddedEndpoint(home_folder())


def show(given: argparse.Namespace) -> int:
    if is_hosted():
        found = {"running": True, **default_client().get("/v1/workspace")}
    else:
        place = endpoint()
        running = place.answers()
        found = {"running": running, "home": str(place.home)}
        if running:
            found.update(default_client().get("/v1/workspace"))
    if given.json:
        print_json(found)
    else:
        print_fields({**found, "running": "yes" if found["running"] else "no"})
    return 0


def stop(given: argparse.Namespace) -> int:
    place = endpoint()
    if not place.answers():
        print("No service runs.")
        return 0
    default_client().post("/v1/shutdown")
    deadline = time.monotonic() + STOP_S
    while place.answers():
        if time.monotonic() > deadline:
            raise ServiceError(f"The service did not end within {STOP_S:.0f} s.")
        time.sleep(0.05)
    print("Stopped.")
    return 0
