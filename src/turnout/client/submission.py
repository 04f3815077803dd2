"""Sends a run: spec, then only what the service lacks of the snapshot, then the spec again."""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.client import embedded
from turnout.client.environment import PREPARATIONS, Environment, from_view
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.client.here import at_home
from turnout.client.run_config_inputs import with_datasets
from turnout.client.script_run_config import ScriptRunConfig, find_folder
from turnout.spec.errors import SnapshotError, SnapshotMissingError
from turnout.spec.records import to_dict
from turnout.spec.runs import RunSpec, check_name

if TYPE_CHECKING:
    from turnout.client.http import Client
    from turnout.snapshots import Capture

#: Told what is being done: "Sending the snapshot: 12 of 50 MB".
Progress = Callable[[str], None]
#: Progress is told at most this often, in bytes sent.
PROGRESS_BYTES = 1 << 20
#: A folder that changes while it is captured or sent is captured anew this often.
TRIES = 3


def submit(
    client: Client,
    experiment: str,
    config: ScriptRunConfig,
    *,
    tags: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    display_name: str | None = None,
    parent: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The new run as docs/design/http-api.md describes it. Raises `UserError` for what can be
    seen to be wrong before anything is sent."""
    check_name("an experiment", experiment)
    config = with_datasets(with_environment(client, config))
    spec = at_home(client, config.to_spec())
    send_password(client, config.run_config.environment)
    body: dict[str, Any] = {
        "key": new_key(),
        "experiment": experiment,
        "tags": {str(k): None if v is None else str(v) for k, v in (tags or {}).items()},
        "properties": {str(k): str(v) for k, v in (properties or {}).items()},
        "display_name": display_name,
        "parent": parent,
    }
    if not config.run_config.history.snapshot_project:
        return client.post("/v1/runs", {**body, "spec": to_dict(spec)})
    folder = find_folder(config.source_directory)
    for left in reversed(range(TRIES)):
        captured = capture(folder, progress)
        if spec.script and spec.script not in captured:
            raise UserErrorException(
                f"The script '{spec.script}' is left out of the snapshot by the ignore file of "
                f"'{folder}'. Remove the pattern that matches it."
            )
        ready = to_dict(dataclasses.replace(spec, snapshot=captured.digest))
        try:
            return client.post("/v1/runs", {**body, "spec": ready})
        except SnapshotMissingError:
            pass
        try:
            send(client, captured, progress)
        except SnapshotError:
            if not left:
                raise
            continue
        return client.post("/v1/runs", {**body, "spec": ready})
    raise AssertionError("unreachable")


def with_environment(client: Client, config: ScriptRunConfig) -> ScriptRunConfig:
    """The same; an environment that a file only names is what the workspace keeps."""
    asked = config.run_config.environment
    if not asked.was_by_name():
        return config
    found = copy.copy(config)
    found.run_config = copy.copy(config.run_config)
    found.run_config.environment = named_environment(client, asked)
    return found


def named_environment(client: Client, asked: Environment) -> Environment:
    """What the workspace keeps under the name of one that a file only names; any other is itself.

    Raises `RunConfigurationException` when it was changed without having been looked up."""
    from turnout.client.http import segment

    if not asked.was_by_name():
        return asked
    if not asked.is_by_name():
        raise RunConfigurationException(
            f"The run configuration names the environment '{asked.name}' and changes it. Look it "
            f"up before the change: rc.environment = Environment.get(ws, '{asked.name}')."
        )
    path = f"/v1/environments/{segment(asked.name or '')}"
    return from_view(client.get(path, {"version": asked.version}))


def new_key() -> str:
    """Made here: a repeated POST, when the answer got lost, is the same run."""
    return os.urandom(16).hex()


def prepare(client: Client, environment: Environment, target: Any) -> dict[str, Any]:
    """A run that makes the environment ready on the target and runs nothing."""
    from turnout.client.run_config import RunConfiguration

    config = RunConfiguration()
    config.target = target
    wanted = environment.to_spec(config.target, {})
    send_password(client, environment)
    name = wanted.name or environment.name or ""
    body = {
        "key": new_key(),
        "experiment": PREPARATIONS,
        "display_name": f"prepare {name}".strip(),
        "spec": to_dict(RunSpec(target=config.target, environment=wanted, prepare_only=True)),
    }
    return client.post("/v1/runs", body)


def send_password(client: Client, environment: Environment) -> None:
    """Give the password of the image's registry, if there is one, into the workspace's keeping:
    the spec never has it."""
    registry = environment.docker.base_image_registry
    if not registry.password:
        return
    if not registry.address or not registry.username:
        raise UserErrorException(
            "base_image_registry has a password and needs address and username beside it."
        )
    client.post(
        "/v1/registries",
        {
            "address": registry.address,
            "username": registry.username,
            "password": registry.password,
        },
    )


def capture(folder: Path, progress: Progress | None = None) -> Capture:
    """The folder as it is now; what a person should know about it goes to `progress`."""
    from turnout import snapshots

    captured = snapshots.capture(folder, embedded.home_folder())
    if progress:
        for note in captured.notes:
            progress(note)
    return captured


def send(client: Client, captured: Capture, progress: Progress | None = None) -> None:
    """Send what the service lacks. Raises `SnapshotError` when a file changed meanwhile."""
    answer = client.post("/v1/snapshots/missing", {"hashes": captured.hashes})
    missing = set(answer["missing"])
    total = captured.bundle_size(missing)

    def parts() -> Iterator[bytes]:
        sent = told = 0
        for part in captured.bundle(missing):
            yield part
            sent += len(part)
            if progress and sent - told >= PROGRESS_BYTES:
                told = sent
                progress(f"Sending the snapshot: {sent >> 20} of {total >> 20} MB")

    client.request("PUT", "/v1/snapshots", parts)


def send_folder(client: Client, folder: str) -> str:
    """Send the folder's snapshot; its digest."""
    captured = capture(find_folder(folder))
    send(client, captured)
    return captured.digest
