"""How targets are found and shown, once or on and on."""

from __future__ import annotations

import io
import os
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from turnout.cli.terminal import (
    ago,
    print_fields,
    print_json,
    print_table,
    printable,
    say,
    size,
    span,
)
from turnout.cli.usage import node_words as used
from turnout.client.aml_compute_status import scale_of
from turnout.client.embedded import default_client
from turnout.client.http import segment
from turnout.spec.errors import NotFoundError, UserError

#: Between two looks of `--watch`, in seconds.
POLL_S = 1.0
#: So many events of a cluster are shown, the latest.
EVENTS = 10


def path_of(name: str) -> str:
    return f"/v1/targets/{segment(name)}"


def fetch(name: str) -> dict[str, Any]:
    client = default_client()
    try:
        return client.get(path_of(name))
    except NotFoundError:
        from turnout.spec.records import nearest

        known = [x["name"] for x in client.get("/v1/targets")["targets"]]
        raise NotFoundError(
            f"There is no target '{name}'{nearest(name, known)}. "
            "`turnout target list` shows what there is."
        ) from None


# -- words -------------------------------------------------------------------------------------


def place(view: dict[str, Any]) -> str:
    config = view["config"]
    if view["kind"] == "cluster":
        return f"{config.get('engine') or 'this machine'}, {config['vm_size']}"
    if config.get("ssh_config_host"):
        return str(config["ssh_config_host"])
    if not config.get("address"):
        return "this machine"
    port = config.get("port") or 22
    user = f"{config['username']}@" if config.get("username") else ""
    return f"{user}{config['address']}{'' if port == 22 else f':{port}'}"


def node_words(view: dict[str, Any]) -> str:
    """
    >>> counts = {"running": 1, "idle": 0, "preparing": 2}
    >>> node_words({"config": {"max_nodes": 4}, "cluster": {"node_state_counts": counts}})
    '1 busy, 0 idle, 2 preparing of 4'
    """
    counts = dict(view["cluster"]["node_state_counts"])
    found = [f"{counts.pop('running', 0)} busy", f"{counts.pop('idle', 0)} idle"]
    found += [f"{count} {state}" for state, count in counts.items() if count]
    return f"{', '.join(found)} of {view['config']['max_nodes']}"


def size_words(holds: dict[str, Any]) -> str:
    """
    >>> size_words({"cores": 2, "memory_mb": 7168, "gpus": 1})
    '2 cores, 7.0 GB of memory, 1 GPU'
    """
    found = f"{counted(holds['cores'], 'core')}, {size(holds['memory_mb'] << 20)} of memory"
    return f"{found}, {counted(holds['gpus'], 'GPU')}" if holds["gpus"] else found


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def scale_words(config: dict[str, Any]) -> str:
    """
    >>> scale_words({"min_nodes": 0, "max_nodes": 4, "idle_seconds_before_scaledown": 120})
    '0 to 4 nodes; one without a run leaves after 2 m 0 s'
    >>> scale_words({"min_nodes": 1, "max_nodes": 1, "idle_seconds_before_scaledown": 120})
    '1 node at all times'
    """
    scale = scale_of(config)
    if config.get("engine"):
        return f"up to {counted(scale.maximum_node_count, 'node')} of {config['engine']} at once"
    least, most = scale.minimum_node_count, scale.maximum_node_count
    if least == most:
        return f"{counted(most, 'node')} at all times"
    idle = span(scale.idle_seconds_before_scaledown)
    return f"{least} to {counted(most, 'node')}; one without a run leaves after {idle}"


def network_words(config: dict[str, Any]) -> str:
    """
    >>> network_words({"vnet_name": "lab", "subnet_name": "10.20.0.0/24", "vnet_outside": False})
    'lab, subnet 10.20.0.0/24, and reach nothing outside of it'
    >>> network_words({})
    ''
    """
    if not config.get("vnet_name"):
        return ""
    outside = "what is" if config.get("vnet_outside") else "nothing"
    return (
        f"{config['vnet_name']}, subnet {config['subnet_name']}, and reach {outside} outside of it"
    )


