"""What `turnout migrate` finds, as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from turnout.client.migration import sources
from turnout.client.migration.reading import Use, read_uses


@dataclass(frozen=True)
class FileReport:
    """One script or notebook."""

    path: Path
    uses: tuple[Use, ...]
    #: What could not be read of it, each with its place.
    problems: tuple[str, ...] = ()

    @property
    def unserved(self) -> tuple[Use, ...]:
        return tuple(use for use in self.uses if use.why)

    @property
    def is_served(self) -> bool:
        """Whether everything that it uses of v1 is there."""
        return not self.unserved and not self.problems


@dataclass(frozen=True)
class Count:
    """Over several files."""

    files: int
    files_served: int
    names: int
    names_served: int


def check(paths: Iterable[Path]) -> tuple[list[FileReport], int]:
    """(files that use v1, files that were read). Raises `UserErrorException` for a path that is
    not there, or is neither a script nor a notebook."""
    found: list[FileReport] = []
    read = 0
    for path in sources.find(list(paths)):
        source = sources.read(path)
        read += 1
        uses = read_uses(source)
        if uses or (source.problems and mentions_v1(path)):
            found.append(FileReport(path, tuple(uses), source.problems))
    return found, read


def mentions_v1(path: Path) -> bool:
    try:
        return b"azureml" in path.read_bytes()
    except OSError:
        return True


def count(reports: Iterable[FileReport]) -> Count:
    reports = list(reports)
    every = {use.name for report in reports for use in report.uses}
    unserved = {use.name for report in reports for use in report.unserved}
    return Count(
        files=len(reports),
        files_served=sum(report.is_served for report in reports),
        names=len(every),
        names_served=len(every - unserved),
    )
