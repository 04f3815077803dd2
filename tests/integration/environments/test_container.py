"""Images made by the real build program with a real Docker engine, and what they hold."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout.environments import registry
from turnout.environments.base import EnvironmentSettings, Recipe
from turnout.environments.failures import explain
from turnout.payload import rundir
from turnout.payload.recipes import Activation, PrepareError
from turnout.spec.environments import ContainerSpec, EnvironmentSpec
from turnout.testing import dockerd
from turnout.testing.building import Building
from turnout.testing.conda_channel import CondaChannel, Package
from turnout.testing.docker_registry import Registry
from turnout.testing.dockerd import DockerEngine
from turnout.testing.missing import missing
from turnout.testing.waiting import until
from turnout.testing.wheels import add_wheel

IMAGE = "base:1"


@pytest.fixture
def engine(docker: DockerEngine) -> DockerEngine:
    return docker


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    add_wheel(folder, "greeting", "1.0", "WORD = 'hello'\n")
    return folder


@pytest.fixture
def building(tmp_path: Path, wheels: Path, engine: DockerEngine) -> Building:
    return Building(
        tmp_path / "host",
        {
            **{"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": engine.host},
            **{"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "UV_HTTP_RETRIES": "0"},
            **{"PIP_FIND_LINKS": str(wheels), "UV_PYTHON_DOWNLOADS": "never"},
        },
    )


def recipe(*pip: str, python: str | None = None, managed: bool = False, **more: Any) -> Recipe:
    container = ContainerSpec(**{"image": IMAGE, **more})
    if container.dockerfile:
        container = ContainerSpec(**more)
    spec = EnvironmentSpec(
        pip=pip, python_version=python, user_managed=managed, container=container
    )
    return registry.recipe(spec, EnvironmentSettings())


def image_of(made: Activation) -> str:
    """What a run in this environment is started from."""
    (path,) = (word for word in made.launcher if word.endswith("/container.json"))
    return str(json.loads(Path(path).read_text())["image"])


async def failure(building: Building, made: Recipe) -> str:
    """What a person reads of a build that fails."""
    with pytest.raises(PrepareError) as caught:
        await building.ensure(made)
    return explain(str(caught.value)) or str(caught.value)


def python_in(engine: DockerEngine, made: Activation, code: str) -> str:
    words = (*made.argv_prefix[1:], "-c", code)
    return engine.docker(
        "run", "--rm", "--entrypoint", made.argv_prefix[0], image_of(made), *words
    )


async def test_packages_are_baked_into_an_image(building: Building, engine: DockerEngine) -> None:
    made = await building.ensure(recipe("greeting", "azureml-defaults"))
    code = "import greeting, os; print(greeting.WORD, os.path.exists(greeting.__cached__))"
    assert python_in(engine, made, code) == "hello True"
    lock = rundir.read_json(made.lock)
    assert lock["inside"]["requirements"] == ["greeting==1.0"]
    assert lock["image"].startswith("sha256:")
    assert lock["inside"]["python"]["version"].startswith("3.11")
    # A person finds the environment too.
    assert engine.docker("run", "--rm", image_of(made), "python", "-c", "import greeting") == ""
    assert engine.containers("--all") == []


async def test_known_image_is_used_again_and_a_removed_one_made_again(
    building: Building, engine: DockerEngine
) -> None:
    made = await building.ensure(recipe("greeting"))
    said = len(building.said)
    await building.ensure(recipe("greeting"))
    assert building.said[said:] == []
    engine.docker("image", "rm", image_of(made))
    again = await building.ensure(recipe("greeting"))
    assert image_of(again) == image_of(made)
    assert python_in(engine, again, "import greeting") == ""
    assert "not as it was left" in building.log


async def test_how_a_container_is_run_makes_no_other_image(building: Building) -> None:
    one = await building.ensure(recipe("greeting"))
    said = len(building.said)
    two = await building.ensure(recipe("greeting", memory="64 MB", cpus=0.5, gpus=False))
    assert image_of(one) == image_of(two)
    assert building.said[said:] == []
    limits = json.loads(two.launcher[-2])
    assert limits == {"memory": "64M", "cpus": 0.5, "gpus": False}


async def test_nothing_of_the_build_stays_in_the_image(
    building: Building, engine: DockerEngine, tmp_path: Path
) -> None:
    building.environ["UV_EXTRA_INDEX_URL"] = "file:///nowhere/s3cr3t"
    building.environ["UV_INDEX_MIRROR_PASSWORD"] = "s3cr3t"
    made = await building.ensure(recipe("greeting"))
    image = image_of(made)
    told = engine.docker("image", "inspect", image) + engine.docker("history", "--no-trunc", image)
    assert "s3cr3t" not in told
    assert str(tmp_path) not in told
    config = json.loads(engine.docker("image", "inspect", image))[0]["Config"]
    assert [e.partition("=")[0] for e in config["Env"]] == ["PATH"]
    assert not config.get("Entrypoint")
    assert config["Cmd"] == ["/bin/sh"]
    assert config["User"] in ("", "0")
    # Of the file system: only what the environment is, and empty folders.
    saved = engine.try_docker("save", image).stdout
    assert b"s3cr3t" not in saved
    # The bytecode of the image's own Python is welcome: few images have it.
    outside = {n for n in top_layer(saved) if not n.startswith(("opt/turnout", "usr/lib/python"))}
    known = {"opt", "run", "run/turnout", "etc", "usr", "usr/lib", "dev", "dev/shm"}
    assert outside <= known


def top_layer(saved: bytes) -> list[str]:
    """Names in the last layer of a saved image."""
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        last = archive.extractfile(json.loads(manifest.read())[0]["Layers"][-1])
        with tarfile.open(fileobj=last) as layer:
            return layer.getnames()


async def test_the_images_own_settings_stay(building: Building, engine: DockerEngine) -> None:
    engine.docker("create", "--name", "made", IMAGE, "true")
    changes = ['ENTRYPOINT ["/bin/echo"]', 'CMD ["a b"]', "USER 7", "ENV A=b", "WORKDIR /usr"]
    options = [word for change in changes for word in ("--change", change)]
    engine.docker("commit", *options, "made", "own:1")
    engine.docker("rm", "made")
    made = await building.ensure(recipe("greeting", image="own:1"))
    config = json.loads(engine.docker("image", "inspect", image_of(made)))[0]["Config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["/bin/echo"], ["a b"])
    assert (config["User"], config["WorkingDir"]) == ("7", "/usr")
    assert "A=b" in config["Env"]


async def test_python_of_the_image_is_used_as_it_is(
    building: Building, engine: DockerEngine
) -> None:
    made = await building.ensure(recipe(managed=True))
    assert image_of(made) == json.loads(engine.docker("image", "inspect", IMAGE))[0]["Id"]
    assert python_in(engine, made, "import sys; print(sys.executable)") == "/usr/bin/python3"
    named = await building.ensure(recipe("ignored", managed=True))
    assert image_of(named) == image_of(made)


async def test_dockerfile(building: Building, engine: DockerEngine) -> None:
    text = f"FROM {IMAGE}\nRUN echo given >/given\nENV KEY=value\n"
    made = await building.ensure(recipe("greeting", dockerfile=text))
    assert python_in(engine, made, "print(open('/given').read())") == "given"
    assert any(said.startswith("Dockerfile, step 2 of 3: RUN echo") for said in building.said)
    said = len(building.said)
    more = await building.ensure(recipe(dockerfile=text))
    assert image_of(more) != image_of(made)
    assert not any(said.startswith("Dockerfile") for said in building.said[said:])


async def test_dockerfile_with_the_new_builder(building: Building, engine: DockerEngine) -> None:
    if not os.path.exists("/usr/bin/docker"):  # noqa: PTH110, ASYNC240
        missing("needs Debian's client, which has BuildKit inside")
    building.environ.update(DOCKER_BUILDKIT="1", PATH=f"/usr/bin:{os.environ['PATH']}")
    text = f"FROM {IMAGE}\nRUN echo new >/given\n"
    made = await building.ensure(recipe("greeting", dockerfile=text))
    assert python_in(engine, made, "print(open('/given').read())") == "new"
    assert "Dockerfile, step 2 of 2: RUN echo new >/given" in building.said
    text = await failure(building, recipe(dockerfile=f"FROM {IMAGE}\nRUN no-such-program\n"))
    assert text.startswith("The Dockerfile could not be built.")
    assert "no-such-program" in text


async def test_dockerfile_that_fails(building: Building) -> None:
    text = f"FROM {IMAGE}\nRUN no-such-program\n"
    said = await failure(building, recipe("greeting", dockerfile=text))
    assert said.startswith("The Dockerfile could not be built.")
    assert "no-such-program" in said


# -- failures ------------------------------------------------------------------------------------


async def test_package_that_does_not_exist(building: Building, engine: DockerEngine) -> None:
    assert "'greetings'" in await failure(building, recipe("greetings"))
    assert engine.containers("--all") == []


async def test_python_that_is_not_in_the_image(building: Building) -> None:
    text = await failure(building, recipe("greeting", python="3.99"))
    assert text.startswith("Python 3.99 is not on the target and could not be downloaded.")


async def test_image_without_a_python(building: Building, engine: DockerEngine) -> None:
    engine.docker("run", "--name", "made", IMAGE, "sh", "-c", "rm /usr/bin/python3*")
    engine.docker("commit", "made", "bare:1")
    engine.docker("rm", "made")
    text = await failure(building, recipe("greeting", image="bare:1"))
    assert text.startswith("The image has no Python, and none could be fetched for it.")


async def test_image_without_a_shell(building: Building, engine: DockerEngine) -> None:
    archive = building.root / "empty.tar"
    with tarfile.open(archive, "w") as file:
        file.addfile(tarfile.TarInfo("hello"))
    engine.import_image(archive, "empty:1")
    text = await failure(building, recipe("greeting", image="empty:1"))
    assert text.startswith("The image has no shell (/bin/sh)")
    assert engine.containers("--all") == []


async def test_engine_is_not_there(building: Building) -> None:
    building.environ["DOCKER_HOST"] = "unix:///nowhere.sock"
    text = await failure(building, recipe("greeting"))
    assert "does not answer (unix:///nowhere.sock). Is it running?" in text


async def test_engine_elsewhere_is_refused(building: Building) -> None:
    building.environ["DOCKER_HOST"] = "tcp://127.0.0.1:1"
    text = await failure(building, recipe("greeting"))
    assert "another machine (tcp://127.0.0.1:1)" in text


async def test_no_client_on_the_machine(building: Building, monkeypatch: Any) -> None:
    from turnout.payload.builds import engine, telling

    monkeypatch.setenv("TURNOUT_CONTAINER_ENGINE", "no-such-client")
    with pytest.raises(telling.BuildError, match="neither docker nor podman"):
        engine.find()


async def test_image_that_cannot_be_had(building: Building) -> None:
    text = await failure(building, recipe("greeting", image="127.0.0.1:1/no/such:1"))
    assert text.startswith("The image '127.0.0.1:1/no/such:1' cannot be had.")
    assert "cannot be reached from this machine" in text


async def test_system_packages_need_apt(building: Building) -> None:
    text = await failure(building, recipe("greeting", system_packages=("libgl1",)))
    assert text.startswith("The base image has no apt-get, so system packages (libgl1)")


# -- registries ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(docker: DockerEngine) -> Iterator[Registry]:
    """A registry that has "team/base:1" for one user."""
    try:
        with Registry("ada", "pa$$ \"'s3cr3t") as registry:
            name = f"{registry.address}/team/base:1"
            words = ("login", "--username", "ada", "--password-stdin", registry.address)
            with tempfile.TemporaryDirectory() as config:
                env = {"DOCKER_CONFIG": config}
                done = docker.try_docker(*words, data=b"pa$$ \"'s3cr3t", env=env)
                assert done.returncode == 0, done.stderr
                docker.docker("run", "--name", "made", IMAGE, "touch", "/sold")
                docker.docker("commit", "made", name)
                docker.docker("rm", "made")
                done = docker.try_docker("push", name, env=env)
                assert done.returncode == 0, done.stderr
            docker.docker("image", "rm", name)
            yield registry
    except dockerd.Unavailable as e:
        missing(e)


def private(shop: Registry, user: str = "ada", image: str = "team/base:1", **more: Any) -> Recipe:
    return recipe(image=image, registry=shop.address, registry_username=user, **more)


async def test_image_of_a_private_registry(
    building: Building, engine: DockerEngine, shop: Registry
) -> None:
    building.environ["TURNOUT_REGISTRY_PASSWORD"] = "pa$$ \"'s3cr3t"
    made = await building.ensure(private(shop))
    assert python_in(engine, made, "import os; print(os.path.exists('/sold'))") == "True"
    assert any(said.startswith(f"Pulling {shop.address}/team/base:1 (") for said in building.said)
    engine.docker("image", "rm", "--force", f"{shop.address}/team/base:1")
    # The password is nowhere: not in the log, not in a file of the person or of the build.
    written = [p for p in building.root.rglob("*") if p.is_file() and not p.is_symlink()]
    home = Path(building.environ["HOME"])
    written += [p for p in (home / ".docker").rglob("*") if p.is_file()]
    assert [p for p in written if b"s3cr3t" in p.read_bytes()] == []


async def test_registry_refuses_the_login(
    building: Building, engine: DockerEngine, shop: Registry
) -> None:
    engine.try_docker("image", "rm", "--force", f"{shop.address}/team/base:1")
    building.environ["TURNOUT_REGISTRY_PASSWORD"] = "wrong"
    text = await failure(building, private(shop))
    assert "registry refuses the login" in text
    assert "wrong" not in building.log


async def test_registry_has_no_such_image(building: Building, shop: Registry) -> None:
    building.environ["TURNOUT_REGISTRY_PASSWORD"] = "pa$$ \"'s3cr3t"
    text = await failure(building, private(shop, image="team/other:1"))
    assert "The registry has no such image" in text


# -- system packages -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def debian(docker: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image whose apt-get works."""
    archive = tmp_path_factory.mktemp("apt") / "apt.tar"
    try:
        dockerd.make_base(archive, ["python3", "python3-distutils"], "apt")
    except dockerd.Unavailable as e:
        missing(e)
    return docker.import_image(archive, "debian:1")


