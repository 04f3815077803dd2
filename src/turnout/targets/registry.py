"""Which kinds of target there are: ours by import string, others by entry point."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel, ValidationError

from turnout.spec.errors import ConfigurationError, UserError
from turnout.spec.records import nearest
from turnout.targets.base import Target

KINDS = {
    "local": "turnout.targets.local:LocalTarget",
    "ssh": "turnout.targets.ssh:SSHTarget",
    "cluster": "turnout.targets.cluster:ClusterTarget",
}
#: What clusters are made on; nothing is submitted to one of these itself.
ENGINES = {"slurm": "turnout.targets.slurm:SlurmEngine"}


def kinds() -> dict[str, str]:
    """Every known kind and where its class is."""
    found = {e.name: e.value for e in entry_points(group="turnout.targets")}
    return {**found, **KINDS}


def kind(name: str) -> type[Target[Any]]:
    """The class of a kind; imported now, not before."""
    # Looking for other packages' kinds reads the disk: only for a name that is not ours.
    known = {**KINDS, **ENGINES}
    if name not in known:
        known = {**kinds(), **ENGINES}
    if name not in known:
        names = ", ".join(sorted(known))
        raise UserError(
            f"There is no kind of target '{name}'{nearest(name, known)}. Kinds: {names}."
        )
    module, _, attribute = known[name].partition(":")
    return getattr(import_module(module), attribute)


def config(kind_name: str, data: Mapping[str, Any]) -> BaseModel:
    """The kind's own checked configuration; `ConfigurationError` names each bad field."""
    model = kind(kind_name).config_model
    try:
        return model.model_validate(dict(data))
    except ValidationError as e:
        problems: list[str] = []
        fields: dict[str, str] = {}
        for error in e.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in error["loc"])
            hint = ""
            if error["type"] == "extra_forbidden":
                hint = nearest(name, model.model_fields)
            said = f"{error['msg'].removeprefix('Value error, ')}{hint}"
            problems.append(f"{name or 'configuration'}: {said}")
            # A field of several types has an error for each: the form shows the first.
            fields.setdefault(str(error["loc"][0]) if error["loc"] else "", said)
        text = "; ".join(problems)
        raise ConfigurationError(
            f"The {kind_name} target cannot be set up: {text}.", fields
        ) from None
