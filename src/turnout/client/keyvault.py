"""`Keyvault`: secrets of the workspace, kept sealed by the service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from turnout.client.http import segment
from turnout.spec.errors import NotFoundError

if TYPE_CHECKING:
    from turnout.client.workspace import Workspace


class Keyvault:
    """What `ws.get_default_keyvault()` gives.

    Example::

        ws.get_default_keyvault().set_secret(name="db-password", value="...")
        password = Run.get_context().get_secret(name="db-password")  # in a script

    A name has letters, digits and dashes; anything else raises `UserError`.
    """

    def __init__(self, workspace: Workspace, **kwargs: Any) -> None:
        self.workspace = workspace

    def set_secret(self, name: str, value: str, content_type: Any = None) -> None:
        """Keep a secret; one of that name is replaced."""
        body = {"value": str(value)}
        self.workspace.client.request("PUT", f"/v1/secrets/{segment(name)}", body)

    def set_secrets(self, secrets_batch: Mapping[str, str]) -> None:
        for name, value in secrets_batch.items():
            self.set_secret(name, value)

    def get_secret(self, name: str) -> str | None:
        """The secret; None when there is none of that name."""
        try:
            return self.workspace.client.get(f"/v1/secrets/{segment(name)}")["value"]
        except NotFoundError:
            return None

    def get_secrets(self, secrets: Iterable[str]) -> dict[str, str | None]:
        return {name: self.get_secret(name) for name in secrets}

    def delete_secret(self, name: str) -> None:
        self.workspace.client.request("DELETE", f"/v1/secrets/{segment(name)}")

    def delete_secrets(self, secrets: Iterable[str]) -> None:
        for name in secrets:
            self.delete_secret(name)

    def list_secrets(self) -> list[dict[str, str]]:
        """`[{"name"}]`, by name; never the secrets themselves."""
        found = self.workspace.client.get("/v1/secrets")["secrets"]
        return [{"name": secret["name"]} for secret in found]