async def test_system_packages_are_a_layer_of_their_own(
    building: Building, engine: DockerEngine, debian: str
) -> None:
    more = {"image": debian, "system_packages": ("hello",)}
    made = await building.ensure(recipe("greeting", **more))
    assert engine.docker("run", "--rm", image_of(made), "hello") == "Hello, world!"
    assert "Installing the system package hello" in building.said
    # Another list of packages: the system packages are there already.
    said, log = len(building.said), len(building.log)
    other = await building.ensure(recipe(**more))
    assert image_of(other) != image_of(made)
    assert "is there already" in building.log[log:]
    assert not any("system package" in text for text in building.said[said:])


async def test_system_package_that_does_not_exist(building: Building, debian: str) -> None:
    text = await failure(building, recipe(image=debian, system_packages=("no-such-thing",)))
    assert text.startswith("The base image's Debian has no package 'no-such-thing'.")
    text = await failure(building, recipe(image=debian, system_packages=("hello=99",)))
    assert "hello" in text
    assert "99" in text


# -- faults --------------------------------------------------------------------------------------


@pytest.fixture
def slow(building: Building, wheels: Path) -> Building:
    """With a package, `slow`, whose build never ends."""
    source = wheels.parent / "slow-1.0"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "backend.py").write_text("import time\ntime.sleep(1000)\n")
    with tarfile.open(wheels / "slow-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, "slow-1.0")
    return building


def building_containers(engine: DockerEngine, *options: str) -> list[str]:
    return [n for n in engine.containers(*options) if n.startswith("turnout-build-")]


async def end_build(building: Building, engine: DockerEngine, number: signal.Signals) -> None:
    """Send the build a signal while it works in a container."""

    def end(process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 60
        while not building_containers(engine):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)

    building.started = end
    with pytest.raises(PrepareError):
        await building.ensure(recipe("slow"))
    building.started = lambda process: None

    async def is_gone() -> bool:
        return not building_containers(engine)

    await until(is_gone, "the container of the build ends")


async def test_build_that_is_killed_takes_its_container_along(
    slow: Building, engine: DockerEngine
) -> None:
    await end_build(slow, engine, signal.SIGKILL)
    for name in building_containers(engine, "--all"):
        engine.docker("rm", name)  # a later build does it, after a day
    made = await slow.ensure(recipe("greeting"))
    assert python_in(engine, made, "import greeting") == ""


async def test_build_that_is_stopped_leaves_nothing(slow: Building, engine: DockerEngine) -> None:
    await end_build(slow, engine, signal.SIGTERM)
    assert building_containers(engine, "--all") == []


# -- conda lists ---------------------------------------------------------------------------------


@pytest.fixture
def shelf(tmp_path: Path, conda_root: Path) -> str:
    """A channel whose Python is the one of the image, in a place of its own."""
    assert conda_root  # Skipped where the solver cannot be had.
    links = {f"bin/{name}": "/usr/bin/python3.11" for name in ("python", "python3", "python3.11")}
    settings = {"pyvenv.cfg": "home = /usr/bin\nversion = 3.11.2\n"}
    module = {"site-packages/toy/__init__.py": "VERSION = '1.2'\n"}
    made = CondaChannel(tmp_path / "shelf")
    made.add(Package("python", "3.11.2", "0_cpython", files=settings, links=links))
    made.add(Package("toy", "1.2", depends=("python >=3.8",), noarch="python", files=module))
    made.write()
    return made.address


async def test_conda_list_in_a_container(tmp_path: Path, engine: DockerEngine, shelf: str) -> None:
    """Solved for the image and installed there; the solver comes from the package index."""
    building = Building(tmp_path / "host", {**os.environ, "DOCKER_HOST": engine.host})
    container = ContainerSpec(image=IMAGE)
    spec = EnvironmentSpec(conda=("toy>=1.1",), channels=(shelf,), container=container)
    made = await building.ensure(registry.recipe(spec, EnvironmentSettings(conda="conda")))
    code = "import os, sys, toy; print(toy.VERSION, sys.prefix, os.environ['CONDA_PREFIX'])"
    told = engine.docker(
        *("run", "--rm", "--network", "none", "--entrypoint", made.launcher[-1]),
        *("--env", f"CONDA_PREFIX={made.env['CONDA_PREFIX']}"),
        *(image_of(made), *made.argv_prefix, "-c", code),
    )
    place = "/opt/turnout/environment"
    assert told == f"1.2 {place} {place}"