def fields(view: dict[str, Any]) -> dict[str, object]:
    config, cluster = view["config"], view.get("cluster")
    what: dict[str, object] = {k.replace("_", " "): v for k, v in config.items()}
    if cluster:
        goal = cluster["target_node_count"]
        becoming = "" if goal == cluster["current_node_count"] else f", becoming {goal}"
        what = {
            "size": f"{cluster['vm_size']}: {size_words(cluster['size'])}",
            "engine": config.get("engine"),
            "options": ", ".join(
                f"{name} {config[name]}"
                for name in ("partition", "constraint", "account", "qos")
                if config.get(name)
            ),
            "priority": config.get("vm_priority"),
            "scale": scale_words(config),
            "network": network_words(config),
            "limits": printable(cluster["limits"] or ""),
            "nodes": node_words(view) + becoming,
            "waiting": counted(cluster["waiting"], "run"),
            "made for": config.get("made_for"),
        }
    return {
        "target": view["name"],
        "kind": view["kind"],
        "state": view["provisioning_state"],
        "created" if view["kind"] == "cluster" else "attached": ago(view["created_at"]),
        "description": printable(view["description"] or ""),
        "tags": printable(", ".join(f"{k}={v}" for k, v in (view["tags"] or {}).items())),
        **what,
    }


# -- printing ----------------------------------------------------------------------------------


def print_target(view: dict[str, Any]) -> None:
    print_fields(fields(view))
    print_problems(view)
    if view["kind"] == "cluster":
        found = default_client().get(f"{path_of(view['name'])}/nodes")
        if found["nodes"] or found["events"] or found.get("engine_nodes"):
            print()
        print_nodes(found)


def print_nodes(found: dict[str, Any]) -> None:
    """The nodes, then what happened of late."""
    if found["nodes"]:
        rows = [
            (
                node["name"],
                "busy" if node["state"] == "running" else node["state"],
                node["run"] or "",
                ",".join(map(str, node["cores"])),
                size(node["memory_mb"] << 20),
                ",".join(map(str, node["gpus"])),
                *used(node.get("usage")),
                ago(node["since"]),
            )
            for node in found["nodes"]
        ]
        print_table(
            ("NODE", "STATE", "RUN", "CORES", "MEMORY", "GPUS", "CPU USED", "MEM USED", "SINCE"),
            rows,
        )
    if found.get("engine_nodes"):
        print_engine_nodes(found["engine_nodes"])
    if found["events"]:
        # The newest is given first and shown last, where the eye is.
        latest = found["events"][:EVENTS][::-1]
        if found["nodes"] or found.get("engine_nodes"):
            print()
        print_table(("WHEN", "WHAT"), [(ago(event["at"]), event["text"]) for event in latest])


def print_engine_nodes(nodes: list[dict[str, Any]]) -> None:
    """Nodes of an engine, which others use too: all that they have, and how much is in use."""
    rows = [
        (
            node["name"],
            node["state"],
            ", ".join(node["runs"]),
            f"{node['cores_used']} of {node['cores']}",
            f"{size(node['memory_used_mb'] << 20)} of {size(node['memory_mb'] << 20)}",
            node["gpus"] or "",
            printable(node["reason"]),
        )
        for node in nodes
    ]
    print_table(("NODE", "STATE", "RUNS", "CORES", "MEMORY", "GPUS", "REASON"), rows)


def print_problems(found: dict[str, Any]) -> None:
    for problem in found["provisioning_errors"] or []:
        say(f"  {printable(problem['message'])} {printable(problem.get('fix') or '')}".rstrip())


def tell(found: dict[str, Any], *, as_json: bool) -> int:
    """How an attach, a create or a check ended; 1 when it failed."""
    succeeded = found["provisioning_state"] == "Succeeded"
    if as_json:
        print_json(found)
    elif succeeded:
        print(f"'{found['name']}' is ready: turnout submit train.py --target {found['name']}")
    else:
        say(f"'{found['name']}' cannot be used:")
        print_problems(found)
        verb = "create" if found["kind"] == "cluster" else "attach"
        say(
            f"When that is mended: turnout target check {found['name']} (or {verb} it again, "
            "with other settings)."
        )
    return 0 if succeeded else 1


# -- on and on ---------------------------------------------------------------------------------


def watch(name: str) -> int:
    """Draw the target anew whenever it changes, until Ctrl-C."""
    if not sys.stdout.isatty():
        raise UserError(
            f"--watch draws on a terminal. For programs: turnout target show {name} --json"
        )
    shown = ""
    try:
        while True:
            text = page(name)
            if text != shown:
                draw(text, first=not shown)
                shown = text
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        print()
        return 0


def page(name: str) -> str:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        print_target(fetch(name))
    return out.getvalue()


def draw(text: str, *, first: bool) -> None:
    """Over what was drawn before, cut at the edges: a line that wraps would move the rest."""
    wide, high = os.get_terminal_size(sys.stdout.fileno())
    lines = [line[: wide or 80] for line in [*text.splitlines(), "", "Ctrl-C ends this."]]
    if len(lines) >= (high or 24):
        lines = [*lines[: (high or 24) - 2], "…"]
    clear = "\x1b[2J" if first else ""
    sys.stdout.write(clear + "\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
    sys.stdout.flush()
