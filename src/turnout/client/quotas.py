"""Quotas of cores in the form of the REST interface that v1's SDK hands through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from turnout.client.http import segment

if TYPE_CHECKING:
    from turnout.client.workspace import Workspace

CORES = "cores:"


def usages(workspace: Workspace) -> list[dict[str, Any]]:
    """One row a size family."""
    found = workspace.client.get("/v1/quotas")["quotas"]
    return [row_of(quota) for quota in found if quota["name"].startswith(CORES)]


def row_of(quota: dict[str, Any]) -> dict[str, Any]:
    """
    >>> row_of({"name": "cores:standardDv2Family", "limit": 8, "used": 2})["name"]["value"]
    'standardDv2Family'
    """
    family = quota["name"].removeprefix(CORES)
    return {
        "name": {"value": family, "localizedValue": f"{family} vCPUs"},
        "currentValue": quota["used"],
        "limit": quota["limit"],
        "unit": "Count",
    }


def put(workspace: Workspace, family: str, limit: int) -> None:
    workspace.client.request("PUT", f"/v1/quotas/{segment(CORES + family)}", {"limit": limit})
