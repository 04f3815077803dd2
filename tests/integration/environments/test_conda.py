"""Conda lists carried out by the real solver; the channel has a real Python and a real NumPy."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conda_steps import Failed, Steps, run

from turnout.testing.conda_channel import CondaChannel, Package, copy, own_subdir, serve
from turnout.testing.missing import missing

PYTHON = platform.python_version()
SHORT = ".".join(PYTHON.split(".")[:2])


def wheel(folder: Path, name: str, version: str, needs: tuple[str, ...] = ()) -> None:
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        info = f"{name}-{version}.dist-info"
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {need}" for need in needs]
        archive.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/RECORD,,\n")


def why(steps: Steps, *conda: str, **more: object) -> str:
    """What a person reads of a list that cannot be made."""
    with pytest.raises(Failed) as caught:
        steps.make(steps.recipe(*conda, **more))  # type: ignore[arg-type]
    text = str(caught.value)
    assert len(text.splitlines()) <= 20, text
    assert "Traceback" not in text
    return text


# -- what is made ------------------------------------------------------------------------------


def test_a_list_is_solved_and_installed(steps: Steps, channel: CondaChannel) -> None:
    recipe = steps.recipe("numpy", "toy>=1.1", channels=[channel.address], python=SHORT)
    files = steps.lock(recipe)
    lock = json.loads((files / "lock").read_text())
    names = [p["name"] for p in lock["packages"]]
    assert names == sorted(names) == ["blas", "numpy", "python", "toy"]
    assert all(len(p["sha256"]) == 64 and p["url"].startswith("file://") for p in lock["packages"])
    prefix = steps.build(recipe, files)
    code = "import numpy, toy, sys, os; print(numpy.arange(4).sum(), toy.VERSION, sys.prefix);"
    code += "print(os.path.exists(toy.__cached__), os.path.exists(numpy.__cached__))"
    assert run(prefix, recipe, "-B", "-c", code).split() == [
        *("6", "1.2", str(prefix)),
        *("True", "True"),
    ]
    assert subprocess.check_output([prefix / "bin" / "toy"], text=True) == "toy 1.2\n"
    assert steps.notes == []
    assert any(s.startswith("Reading the channel lab") for s in steps.status)


def test_the_same_list_comes_to_the_same_lock(steps: Steps, channel: CondaChannel) -> None:
    one = steps.recipe("toy", "numpy", channels=[channel.address])
    two = steps.recipe("numpy", "toy", channels=[channel.address])
    assert one.key == two.key
    assert (steps.lock(one) / "lock").read_bytes() == (steps.lock(two) / "lock").read_bytes()


def test_a_list_without_a_python_gets_one(steps: Steps, channel: CondaChannel) -> None:
    recipe = steps.recipe("blas", channels=[channel.address])
    version = run(
        steps.make(recipe), recipe, "-c", "import platform as p; print(p.python_version())"
    )
    assert version == PYTHON


def test_builds_and_channels_are_chosen(
    steps: Steps, channel: CondaChannel, tmp_path: Path
) -> None:
    other = CondaChannel(tmp_path / "other")
    other.add(Package("toy", "0.9", noarch="generic"))
    other.write()
    at = {"channels": [channel.address], "addresses": {"mine": other.address}}
    for line in ("mine::toy", f"{other.address}::toy", f"toy[channel='{other.address}']"):
        files = steps.lock(steps.recipe("blas=*=mkl", line, **at))  # type: ignore[arg-type]
        locked = {p["name"]: p for p in json.loads((files / "lock").read_text())["packages"]}
        assert locked["blas"]["build"] == "mkl"
        assert locked["toy"]["version"] == "0.9"
    # It has nothing for this machine, only for all. Without its name the first channel counts.
    shutil.rmtree(other.folder / own_subdir())
    files = steps.lock(steps.recipe("toy", channels=[channel.address, other.address]))
    assert '"version": "1.2"' in (files / "lock").read_text()


def test_a_channel_over_http(fresh_steps: Callable[[], Steps], channel: CondaChannel) -> None:
    steps = fresh_steps()
    with serve(channel.folder) as address:
        recipe = steps.recipe("toy=1.1", channels=[], addresses={"conda-forge": address})
        prefix = steps.make(recipe)
    assert run(prefix, recipe, "-c", "import toy; print(toy.VERSION)") == "1.1"
    assert any(s.startswith("Downloading 1 of 2 packages") for s in steps.status), steps.status
    assert steps.status[-1].startswith(("Linking 2 of 2", "Compiling"))


def test_a_channel_with_a_login_that_the_target_keeps(
    steps: Steps, channel: CondaChannel, tmp_path: Path
) -> None:
    with serve(channel.folder, login="ann:sesame") as address:
        text = why(steps, "toy", channels=[address], conda="conda")
        assert "it answers 401" in text
        netrc = tmp_path / "person" / ".netrc"
        netrc.parent.mkdir()
        netrc.write_text("machine 127.0.0.1 login ann password sesame\n")
        netrc.chmod(0o600)
        recipe = steps.recipe("toy", channels=[address])
        files = steps.lock(recipe)
    assert "sesame" not in (files / "lock").read_text() + steps.log


def test_a_channel_with_a_certificate_that_the_target_trusts(
    steps: Steps, channel: CondaChannel, tmp_path: Path
) -> None:
    authority, server = certificates(tmp_path)
    with serve(channel.folder, certificate=server) as address:
        text = why(steps, "toy", channels=[address], conda="conda")
        assert "CERTIFICATE_VERIFY_FAILED" in text
        # As pip is told.
        steps.environ = {**steps.environ, "PIP_CERT": str(authority)}
        steps.lock(steps.recipe("toy", channels=[address], conda="conda"))


def certificates(folder: Path) -> tuple[Path, Path]:
    """(an authority, a certificate of 127.0.0.1 from it with its key), as PEM files."""
    authority, server = folder / "authority.pem", folder / "server.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    own = ["-keyout", f"{authority}.key", "-out", str(authority)]
    openssl("req", "-x509", *curve, "-subj", "/CN=authority", "-days", "2", *own)
    ask = ["-keyout", str(server), "-out", f"{server}.csr"]
    openssl("req", *curve, "-subj", "/CN=lab", *ask)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:false\n")
    by = ["-CA", str(authority), "-CAkey", f"{authority}.key", "-CAcreateserial"]
    names = ["-extfile", str(folder / "names"), "-out", f"{server}.crt"]
    openssl("x509", "-req", "-in", f"{server}.csr", "-days", "2", *by, *names)
    server.write_text(server.read_text() + Path(f"{server}.crt").read_text())
    return authority, server


def openssl(*words: str) -> None:
    if shutil.which("openssl") is None and os.environ.get("CI") != "true":
        missing("openssl is not installed (Debian: openssl)")
    done = subprocess.run(["openssl", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_packages_set_at_activation_is_there(steps: Steps, channel: CondaChannel) -> None:
    recipe = steps.recipe("settings", channels=[channel.address])
    prefix = steps.make(recipe)
    code = "import os; print(os.environ['SETTINGS_HOME'], os.environ['SETTINGS_WORD'])"
    assert run(prefix, recipe, "-c", code) == f"{prefix}/share it's here"
    assert (prefix / "share" / "place.txt").read_text() == f"{prefix}/share\n"
    assert (prefix / "share" / "linked.txt").read_text() == "settings\n"


# -- the pip part ------------------------------------------------------------------------------


def test_the_pip_part_stands_on_the_conda_part(
    steps: Steps, channel: CondaChannel, tmp_path: Path
) -> None:
    # An index has a newer toy; what conda provides stays.
    wheel(tmp_path / "wheels", "toy", "9.9")
    wheel(tmp_path / "wheels", "greeting", "1.0", needs=("toy>=1.1", "numpy"))
    recipe = steps.recipe(
        *("numpy", "toy=1.1"), channels=[channel.address], pip=["greeting", "azureml-defaults"]
    )
    files = steps.lock(recipe)
    lock = json.loads((files / "lock").read_text())
    assert lock["pip"].startswith("greeting==1.0 \\\n    --hash=sha256:")
    assert "toy" not in lock["pip"]
    assert "numpy" not in lock["pip"]
    prefix = steps.build(recipe, files)
    code = "import toy, greeting, os; print(toy.VERSION, greeting.VERSION, "
    code += "os.path.exists(greeting.__cached__))"
    assert run(prefix, recipe, "-B", "-c", code) == "1.1 1.0 True"
    assert "azureml-defaults" in steps.log
    assert steps.notes == []


def test_a_pip_package_that_conda_contradicts(
    steps: Steps, channel: CondaChannel, tmp_path: Path
) -> None:
    wheel(tmp_path / "wheels", "toy", "9.9")
    wheel(tmp_path / "wheels", "greeting", "1.0", needs=("toy>=2",))
    at = {"channels": [channel.address], "pins": "exact"}
    text = why(steps, "toy=1.1", pip=["Greeting"], **at)
    assert "'Greeting'" in text
    assert "From the conda part: toy 1.1" in text
    assert "stubs" not in text
    assert "'toy==9.9'" in why(steps, "toy=1.1", pip=["toy==9.9"], **at)


def test_a_pip_package_that_does_not_exist(steps: Steps, channel: CondaChannel) -> None:
    text = why(steps, "toy", pip=["nosuchpackage==3"], channels=[channel.address])
    assert "'nosuchpackage==3'" in text


def test_a_pip_pin_gives_way(steps: Steps, channel: CondaChannel, tmp_path: Path) -> None:
    for version in ("1.5", "2.0"):
        wheel(tmp_path / "wheels", "greeting", version, needs=("toy",))
    recipe = steps.recipe("toy", channels=[channel.address], pip=["greeting==1.2"])
    lock = json.loads((steps.lock(recipe) / "lock").read_text())
    assert lock["pip"].startswith("greeting==1.5")
    (note,) = steps.notes
    assert "'greeting==1.2'" in note
    assert "greeting==1.5" in note


# -- pins that cannot be had -------------------------------------------------------------------


def test_an_old_python_and_an_old_pin_give_way(steps: Steps, channel: CondaChannel) -> None:
    recipe = steps.recipe("old=0.20", "toy=1.2", channels=[channel.address], python="3.6.15")
    locked = {
        p["name"]: p["version"]
        for p in json.loads((steps.lock(recipe) / "lock").read_text())["packages"]
    }
    # The nearest series, and the last of it.
    assert locked == {"python": PYTHON, "old": "0.23.2", "toy": "1.2"}
    first, second = sorted(steps.notes)
    assert first.startswith(f"'old=0.20' cannot be had for Python {PYTHON}. old 0.23.2 is")
    assert second.startswith("'python=3.6.15' is too old: Turnout needs 3.8 or later. python 3.")


def test_exact_pins_do_not_give_way(steps: Steps, channel: CondaChannel) -> None:
    text = why(steps, "old=0.20", "toy", channels=[channel.address], pins="exact", python=SHORT)
    assert text.startswith(
        f"'old=0.20' is in the channel, but cannot be had with 'python={SHORT}'"
    )
    assert "there is old 1.0, 0.23.2, 0.23.0, 0.20.3." in text
    assert "python >=3.6,<3.8" in text
    assert steps.notes == []


def test_a_pin_with_nothing_newer_fails_by_its_name(steps: Steps, channel: CondaChannel) -> None:
    text = why(steps, "toy==7.1", "numpy", channels=[channel.address])
    assert text.startswith("'toy==7.1' does not exist, nor anything newer. In lab (file:///")
    assert "1.2, 1.1, 1.0" in text
    assert "'toy>=7' fits no version" in why(steps, "toy>=7", channels=[channel.address])
    text = why(steps, "toy", channels=[channel.address], python="3.99")
    assert text.startswith("'python=3.99' cannot be had")
    assert PYTHON in text


# -- what fails --------------------------------------------------------------------------------


def test_a_package_that_does_not_exist(steps: Steps, channel: CondaChannel) -> None:
    text = why(steps, "Nunpy>=1", "toy", channels=[channel.address])
    assert text.startswith("'Nunpy>=1': there is no package 'nunpy' in lab (file:///")
    assert "Did you mean 'numpy'?" in text


def test_packages_that_contradict_each_other(steps: Steps, channel: CondaChannel) -> None:
    text = why(steps, "needs-old-toy", "toy=1.2", channels=[channel.address])
    assert "cannot be installed together ('needs-old-toy' and 'toy=1.2')" in text
    assert "needs-old-toy" in text
    assert "toy <1.1" in text


def test_a_channel_that_cannot_be_reached(steps: Steps, tmp_path: Path) -> None:
    text = why(steps, "toy", channels=["http://127.0.0.1:9/lab"], conda="conda")
    assert "http://127.0.0.1:9/lab cannot be reached" in text
    assert "Connection refused" in text
    text = why(steps, "toy", channels=[str(tmp_path / "none")], conda="conda")
    assert f"there is no folder {tmp_path}/none" in text
    # One of two: what it has cannot be left out silently.
    (tmp_path / "empty").mkdir()
    text = why(steps, "toy", channels=[str(tmp_path / "empty"), str(tmp_path / "none")])
    assert "there is no folder" in text
    text = why(steps, "toy", channels=[str(tmp_path / "empty")])
    assert "The channel empty (file:///" in text
    assert "No such file or directory" in text


def test_a_damaged_package(
    fresh_steps: Callable[[], Steps], channel: CondaChannel, tmp_path: Path
) -> None:
    steps, bad = fresh_steps(), copy(channel, tmp_path / "bad")
    package = bad / "noarch" / "toy-1.2-py_0.tar.bz2"
    whole = package.read_bytes()
    package.write_bytes(whole[:100] + bytes([whole[100] ^ 255]) + whole[101:])
    text = why(steps, "toy", channels=[str(bad)])
    assert "toy 1.2" in text
    assert package.as_uri() in text
    # Whole, but another one than the index says.
    shutil.copy(bad / "noarch" / "toy-1.1-py_0.tar.bz2", package)
    with serve(bad) as address:
        for place in (address, str(bad)):
            text = why(steps, "toy", channels=[place])
            assert "toy 1.2" in text
            assert "its content is not what the channel's index says" in text
    # Put right, it works: nothing of it was kept.
    package.write_bytes(whole)
    recipe = steps.recipe("toy", channels=[str(bad)])
    assert run(steps.make(recipe), recipe, "-c", "import toy; print(toy.VERSION)") == "1.2"


# -- PyPI instead ------------------------------------------------------------------------------


def test_pypi_stands_in_for_a_channel_that_cannot_be_reached(steps: Steps, tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "torch", "2.1")
    wheel(tmp_path / "wheels", "greeting", "1.5")
    recipe = steps.recipe(
        *("pytorch-cpu>=2", "greeting=1.5=py_0", "blas=*=openblas", "python"),
        channels=["http://127.0.0.1:9/lab"],
    )
    prefix = steps.make(recipe)
    code = "import torch, greeting; print(torch.VERSION, greeting.VERSION)"
    assert run(prefix, recipe, "-c", code) == "2.1 1.5"
    first, *others = steps.notes
    assert "http://127.0.0.1:9/lab cannot be reached from the target (Connection refused)" in first
    assert sorted(others) == [
        "'blas=*=openblas' is left out: PyPI's packages bring their own.",
        "'greeting=1.5=py_0': PyPI has no builds to choose from, so 'py_0' is left out.",
        "'pytorch-cpu>=2' is installed from PyPI as torch>=2.",
    ]


def test_pypi_by_setting(steps: Steps, channel: CondaChannel, tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "toy", "9.9")
    recipe = steps.recipe("toy", channels=[channel.address], conda="pypi")
    assert run(steps.make(recipe), recipe, "-c", "import toy; print(toy.VERSION)") == "9.9"
    assert steps.notes == []


def test_what_pypi_does_not_have_fails_by_its_name(steps: Steps, tmp_path: Path) -> None:
    text = why(steps, "ffmpeg=4", "r-base", channels=[str(tmp_path / "none")])
    assert "'ffmpeg=4' is a conda package that PyPI does not have" in text
    assert "'r-base' is" in text
    assert "there is no folder" in text
    text = why(steps, "nosuchpackage", channels=[str(tmp_path / "none")])
    assert "nosuchpackage was not found" in text
    assert "there is no folder" in text


# -- the solver itself -------------------------------------------------------------------------


def test_a_host_without_the_solver_and_without_an_index(
    tmp_path: Path, environ: dict[str, str], uv: Path, channel: CondaChannel
) -> None:
    steps = Steps(tmp_path / "bare", environ, uv)
    text = why(steps, "toy", channels=[channel.address], conda="conda")
    assert "py-rattler==0.28.*" in text
    assert not (tmp_path / "bare" / "tools" / "rattler-0.28").exists()
    wheel(tmp_path / "wheels", "toy", "9.9")
    recipe = steps.recipe("toy", channels=[channel.address])
    assert run(steps.make(recipe), recipe, "-c", "import toy; print(toy.VERSION)") == "9.9"
    assert "py-rattler" in steps.notes[0]


def test_nothing_is_written_to_the_persons_home(
    steps: Steps, channel: CondaChannel, tmp_path: Path
) -> None:
    steps.make(steps.recipe("toy", channels=[channel.address]))
    home = tmp_path / "person"
    assert not home.exists() or not [p for p in home.rglob("*") if "rattler" in str(p)]
