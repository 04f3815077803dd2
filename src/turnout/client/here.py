"""Targets that are this machine under another name: what is installed here is there too."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from turnout.client import embedded
from turnout.client.environment import local_interpreter
from turnout.client.http import segment
from turnout.spec.errors import NotFoundError

if TYPE_CHECKING:
    from turnout.client.http import Client
    from turnout.spec.runs import RunSpec

#: v1's name for a cluster that is made for the run.
RUN_BASED = "amlcompute"


def is_here(client: Client, target: str) -> bool:
    """Whether runs of the target are processes on this machine: `local`, or nodes cut from it."""
    if embedded.is_hosted():
        return False
    if target == "local":
        return True
    if target.lower() == RUN_BASED:
        settings = client.get("/v1/config")["settings"]
        return not any(x["key"] == "clusters.engine" and x["value"] for x in settings)
    try:
        found = client.get(f"/v1/targets/{segment(target)}")
        return found["kind"] == "cluster" and not found.get("config", {}).get("engine")
    except NotFoundError:
        return False  # the submission itself says what is wrong


def at_home(client: Client, spec: RunSpec) -> RunSpec:
    """The same run; a Python that is used as it is becomes the one that it is in this process, as
    for `local`, where the nodes are parts of this machine."""
    environment = spec.environment
    if not environment.user_managed or environment.container or "/" in environment.interpreter:
        return spec
    if not is_here(client, spec.target):
        return spec
    path = local_interpreter(environment.interpreter)
    return dataclasses.replace(
        spec, environment=dataclasses.replace(environment, interpreter=path)
    )
