"""The era shim in a process of one's own: put there once, and only where it is wanted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

LIBRARIES = {
    "numpy/__init__.py": "__version__ = '2.4'\n",
    "sklearn/__init__.py": "__version__ = '1.9'\n",
    "sklearn/externals/__init__.py": "",
    "joblib/__init__.py": "def dump(): pass\n",
    "IPython/__init__.py": "__version__ = '9.0'\n",
    "IPython/core/__init__.py": "",
    "IPython/core/display.py": "",
    "IPython/display.py": "def display(): pass\n",
}


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    for name, text in LIBRARIES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def run(libraries: Path, code: str, **more: str) -> tuple[str, str]:
    """(what it printed, what it said on stderr)"""
    hidden = ("TURNOUT_", "PYTHONPATH")
    env = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", dedent(code)], cwd=libraries,
        env={**env, **more}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


FINDERS = """
import sys
from turnout.payload import kernel_eras
kernel_eras.install()
kernel_eras.install()
print(sum(hasattr(f, "turnout_eras") for f in sys.meta_path))
"""


def test_it_is_put_there_once(libraries: Path) -> None:
    assert run(libraries, FINDERS) == ("2", "")


@pytest.mark.parametrize("value", ["0", "false", "No", "off"])
def test_it_can_be_switched_off(libraries: Path, value: str) -> None:
    assert run(libraries, FINDERS, TURNOUT_ERAS=value) == ("0", "")


def test_a_run_has_its_own_or_none(libraries: Path) -> None:
    assert run(libraries, FINDERS, TURNOUT_RUN_FOLDER=str(libraries)) == ("0", "")


def test_names_come_back_whatever_was_imported_before(libraries: Path) -> None:
    code = """
    import IPython.core.display, numpy, sklearn
    from turnout.payload import kernel_eras
    kernel_eras.install()
    from sklearn.externals import joblib
    from IPython.core.display import display
    print(numpy.float, joblib.dump.__name__, display.__name__)
    numpy.float
    """
    out, said = run(libraries, code)
    assert out == "<class 'float'> dump display"
    assert said.count("is gone from") == 3
    assert "numpy.float is gone from NumPy 2.4; float stands in for it" in said


def test_the_place_in_a_notebook_is_a_line_of_the_cell(libraries: Path) -> None:
    code = """
    from turnout.payload import kernel_eras
    kernel_eras.install()
    import numpy
    exec(compile("\\n\\nnumpy.float", "/tmp/ipykernel_31/1234.py", "exec"))
    """
    _, said = run(libraries, code)
    assert said.startswith("[turnout] line 3 of the cell: numpy.float is gone")


def test_who_uses_nothing_old_pays_for_nothing(libraries: Path) -> None:
    code = """
    import sys
    from turnout.payload import kernel_eras
    kernel_eras.install()
    import base64, collections, inspect, json
    print([m for m in sys.modules if "revivals" in m or m == "names"])
    shim = next(f for f in sys.meta_path if hasattr(f, "turnout_eras")).shim
    known = {"configparser", "threading", "xml"} & set(sys.modules)
    print(bool(known) or shim.loaded is None)
    """
    assert run(libraries, code) == ("[]\nTrue", "")
