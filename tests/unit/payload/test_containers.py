"""What the container programs decide without an engine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from turnout.payload.builds import base_images, boxes, container, engine, image, inside
from turnout.payload.builds.engine import Engine
from turnout.payload.builds.telling import BuildError

FACTS = {"kind": "docker", "rootless": False, "remapped": False, "bridge": True}
FACTS = {**FACTS, "gpus": False, "live_restore": False}


def docker(**facts: Any) -> Engine:
    return Engine("docker", {**FACTS, **facts})


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (
            "docker: permission denied while trying to connect to the Docker daemon socket at "
            "unix:///var/run/docker.sock: Get ...",
            "group 'docker'",
        ),
        (
            "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
            "(unix:///x.sock)",
        ),
        ("Error response from daemon: pull access denied for a/b", "no such image"),
        ("Get https://r/v2/: unauthorized: authentication required", "refuses the login"),
        ("write /x: no space left on device", "disk of the container engine is full"),
        ("dial tcp: lookup r.example.org: no such host", "(dial tcp: lookup r.example.org)"),
        ('could not select device driver "" with capabilities: [[gpu]]', "nvidia-container"),
        ('exec: "/bin/sh": stat /bin/sh: no such file or directory', "has no shell"),
        ("something else\n\nRun 'docker run --help' for more information", "something else"),
        ("", "'docker run' failed: it said nothing"),
    ],
)
def test_words_of_the_engine(said: str, meaning: str) -> None:
    assert meaning in engine.explain(said, "docker run")


@pytest.mark.parametrize("where", ["tcp://10.0.0.1:2375", "ssh://ada@lab"])
def test_engine_elsewhere(where: str) -> None:
    with pytest.raises(BuildError, match="another machine"):
        engine.refuse_another_machine(where, "")


def test_engine_in_a_virtual_machine() -> None:
    engine.refuse_another_machine("unix:///x.sock", os.uname().release)
    with pytest.raises(BuildError, match=r"virtual machine \(kernel 1\.2"):
        engine.refuse_another_machine("unix:///x.sock", "1.2-linuxkit")


def test_which_engine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "TURNOUT_CONTAINER_ENGINE"):
        monkeypatch.delenv(name, raising=False)
    assert engine.wanted_clients() == ("docker", "podman")
    monkeypatch.setenv("DOCKER_HOST", "unix:///x.sock")
    assert engine.wanted_clients() == ("docker",)
    monkeypatch.setenv("TURNOUT_CONTAINER_ENGINE", "podman")
    assert engine.wanted_clients() == ("podman",)


def test_facts_are_what_an_engine_is_made_of() -> None:
    assert docker(rootless=True).facts() == {**FACTS, "rootless": True}


# -- options of `run` ----------------------------------------------------------------------------


def test_limits() -> None:
    asked = {"memory": "64m", "cpus": 1.5, "network": "none", "arguments": ["-v", "/a:/a"]}
    found = container.limits(docker(), asked)
    assert found == [
        *("--memory", "64m", "--cpus", "1.5", "--network", "none"),
        *("--memory-swap", "64m", "-v", "/a:/a"),
    ]
    assert container.limits(docker(), {"gpus": False}) == []


def test_user() -> None:
    me = f"{os.getuid()}:{os.getgid()}"
    assert container.user(docker()) == ["--user", me]
    assert container.user(docker(rootless=True)) == ["--user", "0:0"]
    assert container.user(docker(remapped=True)) == ["--userns", "host", "--user", me]


def test_variables_are_named_and_not_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_INSIDE", json.dumps(["KEY", "GONE"]))
    monkeypatch.setenv("KEY", "s3cr3t")
    found = container.variables(docker(rootless=True), str(tmp_path))
    assert found == ["--user", "0:0", "--env", "KEY"]


def test_gpus_that_the_engine_cannot_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/dev/nvidiactl")
    assert container.gpu_options(docker(gpus=True), None) == ["--gpus", "all"]
    assert container.gpu_options(docker(), None) == []
    with pytest.raises(BuildError, match="nvidia-container-toolkit"):
        container.gpu_options(docker(), True)
    podman = docker(kind="podman", gpus=True)
    assert container.gpu_options(podman, True) == ["--device", "nvidia.com/gpu=all"]


def test_memory_is_named_with_its_limit() -> None:
    assert "(limit 64m)" in container.memory_text({"memory": "64m"}, 137)
    assert "one of its processes" in container.memory_text({}, 1)


def test_folder_that_cannot_be_shown(tmp_path: Path) -> None:
    assert boxes.bind(str(tmp_path), "/x", read_only=True)[1].endswith(",target=/x,readonly")
    with pytest.raises(BuildError, match="comma"):
        boxes.bind("/a,b")


def test_containers_that_outlive_their_engine_are_removed_by_us(tmp_path: Path) -> None:
    """Docker 20.10 ends those with --rm when it restarts, live-restore or not."""
    options = boxes.Box(docker(), "a", str(tmp_path)).command([], "image", ["true"])
    assert "--rm" in options
    alive = boxes.Box(docker(live_restore=True), "a", str(tmp_path))
    assert "--rm" not in alive.command([], "image", ["true"])


def test_first_process_is_posix_shell() -> None:
    assert subprocess.run(["sh", "-n"], input=boxes.FIRST.encode(), check=False).returncode == 0
    assert subprocess.run(["sh", "-n"], input=inside.PYTHON.encode(), check=False).returncode == 0


# -- images --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "registry"),
    [
        ({"image": "python:3.12"}, base_images.HUB),
        ({"image": "team/base:1"}, base_images.HUB),
        ({"image": "localhost/base:1"}, "localhost"),
        ({"image": "registry.example.org:5000/team/base"}, "registry.example.org:5000"),
        ({"image": "r.example.org/a", "registry": "r.example.org/"}, "r.example.org"),
        ({"dockerfile": "FROM r.example.org/a", "registry": "r.example.org"}, "r.example.org"),
    ],
)
def test_registry_of_an_image(asked: dict[str, str], registry: str) -> None:
    assert base_images.registry_of(asked) == registry


def test_client_settings_take_no_password_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    (own / "contexts").mkdir(parents=True)
    settings = {"auths": {"a": {"auth": "s3cr3t"}}, "currentContext": "mine", "credsStore": "x"}
    (own / "config.json").write_text(json.dumps(settings))
    monkeypatch.setenv("DOCKER_CONFIG", str(own))
    (tmp_path / "new").mkdir()
    base_images.write_settings(str(tmp_path / "new"), "r.example.org", "ada")
    found = json.loads((tmp_path / "new" / "config.json").read_text())
    assert found == {
        **{"currentContext": "mine", "credsStore": "x"},
        "credHelpers": {"r.example.org": "turnout"},
    }
    assert (tmp_path / "new" / "contexts").is_symlink()
    helper = tmp_path / "new" / "docker-credential-turnout"
    done = subprocess.run(
        [helper, "get"],
        input=b"r.example.org\n",
        env={**os.environ, base_images.USERNAME: "ada", base_images.PASSWORD: 'a"b'},
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == {
        **{"ServerURL": "r.example.org", "Username": "ada", "Secret": 'a"b'},
    }


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Step 3/7 : RUN pip install a", "Dockerfile, step 3 of 7: RUN pip install a"),
        ("STEP 2/4: RUN true", "Dockerfile, step 2 of 4: RUN true"),
        ("#7 [2/4] RUN apt-get update", "Dockerfile, step 2 of 4: RUN apt-get update"),
        ("#9 [base 2/4] RUN true", "Dockerfile, step 2 of 4: RUN true"),
        ("#7 0.532 Get:1 http://deb", ""),
    ],
)
def test_steps_of_a_dockerfile(line: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    base_images.show_step(line)
    said = capsys.readouterr().out
    assert (json.loads(said[1:])["status"] if said else "") == shown


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("E: Unable to locate package foo", "no package 'foo'"),
        ("E: Version '9' for 'foo' was not found", "no version 9 of 'foo'"),
        ("  Temporary failure resolving 'deb.debian.org'", "(deb.debian.org)"),
        ("E: something odd", "E: something odd"),
        ("", "ended with code 100"),
    ],
)
def test_words_of_apt(said: str, meaning: str) -> None:
    assert meaning in image.apt_fault(100, said, ["foo"])


def test_names_of_images_say_what_they_are_made_of() -> None:
    one = image.tag_of("env", {"a": 1, "b": 2})
    assert one == image.tag_of("env", {"b": 2, "a": 1})
    assert one != image.tag_of("env", {"a": 1})
    assert len(one.partition(":")[2]) == 32


def test_folders_are_named_as_inside(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "index" / "simple").mkdir(parents=True)
    shown = inside.Shown()
    text = f"{tmp_path}/wheels,https://x.example/simple file://{tmp_path}/index/simple/ /no/where"
    assert shown.translate(text) == (
        "/run/turnout/folders/0,https://x.example/simple "
        "file:///run/turnout/folders/1/simple /no/where"
    )
    assert shown.folders == [f"{tmp_path}/wheels", f"{tmp_path}/index"]
