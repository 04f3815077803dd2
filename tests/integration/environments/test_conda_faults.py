"""Builds of conda lists that are killed, or that meet each other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conda_steps import Failed, Steps, run

from turnout.environments.base import Recipe
from turnout.payload.builds import rattler_tool
from turnout.testing.conda_channel import CondaChannel, serve
from turnout.testing.missing import missing
from turnout.testing.waiting import until

Fresh = Callable[[], Steps]


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def works(prefix: Path, recipe: Recipe) -> bool:
    code = "import numpy, toy, encodings.idna; print(numpy.arange(4).sum(), toy.VERSION)"
    return run(prefix, recipe, "-c", code) == "6 1.2"


def counted(prefix: Path) -> int:
    """Files of an environment, without bytecode."""
    return len([p for p in prefix.rglob("*") if p.is_file() and p.suffix != ".pyc"])


@pytest.mark.parametrize("when", ["Downloading", "Linking"])
@pytest.mark.parametrize("victim", ["builder", "solver"])
async def test_killed_while_installing(
    fresh_steps: Fresh, steps: Steps, channel: CondaChannel, when: str, victim: str
) -> None:
    host = fresh_steps()
    found: list[int] = []

    def kill(process: subprocess.Popen[str], word: dict[str, Any]) -> None:
        if word.get("status", "").startswith(when) and not found:
            found.extend(children(process.pid))
            os.kill(process.pid if victim == "builder" else found[0], signal.SIGKILL)

    async def is_gone() -> bool:
        return not is_alive(found[0])

    with serve(channel.folder) as address:
        recipe = host.recipe("numpy", "toy", channels=[address])
        files = host.lock(recipe)
        host.heard = kill
        with pytest.raises(Failed) as caught:
            host.build(recipe, files)
        assert len(found) == 1
        if victim == "solver":
            assert "The conda solver ended unexpectedly (signal 9)" in str(caught.value)
        # Nothing writes on where the next build is at it.
        await until(is_gone, "the solver ends with the build")
        host.heard = lambda process, word: None
        prefix = host.build(recipe, files)
    assert works(prefix, recipe)
    undisturbed = steps.make(steps.recipe("numpy", "toy", channels=[channel.address]))
    assert counted(prefix) == counted(undisturbed)


def test_killed_while_solving(fresh_steps: Fresh, channel: CondaChannel) -> None:
    steps = fresh_steps()
    recipe = steps.recipe("numpy", "toy", channels=[channel.address])

    def kill(process: subprocess.Popen[str], word: dict[str, Any]) -> None:
        if word.get("status", "").startswith("Reading"):
            os.kill(children(process.pid)[0], signal.SIGKILL)

    steps.heard = kill
    with pytest.raises(Failed) as caught:
        steps.lock(recipe)
    assert "The conda solver ended unexpectedly (signal 9)" in str(caught.value)
    steps.heard = lambda process, word: None
    assert works(steps.make(recipe), recipe)


def test_two_at_once_on_one_cache(fresh_steps: Fresh, channel: CondaChannel) -> None:
    steps = fresh_steps()
    recipes = [
        steps.recipe("numpy", "toy", channels=[channel.address]),
        steps.recipe("toy", "numpy", "blas", channels=[channel.address]),
        steps.recipe("numpy", "toy=1.2", channels=[channel.address]),
    ]
    prefixes: dict[int, Path] = {}

    def make(i: int) -> None:
        own = Steps(steps.root, steps.environ, steps.uv)
        files = own.lock(recipes[i])
        prefixes[i] = own.build(recipes[i], files, steps.root / "environments" / str(i))

    threads = [threading.Thread(target=make, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(works(prefixes[i], recipes[i]) for i in range(3))
    one, two, three = (counted(prefixes[i]) for i in range(3))
    assert one == two == three


def test_the_solver_is_installed_whole_or_not(
    tmp_path: Path, conda_root: Path, uv: Path, channel: CondaChannel
) -> None:
    """Leftovers of a killed installation are replaced, and so is one whose Python is gone."""
    root = tmp_path / "host"
    place = root / "tools" / f"rattler-{rattler_tool.RELEASE}"
    half = place.with_name(place.name + ".new")
    (half / "bin").mkdir(parents=True)
    (half / "bin" / "python").write_text("half of a file")
    steps = Steps(root, dict(os.environ), uv)
    recipe = steps.recipe("toy", channels=[channel.address])
    steps.lock(recipe)
    assert not half.exists()
    assert "Installing the conda solver" in steps.status[0]
    said = len(steps.status)
    steps.lock(recipe)
    assert not any("Installing" in s for s in steps.status[said:])
    (place / "bin" / "python").unlink()
    (place / "bin" / "python").symlink_to("/nowhere/python3")
    steps.lock(recipe)
    assert (place / "bin" / "python").exists()


def test_many_at_once_install_one_solver(
    tmp_path: Path, uv: Path, channel: CondaChannel, conda_root: Path
) -> None:
    root = tmp_path / "host"
    all_steps = [Steps(root, dict(os.environ), uv) for _ in range(3)]
    lists = [["toy"], ["toy=1.1"], ["toy=1.0"]]

    def lock(i: int) -> None:
        all_steps[i].lock(all_steps[i].recipe(*lists[i], channels=[channel.address]))

    threads = [threading.Thread(target=lock, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [s for steps in all_steps for s in steps.status if "Installing the conda" in s]
    assert len(made) == 1


def test_a_full_disk_is_named(tmp_path: Path, fresh_steps: Fresh, channel: CondaChannel) -> None:
    steps = fresh_steps()
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(small)]
    if subprocess.run(mount, capture_output=True).returncode:
        missing("this user may not mount a small file system")
    try:
        (small / "cache").mkdir()
        (steps.root / "cache").symlink_to(small / "cache")
        recipe = steps.recipe("toy", channels=[channel.address])
        with pytest.raises(Failed) as caught:
            steps.make(recipe)
        assert str(caught.value).startswith("The disk of the target is full.")
    finally:
        subprocess.run(["umount", str(small)], check=True)
    shutil.rmtree(small)
