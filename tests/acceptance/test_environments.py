"""Environments as a person meets them: lists, files, names, what is built, what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout.testing.conda_channel import CondaChannel, Package, add_python, serve
from turnout.testing.missing import missing
from turnout.testing.sshd import SSHServer, Unavailable
from turnout.testing.wheels import add_wheel

SAY = "import greeting\nprint(greeting.WORD)\n"


@pytest.fixture
def wheels(tmp_path: Path) -> str:
    """A line for a requirements file: where `greeting` 1.0 and 1.5 are."""
    for version, word in (("1.0", "hello"), ("1.5", "good day")):
        add_wheel(tmp_path / "wheels", "greeting", version, f"WORD = {word!r}\n")
    return f"--find-links {tmp_path / 'wheels'}\n"


def rows(shell: Any) -> list[dict[str, Any]]:
    return json.loads(shell.run("environments", "list", "--target", "local", "--json")[0])


def test_an_environment_is_prepared_ahead_used_listed_and_pruned(shell: Any, wheels: str) -> None:
    shell.write("train.py", SAY)
    shell.write("req.txt", wheels + "greeting==1.0\n")
    out, _ = shell.run("environments", "build", "-r", "req.txt")
    assert out.startswith("The environment is ready on local")
    row = next(r for r in rows(shell) if r["label"] == "greeting==1.0")
    assert (row["kind"], row["ready"], row["in_use"]) == ("pip", True, False)
    shown, _ = shell.run("environments", "show", "--target", "local", row["key"][:8])
    assert row["key"] in shown
    out, _ = shell.run("submit", "-r", "req.txt", "train.py")
    assert out == "hello\n"
    lock, _ = shell.run("run", "logs", "--name", "environment_lock")
    assert json.loads(lock)["requirements"] == ["greeting==1.0"]
    would, _ = shell.run("environments", "prune", row["key"][:8], "--dry-run")
    assert "1 would be removed" in would
    assert row["key"] in [r["key"] for r in rows(shell)]
    shell.run("environments", "prune", row["key"][:8])
    assert row["key"] not in [r["key"] for r in rows(shell)]
    # And it is made again when it is needed.
    assert shell.run("submit", "-r", "req.txt", "train.py")[0] == "hello\n"


def test_a_version_that_cannot_be_had_gives_way_with_a_warning(shell: Any, wheels: str) -> None:
    shell.write("train.py", SAY)
    shell.write("req.txt", wheels + "greeting==1.2\n")
    out, err = shell.run("submit", "-r", "req.txt", "train.py")
    assert out == "good day\n"
    assert "warning: 'greeting==1.2' cannot be had" in err
    view = json.loads(shell.run("run", "show", "latest", "--json")[0])
    assert "greeting==1.5, the nearest newer" in view["warnings"][0]
    shell.run("config", "environments.pins", "exact")
    try:
        _, err = shell.run("submit", "-r", "req.txt", "train.py", code=1)
        assert "'greeting==1.2' stands in req.txt, line 2." in err
        assert "Traceback" not in err
    finally:
        shell.run("config", "unset", "environments.pins")


def test_a_failure_names_package_constraint_and_line(shell: Any, wheels: str) -> None:
    shell.write("train.py", SAY)
    shell.write("env.yml", "dependencies:\n  - pip:\n    - greeting>=3,<4\n    - idna\n")
    _, err = shell.run("submit", "-f", "env.yml", "train.py", code=1)
    lines = err.splitlines()
    assert any("greeting" in line and ">=3,<4" in line for line in lines)
    assert "'greeting>=3,<4' stands in env.yml, line 3." in lines
    # One screen.
    assert len(lines) < 25
    log, _ = shell.run("run", "logs", "--name", "image_build")
    assert "greeting" in log


def test_a_named_environment_and_its_versions(shell: Any, wheels: str) -> None:
    shell.write("train.py", SAY)
    shell.write("one.txt", wheels + "greeting==1.0\n")
    shell.write("two.txt", wheels + "greeting==1.5\n")
    assert "hail:1" in shell.run("environments", "register", "hail", "-r", "one.txt")[0]
    assert "hail:1" in shell.run("environments", "register", "hail", "-r", "one.txt")[0]
    assert "hail:2" in shell.run("environments", "register", "hail", "-r", "two.txt")[0]
    assert shell.run("submit", "--environment", "hail", "train.py")[0] == "good day\n"
    assert shell.run("submit", "--environment", "hail:1", "train.py")[0] == "hello\n"
    listed, _ = shell.run("environments", "list")
    assert "hail" in listed
    assert "scikit-learn" in listed
    assert "did you mean 'hail'" in shell.fails("submit", "--environment", "hall", "train.py")


def test_an_old_script_runs_and_says_what_came_back(shell: Any) -> None:
    shell.write("train.py", "import time\nprint(time.clock() >= 0)\n")
    out, _ = shell.run("submit", "train.py")
    assert "True\n" in out
    assert "[turnout]" in out
    out, _ = shell.run("submit", "--no-eras", "train.py", code=1)
    assert "AttributeError" in out


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a conda channel, over HTTP: a real Python, and `toy` 1.0 and 1.1."""
    made = CondaChannel(tmp_path_factory.mktemp("channel"))
    add_python(made)
    for version in ("1.0", "1.1"):
        code = f"WORD = 'toy {version}'\n"
        site = {"site-packages/greeting.py": code}
        made.add(Package("toy", version, noarch="python", depends=("python",), files=site))
    made.write()
    with serve(made.folder) as address:
        yield address


