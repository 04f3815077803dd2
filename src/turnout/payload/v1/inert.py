"""What v1 scripts say about Azure's accounts and telemetry: taken, and without effect here."""

from __future__ import annotations

import logging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict


class Audience:
    """Of a token, in v1."""

    ARM = "ARM"
    AZUREML = "AZUREML"


class AbstractAuthentication:
    """Who somebody is: Turnout's service asks for its own token alone, so every argument of these
    classes is dropped at once; nothing is kept of a password.

    Example::

        ws = Workspace.from_config(auth=ServicePrincipalAuthentication(tenant, user, password))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def get_authentication_header(self) -> Dict[str, str]:
        """For requests to the service by hand."""
        token = self.get_token()
        return {"Authorization": "Bearer %s" % token} if token else {}

    def get_token(self, *scopes: Any, **kwargs: Any) -> str:
        """The token of the service that this process talks to; "" when there is none."""
        try:
            from importlib import import_module

            client = import_module("turnout.client.embedded").default_client()
            client.get("/v1/workspace")  # An embedded service makes its token when it starts.
            return str(client.endpoint.token)
        except ImportError:  # A script on its target.
            return ""


class ArmTokenAuthentication(AbstractAuthentication):
    def update_arm_access_token(self, new_arm_access_token: str) -> None:
        pass


class AzureCliAuthentication(AbstractAuthentication):
    pass


class AzureMLTokenAuthentication(AbstractAuthentication):
    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> AzureMLTokenAuthentication:
        return cls()

    def set_token(self, token: str, expiry_time: Any = None) -> None:
        pass

    def update_azureml_access_token(self, new_arm_access_token: str) -> None:
        pass


AzureMlTokenAuthentication = AzureMLTokenAuthentication


class AzureNotebooksAuthentication(AbstractAuthentication):
    pass


class InteractiveLoginAuthentication(AbstractAuthentication):
    pass


class MsiAuthentication(AbstractAuthentication):
    pass


class ServicePrincipalAuthentication(AbstractAuthentication):
    pass


class TokenAuthentication(AbstractAuthentication):
    pass


# -- telemetry: Turnout sends none ----------------------------------------------------------------


def set_diagnostics_collection(
    send_diagnostics: bool = True, verbosity: int = logging.INFO, reason: str = "",
    path: Any = None,
) -> None:  # fmt: skip
    """Nothing is collected, whatever is asked for."""


def get_diagnostics_collection_info(
    component_name: Any = None, path: Any = None, proceed_in_hbi_mode: bool = False
) -> Any:
    return False, None


def is_diagnostics_collection_info_available() -> bool:
    return False


def add_diagnostics_properties(properties: Any) -> None:
    pass


def set_diagnostics_properties(properties: Any) -> None:
    pass


def get_event_logger(*args: Any, **kwargs: Any) -> logging.Logger:
    """A logger that keeps quiet."""
    return get_telemetry_logger()


def get_telemetry_log_handler(*args: Any, **kwargs: Any) -> logging.Handler:
    return logging.NullHandler()


def get_telemetry_logger() -> logging.Logger:
    found = logging.getLogger("turnout.v1.telemetry")
    found.propagate = False
    if not found.handlers:
        found.addHandler(logging.NullHandler())
    return found


class diagnostic_log:
    """v1's log of its own doings into `log_path`; this one writes nothing."""

    def __init__(
        self, log_path: Any = None, namespaces: Any = None, context_name: Any = None
    ) -> None:
        pass

    def start_capture(self) -> None:
        pass

    def stop_capture(self) -> None:
        pass

    def __enter__(self) -> diagnostic_log:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass
