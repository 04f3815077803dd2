"""Conda names on PyPI."""

from __future__ import annotations

import re
from typing import Any

import pytest

from turnout.environments.conda_list import parse
from turnout.payload.builds import conda_names
from turnout.payload.builds.conda_names import Mapped, pypi_names, to_pip


def mapped(*lines: str) -> Mapped:
    def as_request(line: str) -> dict[str, Any]:
        p = parse(line)
        return {"text": p.text, "name": p.name, "version": p.version, "build": p.build}

    return to_pip([as_request(line) for line in lines])


@pytest.mark.parametrize(
    ("line", "requirement"),
    [
        ("numpy", "numpy"),
        ("numpy=1.5", "numpy==1.5.*"),
        ("numpy==1.5", "numpy==1.5"),
        ("numpy=1.5.*", "numpy==1.5.*"),
        ("numpy>=1,<3", "numpy<3,>=1"),
        ("numpy~=1.2", "numpy~=1.2"),
        ("numpy!=1.3.*", "numpy!=1.3.*"),
        ("numpy=1.5|==1.7", "numpy==1.7"),
        ("conda-forge::numpy", "numpy"),
        ("ruamel.yaml", "ruamel-yaml"),
        ("typing_extensions", "typing-extensions"),
        ("pytorch=2.1", "torch==2.1.*"),
        ("pytorch-cpu", "torch"),
        ("py-xgboost>=2", "xgboost>=2"),
        ("opencv", "opencv-python-headless"),
        ("tensorflow-gpu==2.4.0", "tensorflow==2.4.0"),
        ("msgpack-python", "msgpack"),
        ("dask-core", "dask"),
        ("matplotlib-base=3.8", "matplotlib==3.8.*"),
        ("python-graphviz", "graphviz"),
        ("pytables", "tables"),
        ("pyqt", "pyqt5"),
        ("setuptools", "setuptools"),
        ("wheel", "wheel"),
    ],
)
def test_requirements(line: str, requirement: str) -> None:
    assert mapped(line).pip == [requirement]


def test_every_substitution_and_dropped_build_is_noted() -> None:
    found = mapped("pytorch=2.1=cpu_0", "numpy=1.26", "blas=*=openblas", "cudatoolkit=11", "pip")
    assert found.pip == ["torch==2.1", "numpy==1.26.*"]
    text = "\n".join(found.notes)
    assert "'pytorch=2.1=cpu_0' is installed from PyPI as torch==2.1." in text
    assert "so 'cpu_0' is left out" in text
    assert "'blas=*=openblas' is left out: " in text
    assert "'cudatoolkit=11' is left out: " in text
    assert "'pip'" not in text  # in every list, and missed by nobody
    assert "numpy" not in text.replace("PyPI's numpy", "")
    assert found.impossible == []


def test_a_list_exported_by_conda_loses_its_libraries() -> None:
    found = mapped(
        *("libuuid=2.38.1=h0b41bf4_0", "openssl=1.1.1=h7b6447c_0", "xz=5.2.5=h7b6447c_0"),
        *("xorg-libx11=1.8", "vs2015_runtime=14.27", "dataclasses=0.8", "librosa=0.9", "libcst"),
    )
    assert found.pip == ["librosa==0.9.*", "libcst"]
    assert len(found.notes) == 6
    assert found.impossible == []


def test_what_pypi_lacks_is_named_with_what_to_do() -> None:
    found = mapped("r-base=4", "gcc_linux-64", "openmpi", "ffmpeg", "graphviz", "numpy")
    assert [text for text, _ in found.impossible] == [
        *("r-base=4", "gcc_linux-64", "openmpi", "ffmpeg", "graphviz"),
    ]
    assert all(why.endswith(".") and len(why) > 30 for _, why in found.impossible)
    assert "apt install ffmpeg" in dict(found.impossible)["ffmpeg"]
    assert "python-graphviz" in dict(found.impossible)["graphviz"]


@pytest.mark.parametrize(
    ("line", "python"),
    [
        ("python=3.11", "3.11"),
        ("python==3.6.2", "3.6.2"),
        ("python>=3.9,<3.12", "<3.12,>=3.9"),
        ("python", None),
    ],
)
def test_the_python_of_a_list(line: str, python: str | None) -> None:
    assert mapped(line, "numpy").python == python


def test_a_package_asked_for_twice_comes_once() -> None:
    assert mapped("opencv", "py-opencv").pip == ["opencv-python-headless"]


def test_collections_have_no_version() -> None:
    found = mapped("anaconda=2019.3")
    assert "numpy" in found.pip
    assert "==" not in "".join(found.pip)


def test_the_tables_are_in_one_form_and_do_not_overlap() -> None:
    def form(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name)

    names = [*conda_names.RENAMED, *conda_names.LEFT_OUT, *conda_names.NOT_THERE]
    assert [n for n in names if n != n.lower()] == []
    assert len(set(names)) == len(names)
    assert [n for n, p in conda_names.RENAMED.items() if form(n) == form(p)] == []
    assert pypi_names("NumPy") == ("numpy",)
