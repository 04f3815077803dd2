"""Submitting: only what the service lacks is sent, and one run comes of it whatever breaks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from fake_service import Cut, FakeService, error, run_view

from turnout import Experiment, RunConfiguration, ScriptRun, ScriptRunConfig, Workspace
from turnout.client import submission
from turnout.client.exceptions import UserErrorException
from turnout.client.http import Client
from turnout.spec.errors import NotFoundError, SnapshotError, UserError

pytestmark = pytest.mark.usefixtures("client")
MISSING = (409, error("snapshot_missing", "send it"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text("print(1)\n")
    (folder / "data.bin").write_bytes(b"\0" * 3_000_000)
    return folder


@pytest.fixture
def experiment() -> Experiment:
    return Experiment(Workspace(name="w"), "exp")


class Store:
    """The service's side of snapshots."""

    def __init__(self, service: FakeService) -> None:
        self.digests: set[str] = set()
        self.blobs: set[str] = set()
        service("POST", "/v1/runs", self.create)
        service("POST", "/v1/snapshots/missing", self.missing)
        service("PUT", "/v1/snapshots", self.put)
        self.sizes: list[int] = []

    def create(self, query: Any, body: Any) -> Any:
        if body["spec"].get("snapshot") not in self.digests | {None}:
            return MISSING
        return run_view(spec=body["spec"], tags=body["tags"])

    def missing(self, query: Any, body: Any) -> Any:
        return {"missing": [h for h in body["hashes"] if h not in self.blobs]}

    def put(self, query: Any, body: bytes) -> Any:
        """Take a bundle apart as docs/design/run-folder.md says."""
        self.sizes.append(len(body))
        at = 0
        while body[at : at + 1] == b"B":
            size = int.from_bytes(body[at + 1 : at + 9], "big")
            data, digest = body[at + 9 : at + 9 + size], body[at + 9 + size : at + 41 + size]
            assert hashlib.sha256(data).digest() == digest
            self.blobs.add(digest.hex())
            at += 41 + size
        assert body[at : at + 1] == b"M"
        length = int.from_bytes(body[at + 1 : at + 5], "big")
        manifest = body[at + 5 : at + 5 + length]
        assert {f[3] for f in json.loads(manifest)["files"]} <= self.blobs
        assert body[at + 5 + length :] == b"E"
        self.digests.add(hashlib.sha256(manifest).hexdigest())
        return {"digest": hashlib.sha256(manifest).hexdigest()}


def test_only_what_is_missing_is_sent(
    service: FakeService, source: Path, experiment: Experiment
) -> None:
    store = Store(service)
    config = ScriptRunConfig(source, "train.py", ["-a", 1])
    said: list[str] = []
    run = experiment.submit(config, tags={"a": 1, "b": None}, progress=said.append)
    assert isinstance(run, ScriptRun)
    assert run.id == "exp_1_ab"
    first, again = service.sent("POST", "/v1/runs")
    assert first == again
    assert first["tags"] == {"a": "1", "b": None}
    assert first["spec"]["arguments"] == ["-a", "1"]
    assert store.sizes[0] > 3_000_000
    assert any(text.startswith("Sending the snapshot: ") for text in said)

    experiment.submit(config)
    assert [p for _, p, _ in service.requests[4:]] == ["/v1/runs"]
    (source / "train.py").write_text("print(2)\n")
    experiment.submit(config)
    assert store.sizes[1] < 1000
    assert len(store.sizes) == 2


def test_each_submission_has_a_key_of_its_own(
    service: FakeService, source: Path, experiment: Experiment
) -> None:
    Store(service)
    for _ in range(2):
        experiment.submit(ScriptRunConfig(source, "train.py"))
    keys = [body["key"] for body in service.sent("POST", "/v1/runs")]
    assert keys[0] == keys[1] != keys[2]
    assert all(8 <= len(key) <= 128 for key in keys)


