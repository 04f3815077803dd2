"""The era shim with little stand-ins of libraries: what it touches, says, and leaves alone."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from turnout.hosts.payload_zip import payload as packed
from turnout.payload import sitecustomize
from turnout.payload.eras import arrays, frames, learning, names, python

OWN = {"arrays": arrays, "frames": frames, "learning": learning, "python": python}
SKLEARN = {"sklearn/__init__": "__version__ = '1.9'", "sklearn/externals/__init__": ""}
Run = Callable[..., tuple[str, str]]


def every_python() -> list[str]:
    """Those of this machine, also some that are too old for the payload."""
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    return sorted(map(str, root.glob("[23].*/bin/python"))) or [sys.executable]


def new_enough(python: str) -> bool:
    check = "import sys; sys.exit(sys.version_info < (3, 8))"
    return not subprocess.run([python, "-c", check], check=False).returncode


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What travels, as it lies on a host."""
    folder = tmp_path_factory.mktemp("payload")
    zipfile.ZipFile(io.BytesIO(packed().data)).extractall(folder)
    return folder


@pytest.fixture
def libraries(tmp_path: Path) -> Callable[..., None]:
    def write(more: dict[str, str] | None = None, **modules: str) -> None:
        for name, text in {**(more or {}), **modules}.items():
            path = tmp_path / "libraries" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))

    return write


