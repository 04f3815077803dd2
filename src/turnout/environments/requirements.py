"""Lines of a requirements list: checked early, and brought to one form so that keys agree."""

from __future__ import annotations

import re
from collections.abc import Iterable

from turnout.spec.errors import EnvironmentSpecError

LINE = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?P<rest>.*)")
EXTRAS = re.compile(r"\[(?P<names>[A-Za-z0-9._,\s-]*)\]\s*(?P<rest>.*)")
VERSION = re.compile(r"(?:===|==|~=|!=|<=|>=|<|>)[A-Za-z0-9.*+!_-]+")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: Names that Turnout itself stands in for: a v1 script finds its `azureml` in the payload.
PROVIDED = re.compile(r"azureml(-.*)?")
#: What some of them brought that scripts import, unless it is listed (the whole of it, or its
#: small form).
BROUGHT = {
    "azureml-dataprep": ["pandas"],
    "azureml-dataset-runtime": ["pandas", "pyarrow"],
    # Not its small form, which lacks what today's `mlflow.sklearn.log_model` needs.
    "azureml-mlflow": ["mlflow"],
}


def normalize(line: str) -> str:
    """The one form of a requirement. Raises `EnvironmentSpecError` for what is none.

    >>> normalize("Scikit_Learn  >= 1.0 , <2")
    'scikit-learn<2,>=1.0'
    """
    text = re.sub(r"(^|\s)#.*$", "", line).strip()
    if URL.match(text) or text.startswith("git+"):
        return text
    if not text or text[0] in "./~-" or re.search(r"\.(whl|tar\.gz|zip)$", text.split("@")[0]):
        raise EnvironmentSpecError(
            f"{line!r} names a file of this machine, which the target does not have. Put the "
            "package into the source folder and import it from there, or name it by an address: "
            "'name @ https://…'."
        )
    match = LINE.fullmatch(text)
    if not match:
        raise EnvironmentSpecError(unreadable(line))
    name = re.sub(r"[-_.]+", "-", match["name"]).lower()
    rest = match["rest"]
    if extras := EXTRAS.fullmatch(rest):
        names = sorted({e.strip().lower() for e in extras["names"].split(",") if e.strip()})
        name += f"[{','.join(names)}]" if names else ""
        rest = extras["rest"]
    if rest.startswith("@"):
        return f"{name} @ {rest[1:].strip()}"
    versions, semicolon, marker = rest.partition(";")
    end = f" ; {' '.join(marker.split())}" if semicolon else ""
    return name + ",".join(version_parts(line, versions)) + end


def version_parts(line: str, versions: str) -> list[str]:
    text = re.sub(r"\s+", "", versions)
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    parts = [p for p in text.split(",") if p]
    for part in parts:
        if not VERSION.fullmatch(part):
            raise EnvironmentSpecError(unreadable(line))
    if re.search(r"[A-Za-z0-9]\s+[A-Za-z0-9]", versions):
        raise EnvironmentSpecError(unreadable(line))
    return sorted(set(parts))


def unreadable(line: str) -> str:
    hint = ""
    if re.search(r"[^=<>!~]=[^=]", line):
        hint = " pip writes '==' where conda writes '='."
    return (
        f"{line!r} is not a package requirement.{hint} Write a name with an optional version, for "
        "example 'scikit-learn==1.5'."
    )


def split_provided(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """(requirements in their one form, sorted, no doubles; names that Turnout stands for)."""
    wanted: set[str] = set()
    provided: set[str] = set()
    for line in lines:
        text = normalize(line)
        name = name_of(text)
        (provided if PROVIDED.fullmatch(name) else wanted).add(
            name if PROVIDED.fullmatch(name) else text
        )
    listed = {name_of(text) for text in wanted}
    for name in provided & BROUGHT.keys():
        missing = (p for p in BROUGHT[name] if not {p, p + "-skinny"} & listed)
        wanted.update(missing)
    return sorted(wanted), sorted(provided)


def name_of(requirement: str) -> str:
    """
    >>> name_of("scikit-learn[x]<2")
    'scikit-learn'
    """
    return re.split(r"[^a-z0-9-]", requirement, maxsplit=1)[0]