CONDA = """\
name: project_environment
channels:
  - lab-forge
dependencies:
  - toy=1.0
  - pip:
    - azureml-defaults
"""


@pytest.fixture
def lab(shell: Any, tmp_path: Path) -> Iterator[str]:
    """An SSH target of this test's own user, who may read the Python that the channel is made
    of."""
    try:
        with SSHServer() as server:
            shell.run(
                *("target", "attach", "ssh", "lab", "--address", server.address, "--yes"),
                *("--port", str(server.port), "--username", server.username),
                *("--private-key-file", str(server.user_key)),
                *("--folder", str(tmp_path / "lab")),
            )
            yield "lab"
            shell.run("target", "detach", "lab")
    except Unavailable as e:
        missing(e)


@pytest.mark.parametrize("where", ["local", pytest.param("lab", marks=pytest.mark.ssh)])
def test_a_conda_file_here_and_over_ssh(
    shell: Any, channel: str, where: str, request: pytest.FixtureRequest
) -> None:
    """No conda program anywhere: the list is solved and installed on the target."""
    if where == "lab":
        request.getfixturevalue("lab")
    shell.run("config", "environments.channel.lab-forge", "=", channel)
    shell.write(
        "train.py", SAY + "import os, sys\nprint(sys.prefix == os.environ['CONDA_PREFIX'])\n"
    )
    shell.write("env.yml", CONDA)
    out, err = shell.run("submit", "--target", where, "--conda", "env.yml", "train.py")
    assert out == "toy 1.0\nTrue\n"
    assert "warning" not in err
    lock = json.loads(shell.run("run", "logs", "--name", "environment_lock")[0])
    assert lock["kind"] == "conda"
    (toy,) = [p for p in lock["packages"] if p["name"] == "toy"]
    assert (toy["version"], len(toy["sha256"])) == ("1.0", 64)
    shell.write("env.yml", CONDA.replace("toy=1.0", "toy>=3"))
    _, err = shell.run("submit", "--target", where, "--conda", "env.yml", "train.py", code=1)
    assert "'toy>=3' stands in env.yml, line 5." in err
    assert "1.1" in err  # what there is


def test_bad_input_is_refused_before_anything_is_sent(shell: Any) -> None:
    shell.write("train.py", SAY)
    shell.write("bad.yml", "dependencies:\n  - numpy==\n  - pip:\n    - -e .\n")
    err = shell.fails("submit", "-f", "bad.yml", "train.py")
    assert "bad.yml, line" in err
    err = shell.fails("submit", "--conda-package", "bad spec ===", "train.py")
    assert "bad spec ===" in err
    err = shell.fails("submit", "--docker", "no such image!", "train.py")
    assert "no such image!" in err
    err = shell.fails("submit", "--memory", "4g", "train.py")
    assert "--docker" in err
    err = shell.fails("config", "environments.conda", "sometimes")
    assert "one of auto, conda, pypi" in err