@pytest.fixture
def run(tmp_path: Path, payload: Path) -> Run:
    """Run a script with the shim: (stdout, stderr). `failing` expects an exit code of 1."""
    (tmp_path / "run").mkdir()

    def run(text: str, failing: bool = False, **more: str) -> tuple[str, str]:
        (tmp_path / "train.py").write_text(dedent(text))
        path = [more.pop("payload", str(payload)), str(tmp_path / "libraries")]
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(path),
            "TURNOUT_RUN_FOLDER": str(tmp_path / "run"),
        }
        argv = [more.pop("executable", sys.executable), "train.py"]
        done = subprocess.run(
            argv, env={**env, **more}, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == failing, done.stderr
        return done.stdout, done.stderr

    return run


def test_a_gone_name_is_there_and_said_so(libraries: Callable[..., None], run: Run) -> None:
    libraries(numpy="__version__ = '2.4.1'\nprod = max\n")
    out, err = run("""
        import numpy as np
        from numpy import product
        print(np.float, np.float is float, product is max, np.NINF)
    """)
    assert out == "<class 'float'> True True -inf\n"
    lines = err.splitlines()
    assert len(lines) == 3
    assert lines[1] == (
        "[turnout] train.py:4: numpy.float is gone from NumPy 2.4.1; float stands in for it "
        "(turnout's era shim; switch it off with eras=False or TURNOUT_ERAS=0)"
    )
    assert "train.py:3: numpy.product" in lines[0]
    assert "numpy.prod stands in" in lines[0]


def test_what_exists_is_never_touched(libraries: Callable[..., None], run: Run) -> None:
    libraries(
        numpy="""
            float = "theirs"
            def __getattr__(name):
                if name == "int":
                    return "lazy"
                raise AttributeError("no " + name)
        """,
        pandas="""
            class Base:
                def iteritems(self): return "inherited"
            class DataFrame(Base):
                def append(self, x): return x
        """,
        joblib="",
        more={**SKLEARN, "sklearn/externals/joblib": "VENDORED = True"},
    )
    out, err = run("""
        import numpy as np, pandas as pd
        from sklearn.externals import joblib
        print(np.float, np.int, pd.DataFrame().append(3), pd.DataFrame().iteritems())
        print(vars(pd.DataFrame)["append"].__module__, joblib.VENDORED, joblib.__name__)
        print(sorted(n for n in dir(np) if n[0] != "_"), type(np.__spec__.loader).__name__)
    """)
    assert err == ""
    assert out.splitlines() == [
        "theirs lazy 3 inherited",
        "pandas True sklearn.externals.joblib",
        "['float'] SourceFileLoader",
    ]


MISSES = """
    import collections, inspect, numpy, time
    def tell(f, *args):
        try:
            f(*args)
        except Exception as e:
            print(type(e).__name__, e, getattr(e, "name", ""))
    def take(): from numpy import nothing
    for module in numpy, time, collections, inspect:
        tell(getattr, module, "nothing")
        tell(getattr, module, "__nothing__")
    tell(getattr, numpy, "float")
    tell(__import__, "numpy.nothing")
    tell(__import__, "sklearn.externals.joblib")
    tell(__import__, "distutils.nothing")
    tell(take)
"""


def test_errors_are_those_of_the_library(libraries: Callable[..., None], run: Run) -> None:
    libraries(
        numpy="""
            def __getattr__(name):
                raise AttributeError("numpy has words of its own on " + name)
        """,
        more=SKLEARN,
    )
    # There is no joblib, and nothing stands in for it.
    with_shim = run(MISSES.replace('tell(getattr, numpy, "float")', ""))
    assert with_shim == run(MISSES.replace('tell(getattr, numpy, "float")', ""), TURNOUT_ERAS="0")
    assert "words of its own on nothing" in with_shim[0]
    assert "No module named 'sklearn.externals.joblib'" in with_shim[0]


@pytest.mark.parametrize("value", ["0", "false", "OFF", "no"])
def test_it_can_be_switched_off(libraries: Callable[..., None], run: Run, value: str) -> None:
    libraries(numpy="")
    out, err = run("import sys, numpy; print(len(sys.meta_path)); numpy.float", True,
                   TURNOUT_ERAS=value)  # fmt: skip
    assert err.splitlines()[-1] == "AttributeError: module 'numpy' has no attribute 'float'"
    assert run("import sys; print(len(sys.meta_path))")[0] == f"{int(out) + 2}\n"


def test_it_does_nothing_outside_of_a_run(libraries: Callable[..., None], run: Run) -> None:
    libraries(numpy="", sitecustomize="import builtins; builtins.chained = 1")
    script = "import numpy; print(chained); numpy.float"
    out, err = run(script, True, TURNOUT_RUN_FOLDER="")
    assert out == "1\n"
    assert "has no attribute 'float'" in err


def test_an_old_module_is_the_module_of_today(libraries: Callable[..., None], run: Run) -> None:
    libraries({**SKLEARN, "joblib/__init__": "dump = 1", "joblib/numpy_pickle": ""})
    out, err = run("""
        from sklearn.externals import joblib as old
        import joblib, sklearn
        import joblib.numpy_pickle as today
        import sklearn.externals.joblib.numpy_pickle as then
        print(old is joblib, then is today, sklearn.externals.joblib is joblib)
        print(joblib.__name__, joblib.__spec__.name, today.__spec__.name)
    """)
    assert out == "True True True\njoblib joblib joblib.numpy_pickle\n"
    assert err.count("\n") == 1
    assert "train.py:2: sklearn.externals.joblib is gone from scikit-learn 1.9; joblib" in err


def test_a_module_of_names_has_no_others(libraries: Callable[..., None], run: Run) -> None:
    today = "train_test_split = 1\nclass KFold: 'Takes other arguments.'\n"
    libraries({**SKLEARN, "sklearn/model_selection": today})
    out, err = run("""
        from sklearn.cross_validation import train_test_split
        print(train_test_split)
        import sklearn.cross_validation
        for take in (lambda: sklearn.cross_validation.KFold, lambda: __import__("imp").nothing):
            try: take()
            except AttributeError as e: print(e)
        from sklearn.cross_validation import KFold
    """, failing=True)  # fmt: skip
    assert out.startswith("1\nmodule 'sklearn.cross_validation' has no attribute 'KFold'")
    assert "cannot import name 'KFold' from 'sklearn.cross_validation'" in err
    assert err.count("[turnout]") == 1


def test_hasattr_is_told_the_truth(libraries: Callable[..., None], run: Run) -> None:
    libraries(numpy="", pandas="class DataFrame: pass\nclass Series: pass\n")
    out, err = run("""
        import collections, numpy, pandas
        print(hasattr(numpy, "float"), hasattr(pandas, "np"), hasattr(collections, "Mapping_"))
        def ask(where, name):
            return hasattr(where, name), hasattr(where.DataFrame, "iteritems")
        print(ask(pandas, "np"), hasattr(pandas.Series(), "iteritems"), "float" in dir(numpy))
        [getattr(pandas.DataFrame, name, 0) for name in dir(pandas.DataFrame)]
    """)
    assert out == "False False False\n(False, False) False False\n"
    assert err == ""
    out, _ = run("""
        import numpy
        print(hasattr(numpy, "float"), getattr(numpy, "float"), hasattr(numpy, "float"))
    """)
    assert out == "False <class 'float'> True\n"


def test_a_column_comes_before_a_gone_method(libraries: Callable[..., None], run: Run) -> None:
    libraries(
        pandas="""
            class DataFrame:
                columns = ()
                def __getattr__(self, name):
                    if name in self.columns:
                        return "the column " + name
                    return object.__getattribute__(self, name)
                def items(self): return "items"
            class Series: pass
        """
    )
    out, err = run("""
        import pandas
        class Mine(pandas.DataFrame):
            def iteritems(self): return "mine"
        f = pandas.DataFrame()
        print(f.iteritems(), Mine().iteritems(), pandas.DataFrame.iteritems(f))
        f.columns = ("iteritems",)
        print(f.iteritems)
        try: f.nothing
        except AttributeError as e: print(e)
    """)
    assert out.splitlines() == [
        "items mine items", "the column iteritems", "'DataFrame' object has no attribute 'nothing'"
    ]  # fmt: skip
    assert err.count("\n") == 1
    assert "pandas.DataFrame.iteritems is gone from pandas; DataFrame.items stands in" in err


CHILDREN = """
    import subprocess, sys, numpy
    {parent}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", "import numpy; print(numpy.float)"], check=True)
"""


def test_a_name_is_told_once_in_a_run(
    libraries: Callable[..., None], run: Run, tmp_path: Path
) -> None:
    libraries(numpy="")
    out, err = run(CHILDREN.format(parent="numpy.float; numpy.float"))
    assert out == "<class 'float'>\n" * 2
    assert err.count("numpy.float is gone") == 1
    assert [p.name for p in (tmp_path / "run" / "eras").iterdir()] == ["numpy.float"]
    (tmp_path / "other").mkdir()
    _, err = run(CHILDREN.format(parent=""), TURNOUT_RUN_FOLDER=str(tmp_path / "other"))
    assert err.count("numpy.float is gone") == 1
    # A folder that cannot be written: once in each process.
    _, err = run(CHILDREN.format(parent=""), TURNOUT_RUN_FOLDER=str(tmp_path / "nowhere"))
    assert err.count("numpy.float is gone") == 2
    assert not (tmp_path / "nowhere").exists()


def test_the_next_sitecustomize_is_run(libraries: Callable[..., None], run: Run) -> None:
    libraries(sitecustomize="import sys\nprint('theirs', __name__)\nMARK = 7\n", numpy="")
    script = "import sitecustomize, numpy; print(sitecustomize.MARK, numpy.float)"
    out, _ = run(script)
    assert out == "theirs sitecustomize\n7 <class 'float'>\n"
    assert run("import sitecustomize; print(sitecustomize.MARK)", TURNOUT_ERAS="0")[0] == (
        "theirs sitecustomize\n7\n"
    )


def test_its_faults_are_shown_as_ever(libraries: Callable[..., None], run: Run) -> None:
    libraries(sitecustomize="raise ValueError('theirs')", numpy="")
    out, err = run("import numpy; print(numpy.float)")
    assert "Error in sitecustomize" in err
    assert "ValueError: theirs" in err
    assert out == "<class 'float'>\n"


def test_one_payload_after_another_is_one(
    libraries: Callable[..., None], run: Run, payload: Path, tmp_path: Path
) -> None:
    shutil.copytree(payload, tmp_path / "outer")
    path = os.pathsep.join([str(payload), str(tmp_path / "outer"), str(tmp_path / "libraries")])
    libraries(numpy="", sitecustomize="print('theirs')")
    script = """
        import sys, numpy
        print(numpy.float, sum(hasattr(f, "turnout_eras") for f in sys.meta_path))
    """
    out, err = run(script, PYTHONPATH=path)
    assert out == "theirs\n<class 'float'> 2\n"
    assert err.count("\n") == 1


@pytest.mark.parametrize("damaged", ["sitecustomize", "revivals", "names", "python", "arrays"])
def test_a_fault_of_the_shim_is_not_the_scripts(
    libraries: Callable[..., None], run: Run, payload: Path, tmp_path: Path, damaged: str
) -> None:
    copy = tmp_path / "damaged"
    shutil.copytree(payload, copy, ignore=shutil.ignore_patterns("__pycache__"))
    if damaged == "sitecustomize":
        file = copy / "sitecustomize.py"
        file.write_text(file.read_text().replace("shim = Shim()", "shim = 1 / 0"))
    else:
        (copy / "turnout" / "payload" / "eras" / f"{damaged}.py").write_text("1 / 0\n")
    libraries(numpy="prod = max", pandas="class DataFrame: pass", sitecustomize="print('theirs')")
    script = """
        import collections, inspect, threading, time, numpy, pandas
        print(numpy.prod is max, pandas.DataFrame().__class__.__name__)
        for name in ("NINF", "nothing"):
            try: getattr(numpy, name)
            except AttributeError as e: print(e)
        try: import sklearn.externals.joblib
        except ImportError as e: print(e)
    """
    out, err = run(script, payload=str(copy))
    without, _ = run(script, TURNOUT_ERAS="0")
    if damaged == "python":
        without = without.replace("module 'numpy' has no attribute 'NINF'\n", "")
    assert out == without
    assert "Error" not in err


def test_reloads_and_loaders_of_a_library(libraries: Callable[..., None], run: Run) -> None:
    libraries(numpy="import sys\nprint('loaded', __spec__.loader is __loader__)\n")
    out, _ = run("""
        import importlib.util, inspect, numpy
        importlib.reload(numpy)
        importlib.reload(numpy)
        print(numpy.float, numpy.__spec__.loader is numpy.__loader__)
        print(inspect.getsource(numpy).splitlines()[0])
        spec = importlib.util.find_spec("numpy")
        print(spec.origin == numpy.__file__)
        fresh = importlib.util.module_from_spec(importlib.machinery.PathFinder.find_spec("numpy"))
        print(fresh.__name__)
    """)
    assert out == "loaded True\n" * 3 + "<class 'float'> True\nimport sys\nTrue\nnumpy\n"


def test_an_import_that_fails_fails_as_ever(libraries: Callable[..., None], run: Run) -> None:
    libraries(numpy="import nothing_at_all")
    for _ in range(2):
        _, err = run("import numpy", failing=True)
        assert err.splitlines()[-1] == "ModuleNotFoundError: No module named 'nothing_at_all'"


def test_warnings_of_a_library_point_at_the_script(
    libraries: Callable[..., None], run: Run
) -> None:
    libraries(
        numpy="""
            import warnings
            def __getattr__(name):
                if name == "float":
                    warnings.warn("float is deprecated", DeprecationWarning, stacklevel=2)
                    return float
                raise AttributeError(name)
        """
    )
    _, err = run("import numpy\n\nnumpy.float\n")
    assert "train.py:3: DeprecationWarning: float is deprecated" in err
    assert "[turnout]" not in err


def test_nothing_is_read_before_it_is_needed(libraries: Callable[..., None], run: Run) -> None:
    libraries(numpy="")
    loaded = "print([f.shim.loaded is not None for f in sys.meta_path if hasattr(f, 'shim')])"
    out, _ = run(f"import sys, json, argparse, inspect; {loaded}; import numpy; {loaded}")
    assert out == "[False, False]\n[True, True]\n"


def test_the_payload_is_read_from_a_zip_too(
    libraries: Callable[..., None], run: Run, tmp_path: Path
) -> None:
    (tmp_path / "payload.zip").write_bytes(packed().data)
    libraries(numpy="", sitecustomize="print('theirs')")
    script = "import numpy, sys; print(numpy.NINF, 'turnout' in sys.modules)"
    out, _ = run(script, payload=str(tmp_path / "payload.zip"))
    assert out == "theirs\n-inf False\n"


@pytest.mark.parametrize("python", every_python())
def test_every_python_gets_along_with_it(
    libraries: Callable[..., None], run: Run, python: str
) -> None:
    libraries(numpy="", sitecustomize="import sys; sys.mark = 7")
    script = """
        from __future__ import print_function
        import sys, time, collections, threading
        print(getattr(sys, "mark", None))
        import numpy
        print(getattr(numpy, "float", None), threading.Thread().is_alive())
    """
    out, err = run(script, executable=python)
    if new_enough(python):
        assert out == "7\n<class 'float'> False\n"
        assert err.count("\n") == 1
    else:
        assert out in ("7\nNone False\n", "None\nNone False\n")
        assert err == ""


def test_gone_names_of_python_itself(run: Run) -> None:
    out, _ = run("""
        import base64, fractions, time
        from inspect import getargspec
        from collections import Mapping
        print(time.clock() >= 0, fractions.gcd(4, 6), base64.encodestring(b"a"))
        print(tuple(getargspec(lambda a, b=1, *c, **d: 0)), issubclass(dict, Mapping))
        import xml.etree.cElementTree as trees
        print(trees.XML("<a/>").tag)
    """)
    assert out.splitlines() == [
        "True 2 b'YQ==\\n'", "(['a', 'b'], 'c', 'd', (1,)) True", "a"
    ]  # fmt: skip


def test_versions_are_in_order() -> None:
    loose, strict = python.LooseVersion, python.StrictVersion
    assert loose("1.9.2") < loose("1.10") < "1.10.1" < loose("1.11.dev1")
    assert loose("1.0") == "1.0" != loose("1.0.0")
    assert strict("1.0a1") < strict("1.0b1") < strict("1.0") == strict("1.0.0") < "1.0.1"
    assert str(loose("2.0rc1")) == "2.0rc1"
    assert loose("2.0rc1").version == [2, 0, "rc", 1]


def test_the_table_and_the_finders_know_the_same_libraries() -> None:
    tops = {name.partition(".")[0] for name in (*names.ATTRIBUTES, *names.MODULES)}
    assert tops == sitecustomize.LIBRARIES
    assert set(names.STANDARD) < tops
    classes = {m for m, rules in names.ATTRIBUTES.items() if any("." in name for name in rules)}
    assert not classes & set(sitecustomize.LIGHT)


def test_every_own_stand_in_is_there_and_says_what_it_is() -> None:
    rules = [rule for rules in names.ATTRIBUTES.values() for rule in rules.values()]
    rules += [r for rules in names.MODULES.values() if not isinstance(rules, str)
              for r in rules.values()]  # fmt: skip
    used = {r.replace("()", "").split(":")[1]: r for r in rules if r.startswith("own.")}
    for name, rule in used.items():
        value = getattr(OWN[rule.split(":")[0][4:]], name)
        assert value.__doc__, name
        assert "\n" not in value.__doc__
    written = {n for m in OWN.values() for n in vars(m) if getattr(vars(m)[n], "__module__", "")
               == m.__name__ and n not in ("ArgSpec",)}  # fmt: skip
    assert written == set(used)


def test_it_is_packed_where_python_looks() -> None:
    inside = zipfile.ZipFile(io.BytesIO(packed().data)).namelist()
    assert "sitecustomize.py" in inside
    assert "turnout/payload/sitecustomize.py" not in inside
    assert {"turnout/payload/eras/names.py", "turnout/payload/builds/telling.py"} < set(inside)
