"""A run as v1's `get_details` shows it."""

from __future__ import annotations

from typing import Any

from turnout.spec.data import DataInput, DataOutput
from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.spec.records import from_dict
from turnout.spec.runs import RunSpec


def details(view: dict[str, Any], logs: dict[str, str]) -> dict[str, Any]:
    """v1's dictionary of a run; `logs` are addresses by log name."""
    found: dict[str, Any] = {
        "runId": view["id"],
        "target": view["target"],
        "status": view["status"],
        "startTimeUtc": view["started_at"],
        "endTimeUtc": view["ended_at"],
        "properties": view["properties"],
        "tags": view["tags"],
        "inputDatasets": [],
        "outputDatasets": [],
        "logFiles": logs,
        "submittedBy": "",
    }
    for name in ("startTimeUtc", "endTimeUtc"):
        if found[name] is None:
            del found[name]
    if view["spec"]:
        spec = from_dict(RunSpec, view["spec"])
        found["runDefinition"] = definition(spec)
        found["inputDatasets"] = [input_of(x) for x in spec.inputs if x.kind != "reference"]
        found["outputDatasets"] = [output_of(x) for x in spec.outputs if x.register_name]
    if view["warnings"]:
        found["warnings"] = [{"message": text} for text in view["warnings"]]
    error = view["error"]
    if error:
        found["error"] = {
            "error": {"code": error["code"], "message": error["message"]},
            "exitCode": error.get("exit_code"),
        }
    return found


def input_of(item: DataInput) -> dict[str, Any]:
    dataset: dict[str, Any] = {"id": item.dataset_id or None}
    if item.dataset_name:
        dataset.update(name=item.dataset_name, version=item.dataset_version)
    how = {"type": "RunInput", "inputName": item.name, "mechanism": item.mode.capitalize()}
    return {"dataset": dataset, "consumptionDetails": how}


def output_of(item: DataOutput) -> dict[str, Any]:
    return {
        "dataset": {"name": item.register_name},
        "outputType": "RunOutput",
        "outputDetails": {"outputName": item.name},
    }


def references(spec: RunSpec) -> dict[str, Any]:
    """`dataReferences` of a run configuration."""
    found: dict[str, Any] = {}
    for item in spec.inputs:
        if item.kind == "reference":
            found[item.name] = {
                "dataStoreName": item.sources[0].datastore,
                "pathOnDataStore": item.sources[0].path or None,
                "mode": item.mode,
                "pathOnCompute": item.path_on_compute or None,
                "overwrite": False,
            }
    for item in spec.outputs:
        if item.source:
            found[item.name] = {
                "dataStoreName": item.datastore or None,
                "pathOnDataStore": item.path or None,
                "mode": "upload",
                "pathOnCompute": item.source,
                "overwrite": item.overwrite,
            }
    return found


def definition(spec: RunSpec) -> dict[str, Any]:
    return {
        "script": spec.script,
        "command": list(spec.command),
        "arguments": list(spec.arguments),
        "target": spec.target,
        "framework": spec.framework,
        "communicator": spec.communicator,
        "nodeCount": spec.node_count,
        "maxRunDurationSeconds": spec.max_run_duration_s,
        "environment": environment(spec.environment),
        "history": {
            "outputCollection": spec.output_collection,
            "directoriesToWatch": list(spec.directories_to_watch),
        },
        "dataReferences": references(spec),
        **spec.sections,
    }


def environment(spec: EnvironmentSpec) -> dict[str, Any]:
    dependencies: list[Any] = [*spec.conda]
    if spec.python_version:
        dependencies.insert(0, f"python={spec.python_version}")
    if spec.pip or spec.pip_options:
        dependencies.append({"pip": [*spec.pip_options, *spec.pip]})
    name, _, version = spec.name.partition(":")
    packages: dict[str, Any] = {"dependencies": dependencies}
    if spec.channels:
        packages["channels"] = list(spec.channels)
    return {
        "name": name or None,
        "version": version or None,
        "environmentVariables": dict(spec.variables),
        "python": {
            "userManagedDependencies": spec.user_managed,
            "interpreterPath": spec.interpreter,
            "condaDependencies": packages,
        },
        "docker": docker(spec.container),
    }


def docker(box: ContainerSpec | None) -> dict[str, Any]:
    if box is None:
        return {"enabled": False}
    return {
        "enabled": True,
        "baseImage": box.image or None,
        "baseDockerfile": box.dockerfile or None,
        "baseImageRegistry": {
            "address": box.registry or None,
            "username": box.registry_username or None,
        },
        "arguments": list(box.arguments),
        "shmSize": box.shm_size or None,
    }
