"""How many processes a run has, and how they find each other."""

from __future__ import annotations

from dataclasses import dataclass

from turnout.spec.errors import UserError

KINDS = ("", "mpi", "pytorch", "tensorflow")


@dataclass(frozen=True)
class Distribution:
    """Processes of a run on each of its nodes. One process on one node is a run like any other.

    >>> Distribution("pytorch", processes=2).is_one(node_count=1)
    False
    """

    #: "" (processes that find each other by themselves), "mpi", "pytorch" or "tensorflow".
    kind: str = ""
    #: On each node; not for "tensorflow".
    processes: int = 1
    #: For "tensorflow", over all nodes.
    workers: int = 1
    parameter_servers: int = 0

    def is_one(self, node_count: int) -> bool:
        """Whether the script is simply started once."""
        return self.kind == "" and self.processes == 1 and node_count == 1

    def check(self, node_count: int) -> None:
        """Raise `UserError` for numbers that cannot be."""
        if self.kind not in KINDS:
            raise UserError(
                f"'{self.kind}' is no way to distribute a run: mpi, pytorch, tensorflow."
            )
        if node_count < 1:
            raise UserError(f"node_count must be 1 or more, not {node_count}.")
        if self.processes < 1:
            raise UserError(f"A node has at least one process, not {self.processes}.")
        if self.kind != "tensorflow":
            return
        if self.workers < 1 or self.parameter_servers < 0:
            raise UserError(
                f"TensorFlow needs a worker at least, and no fewer parameter servers than none: "
                f"not {self.workers} and {self.parameter_servers}."
            )
        if self.workers + self.parameter_servers < node_count:
            raise UserError(
                f"{self.workers} workers and {self.parameter_servers} parameter servers do not "
                f"need {node_count} nodes: lower node_count, or raise worker_count."
            )


def total_on_nodes(total: int | None, node_count: int) -> int:
    """Processes on each node, from how many there are in all (v1's `process_count`; None is one a
    node). Raises `UserError` when they cannot be shared out.

    >>> total_on_nodes(4, 2), total_on_nodes(None, 3)
    (2, 1)
    """
    if total is None:
        return 1
    if total < 1 or total % max(node_count, 1):
        raise UserError(
            f"process_count is {total}, which cannot be shared out evenly over {node_count} "
            f"node{'' if node_count == 1 else 's'}: it counts the processes of all nodes together."
        )
    return total // node_count
