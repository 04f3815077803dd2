"""How targets are found and shown."""

from __future__ import annotations

from typing import Any

from turnout.cli.terminal import print_json, printable, say
from turnout.client.embedded import default_client
from turnout.client.http import segment
from turnout.spec.errors import NotFoundError


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


def place(config: dict[str, Any]) -> str:
    if config.get("ssh_config_host"):
        return str(config["ssh_config_host"])
    if not config.get("address"):
        return "this machine"
    port = config.get("port") or 22
    user = f"{config['username']}@" if config.get("username") else ""
    return f"{user}{config['address']}{'' if port == 22 else f':{port}'}"


def print_problems(found: dict[str, Any]) -> None:
    for problem in found["provisioning_errors"] or []:
        say(f"  {printable(problem['message'])} {printable(problem.get('fix') or '')}".rstrip())


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