def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    service: FakeService, source: Path, experiment: Experiment
) -> None:
    store = Store(service)
    fate = iter([False, True, True, False])

    def create(query: Any, body: Any) -> Any:
        answer = store.create(query, body)
        return Cut if next(fate) else answer

    service("POST", "/v1/runs", create)
    experiment.submit(ScriptRunConfig(source, "train.py"))
    assert len({body["key"] for body in service.sent("POST", "/v1/runs")}) == 1


def test_a_broken_upload_is_made_again(
    service: FakeService, source: Path, experiment: Experiment
) -> None:
    store = Store(service)
    fate = iter([Cut, None])
    service("PUT", "/v1/snapshots", lambda query, body: next(fate) or store.put(query, body))
    experiment.submit(ScriptRunConfig(source, "train.py"))
    first, second = service.sent("PUT", "/v1/snapshots")
    assert first == second


def test_a_folder_that_changes_while_sent_is_captured_again(
    service: FakeService,
    source: Path,
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Store(service)
    send = submission.send
    changes = iter(["first", None])

    def change_first(client: Client, captured: Any, progress: Any) -> None:
        text = next(changes)
        if text:
            # A file kept in memory is sent as captured; one this large is read again.
            (source / "data.bin").write_bytes(text.encode() * 2_000_000)
            raise SnapshotError("data.bin changed")
        send(client, captured, progress)

    monkeypatch.setattr(submission, "send", change_first)
    experiment.submit(ScriptRunConfig(source, "train.py"))
    digests = [body["spec"]["snapshot"] for body in service.sent("POST", "/v1/runs")]
    assert len(digests) == 3
    assert digests[0] != digests[1] == digests[2]


def test_without_a_snapshot_nothing_is_captured(
    service: FakeService, source: Path, experiment: Experiment
) -> None:
    Store(service)
    rc = RunConfiguration()
    rc.history.snapshot_project = False
    experiment.submit(ScriptRunConfig(source, "train.py", run_config=rc))
    assert "snapshot" not in service.sent("POST", "/v1/runs")[0]["spec"]


@pytest.mark.parametrize(
    ("script", "folder", "message"),
    [
        ("trian.py", ".", "did you mean 'train.py'"),
        ("train.py", "none", "no source directory"),
        ("hidden.py", ".", "left out of the snapshot by the ignore file"),
    ],
)
def test_nothing_is_sent_for_what_can_be_seen_to_be_wrong(
    service: FakeService,
    source: Path,
    experiment: Experiment,
    script: str,
    folder: str,
    message: str,
) -> None:
    (source / "hidden.py").write_text("")
    (source / ".amlignore").write_text("hidden.py\n")
    with pytest.raises(UserError, match=message):
        experiment.submit(ScriptRunConfig(source / folder, script))
    assert service.requests == []


def test_other_refusals(service: FakeService, source: Path, experiment: Experiment) -> None:
    with pytest.raises(UserErrorException, match="takes a ScriptRunConfig, not str"):
        experiment.submit("train.py")  # type: ignore[arg-type]
    with pytest.raises(UserErrorException, match="no argument 'tag'"):
        experiment.submit(ScriptRunConfig(source), tag={})
    with pytest.raises(UserError, match="cannot name an experiment"):
        Experiment(Workspace(), "a b")
    service("POST", "/v1/runs", (404, error("not_found", "There is no target 'lab'.")))
    with pytest.raises(NotFoundError, match="lab"):
        experiment.submit(ScriptRunConfig(source, "train.py", compute_target="lab"))


def test_what_a_person_should_know_is_said(
    service: FakeService,
    source: Path,
    experiment: Experiment,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Store(service)
    (source / "link").symlink_to("/nowhere/outside")
    experiment.submit(ScriptRunConfig(source, "train.py"))
    said = capsys.readouterr()
    assert "'link' leads out of the source folder" in said.err
    assert said.out == ""
