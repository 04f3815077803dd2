"""v1's exception names, as errors of ours. `except` clauses of both kinds catch them."""

from __future__ import annotations

from turnout.payload import values
from turnout.spec.errors import (
    ModelNotFoundError,
    NotFoundError,
    SnapshotError,
    TurnoutError,
    UserError,
)

AzureMLException = TurnoutError
UserErrorException = UserError
SnapshotException = SnapshotError
ModelNotFoundException = ModelNotFoundError
#: A run has no file of that name: v1 has a class of its own for it.
ModelPathNotFoundException = NotFoundError
#: What v1 raises of models; of web services there is nothing here.
WebserviceException = ModelNotFoundError
TrackingError = values.TrackingError


class ComputeTargetException(UserError):
    """A target is not there, or cannot be attached, created or removed as asked."""


class RunConfigurationException(UserError):
    """A run configuration names something unknown or contradicts itself."""


class WorkspaceException(UserError):
    """The workspace cannot be found or used."""


class ProjectSystemException(UserError):
    """A project folder is not as it should be."""


class RunEnvironmentException(values.RunEnvironmentException, UserError):
    """There is no run around this process."""


class TrainingException(TurnoutError):
    """A training run did not do what it should."""

    code = "training"


class ExperimentExecutionException(TurnoutError):
    """A run could not be submitted or followed."""

    code = "execution"


class ActivityFailedException(TurnoutError):
    """The run that was waited for failed; `message` is the reason, `details` v1's dictionary."""

    code = "run_failed"

    def __init__(self, message: str, details: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}
