"""How the processes of an estimator's run find each other: `Mpi`, `ParameterServer`, `Gloo`,
`Nccl`."""

from __future__ import annotations

from typing import Any

from turnout.client.exceptions import RunConfigurationException
from turnout.client.run_config import RunConfiguration
from turnout.spec.records import nearest


class DistributedTraining:
    """One way. `apply` writes it into a run configuration."""

    def apply(self, rc: RunConfiguration, processes: int) -> None:
        """`processes`: how many the estimator wants on each node, if the way does not say."""
        raise NotImplementedError

    def __repr__(self) -> str:
        said = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"{type(self).__name__}({said})"


class Mpi(DistributedTraining):
    """Processes that `mpirun` starts; Horovod's way."""

    def __init__(self, process_count_per_node: int = 1) -> None:
        self.process_count_per_node = process_count_per_node

    def apply(self, rc: RunConfiguration, processes: int) -> None:
        rc.communicator = "OpenMpi"
        rc.mpi.process_count_per_node = max(self.process_count_per_node, processes)
        rc.mpi.node_count = rc.node_count


class ParameterServer(DistributedTraining):
    """TensorFlow's workers and parameter servers, over all nodes."""

    def __init__(self, worker_count: int = 1, parameter_server_count: int = 1) -> None:
        self.worker_count = worker_count
        self.parameter_server_count = parameter_server_count

    def apply(self, rc: RunConfiguration, processes: int) -> None:
        rc.framework, rc.communicator = "TensorFlow", "ParameterServer"
        rc.tensorflow.worker_count = self.worker_count
        rc.tensorflow.parameter_server_count = self.parameter_server_count


class Gloo(DistributedTraining):
    """PyTorch's, on processors."""

    def apply(self, rc: RunConfiguration, processes: int) -> None:
        rc.communicator = rc.pytorch.communication_backend = type(self).__name__
        rc.pytorch.process_count = rc.node_count * processes
        rc.pytorch.node_count = rc.node_count


class Nccl(Gloo):
    """PyTorch's, on GPUs."""


WAYS = {"mpi": Mpi, "ps": ParameterServer, "gloo": Gloo, "nccl": Nccl}


def way_of(
    given: Any, training: Any, workers: int, servers: int, *, is_many: bool
) -> DistributedTraining | None:
    """What an estimator's arguments say; with nothing said, many processes are MPI's."""
    if training is not None:
        if isinstance(training, type) and issubclass(training, DistributedTraining):
            training = training()
        if not isinstance(training, DistributedTraining):
            raise RunConfigurationException(
                "distributed_training must be Mpi(), ParameterServer(), Gloo() or Nccl(), not "
                f"{type(training).__name__}."
            )
        return training
    name = str(given or "none").lower()
    if name == "none":
        return Mpi() if is_many else None
    if name not in WAYS:
        raise RunConfigurationException(
            f"'{given}' is no distributed_backend{nearest(name, WAYS)}: use one of "
            f"{', '.join(WAYS)}."
        )
    return ParameterServer(workers, servers) if name == "ps" else WAYS[name]()
