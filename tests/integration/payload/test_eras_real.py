"""Scripts of 2018 and 2019, as they were written then, with today's libraries."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from turnout.hosts.payload_zip import payload as packed
from turnout.payload.eras import names
from turnout.testing.missing import missing

LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy")
#: Rules for a library that is not installed here.
ELSEWHERE = ("numpy_financial:", "PIL:")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with today's libraries, made by uv."""
    prefix = tmp_path_factory.mktemp("today") / "venv"
    uv = str(Path(sys.executable).parent / "uv")
    env = {**os.environ, "UV_NO_PROGRESS": "1"}
    steps = (
        [uv, "venv", "--quiet", "--python", sys.executable, str(prefix)],
        [uv, "pip", "install", "--quiet", "--python", str(prefix / "bin" / "python"), *LIBRARIES],
    )
    for argv in steps:
        done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
        if done.returncode and "dns error" in done.stderr and os.environ.get("CI") != "true":
            missing("the package index, which has NumPy and pandas, cannot be reached")
        assert done.returncode == 0, done.stderr
    return str(prefix / "bin" / "python")


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What travels, as it lies on a host."""
    folder = tmp_path_factory.mktemp("shim")
    zipfile.ZipFile(io.BytesIO(packed().data)).extractall(folder)
    return folder


@pytest.fixture
def run(tmp_path: Path, python: str, shim: Path) -> Run:
    (tmp_path / "run").mkdir()

    def run(text: str, **more: str) -> tuple[int, str, str]:
        (tmp_path / "train.py").write_text(dedent(text))
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{shim}{os.pathsep}{tmp_path}",
            "TURNOUT_RUN_FOLDER": str(tmp_path / "run"),
            **more,
        }
        done = subprocess.run(
            [python, "train.py"],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def told(err: str) -> list[str]:
    """The names that the log says were brought back."""
    return sorted(line.split()[2] for line in err.splitlines() if line.startswith("[turnout]"))


DIABETES = """
    import os
    import numpy as np
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge
    from sklearn.metrics import mean_squared_error
    from sklearn.model_selection import train_test_split
    from sklearn.externals import joblib

    os.makedirs("outputs", exist_ok=True)
    X, y = load_diabetes(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0)
    for alpha in np.arange(0.0, 1.0, 0.25):
        model = Ridge(alpha=alpha).fit(X_train, y_train)
        mse = mean_squared_error(y_test, model.predict(X_test))
        print("alpha is {0:.2f}, and mse is {1:0.2f}".format(alpha, mse))
        joblib.dump(value=model, filename="outputs/ridge_{0:.2f}.pkl".format(alpha))
    print(joblib.load("outputs/ridge_0.25.pkl").alpha)
"""


def test_the_diabetes_training(run: Run) -> None:
    code, _, err = run(DIABETES, TURNOUT_ERAS="0")
    assert code == 1
    assert "cannot import name 'joblib' from 'sklearn.externals'" in err
    code, out, err = run(DIABETES)
    assert (code, told(err)) == (0, ["sklearn.externals.joblib"]), err
    assert err.count("\n") == 1
    today = DIABETES.replace("from sklearn.externals import joblib", "import joblib")
    assert run(today, TURNOUT_ERAS="0") == (0, out, "")
    assert out.count("mse is") == 4


IRIS = """
    import numpy as np
    import pandas as pd
    from sklearn import datasets
    from sklearn.cross_validation import train_test_split
    from sklearn.preprocessing import Imputer
    from sklearn.svm import SVC

    iris = datasets.load_iris()
    X = iris.data.astype(np.float)
    species = np.array([str(iris.target_names[t]) for t in iris.target], dtype=np.str)
    mask = np.zeros(len(X), dtype=np.bool)
    X[3, 1] = np.NaN
    X = Imputer(missing_values="NaN", strategy="mean", axis=0).fit_transform(X)
    frame = pd.DataFrame(columns=["kernel", "accuracy"])
    X_train, X_test, y_train, y_test = train_test_split(X, species, random_state=0)
    for kernel in ("linear", "rbf"):
        model = SVC(kernel=kernel, gamma="auto").fit(X_train, y_train)
        row = {"kernel": kernel, "accuracy": model.score(X_test, y_test)}
        frame = frame.append(row, ignore_index=True)
    for name, column in frame.iteritems():
        print(name, column.tolist())
    print(frame.as_matrix().shape, np.in1d(species, ["setosa"]).sum(), mask.dtype)
"""


def test_an_iris_training(run: Run) -> None:
    code, _, err = run(IRIS, TURNOUT_ERAS="0")
    assert code == 1
    assert "No module named 'sklearn.cross_validation'" in err
    code, out, err = run(IRIS)
    assert code == 0, err
    assert out.splitlines()[0] == "kernel ['linear', 'rbf']"
    assert all(float(a) > 0.9 for a in out.splitlines()[1][10:-1].split(", "))
    assert out.splitlines()[2] == "(2, 2) 50 bool"
    expected = ["numpy.NaN", "numpy.float", "numpy.in1d", "numpy.str", "pandas.DataFrame.append",
                "pandas.DataFrame.as_matrix", "pandas.DataFrame.iteritems",
                "sklearn.cross_validation.train_test_split",
                "sklearn.preprocessing.Imputer"]  # fmt: skip
    assert told(err) == expected


def test_frames_as_they_were(run: Run) -> None:
    code, out, err = run("""
        import numpy as np, pandas as pd
        f = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
        print(f.append(f).index.tolist(), f.append(f, ignore_index=True).index.tolist())
        g = f.append(pd.Series([5, 6], index=["a", "c"], name=7))
        print(g.index.tolist(), g.columns.tolist(), g.a.tolist())
        print(pd.DataFrame().append({"k": 1, "v": "x"}, ignore_index=True).to_dict("records"))
        print(f.append([{"a": 8}]).a.tolist(), f.append([f, f]).shape)
        print(f.get_value(0, "a"), f.set_value(0, "a", 9).a.tolist(), f.as_matrix(["b"]).tolist())
        print(f.lookup([0, 1], ["a", "b"]).tolist(), f.mad(axis=1).tolist(), f.a.mad())
        print(f.clip_upper(4).a.tolist(), f.applymap(lambda x: -x).b.tolist())
        print(f.a.append(f.b).tolist(), f.a.nonzero()[0].tolist(), f.a.is_monotonic)
        days = pd.Series(pd.to_datetime(["2019-01-07", "2019-06-01"]))
        print(days.dt.week.tolist(), days.dt.weekday_name.tolist(), pd.DatetimeIndex(days).week[1])
        for wrong in (lambda: f.append(pd.Series([1])), lambda: f.append({"a": 1})):
            try: wrong()
            except TypeError as e: print(e)
        f["append"] = 5
        f.append = 6
        print(f.append.tolist(), f.columns.tolist())
    """)
    assert code == 0, err
    assert out.splitlines() == [
        "[0, 1, 0, 1] [0, 1, 2, 3]",
        "[0, 1, 7] ['a', 'b', 'c'] [1, 2, 5]",
        "[{'k': 1, 'v': 'x'}]",
        "[1, 2, 8] (6, 2)",
        "1 [9, 2] [[3], [4]]",
        "[9, 4] [3.0, 1.0] 3.5",
        "[4, 2] [-3, -4]",
        "[9, 2, 3, 4] [0, 1] False",
        "[2, 22] ['Monday', 'Saturday'] 22",
        "Can only append a Series if ignore_index=True or if the Series has a name",
        "Can only append a dict if ignore_index=True",
        "[6, 6] ['a', 'b', 'append']",
    ]


def test_arrays_and_estimators_as_they_were(run: Run) -> None:
    code, out, err = run("""
        import numpy as np
        from scipy import interp, stats
        from scipy.integrate import simps, trapz
        from scipy.signal import hann
        print(interp(0.5, [0, 1], [0, 10]), simps([1, 2, 3]), trapz([1, 1]), hann(3).tolist())
        print(stats.binom_test(3, 10), stats.itemfreq([1, 1, 2]).tolist())
        print(np.product([2, 3]), np.asfarray([1]).dtype, np.msort([[3, 1], [1, 2]]).tolist())
        print(np.find_common_type([np.int64], [np.float32]), np.asscalar(np.array([3])))
        print(np.find_common_type([np.float32], [np.int64]), sorted(np.sctypes), np.NINF)
        from sklearn.ensemble.forest import RandomForestClassifier
        import sklearn.ensemble
        print(RandomForestClassifier is sklearn.ensemble.RandomForestClassifier)
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.preprocessing import OneHotEncoder
        print(TfidfVectorizer().fit(["a bb ccc"]).get_feature_names())
        print(OneHotEncoder().fit([["a"], ["b"]]).get_feature_names(["q"]).tolist())
        from sklearn.metrics.scorer import SCORERS
        from sklearn.externals.six import StringIO
        print("accuracy" in SCORERS, StringIO("x").read())
    """)
    assert code == 0, err
    assert out.splitlines() == [
        "5.0 4.0 1.0 [0.0, 1.0, 0.0]",
        "0.34375 [[1, 2], [2, 1]]",
        "6 float64 [[1, 1], [3, 2]]",
        "float64 3",
        "float32 ['complex', 'float', 'int', 'others', 'uint'] -inf",
        "True",
        "['bb', 'ccc']",
        "['q_a', 'q_b']",
        "True x",
    ]


def test_what_stands_in_travels_between_processes(run: Run) -> None:
    code, out, err = run("""
        import multiprocessing, pickle
        import numpy as np
        from joblib import Parallel, delayed
        def work(x):
            return np.in1d([x], [1]).tolist()
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                print(pool.map(work, [1, 2]))
            print([r.tolist() for r in Parallel(2)(delayed(np.in1d)([x], [1]) for x in (1, 2))])
            print(pickle.loads(pickle.dumps(np.float)), pickle.dumps(np.product)[-12:-2])
    """)
    assert code == 0, err
    assert out.splitlines()[:2] == ["[[True], [False]]", "[[True], [False]]"]
    assert out.splitlines()[2].startswith("<class 'float'>")
    assert told(err) == ["numpy.float", "numpy.in1d", "numpy.product"]


def test_scripts_of_today_do_not_notice(run: Run, tmp_path: Path) -> None:
    script = """
        import inspect, pkgutil, importlib, warnings
        warnings.simplefilter("ignore")
        import numpy, pandas, scipy, sklearn, sklearn.ensemble, sklearn.model_selection
        import numpy.testing, scipy.integrate, scipy.signal, scipy.stats, scipy.linalg
        frame = pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
        for module in numpy, pandas, scipy, sklearn, pandas.DataFrame, numpy.ndarray:
            found = inspect.getmembers(module)
        print(frame.describe().to_string(), frame.groupby("b").a.sum().to_dict())
        print(hasattr(numpy, "float"), hasattr(frame, "append"), hasattr(numpy, "trapz"))
        for name in ("nothing", "tostring_"):
            for where in (numpy, pandas, scipy, sklearn, frame, pandas.DataFrame):
                try: getattr(where, name)
                except AttributeError as e: print(e)
        try: from sklearn.datasets import load_boston
        except ImportError as e: print(e)
        try: numpy.array([1]).tostring()
        except AttributeError as e: print(e)
    """
    with_shim = run(script)
    assert with_shim[0] == 0, with_shim[2]
    assert with_shim == run(script, TURNOUT_ERAS="0")
    assert "`load_boston` has been removed" in with_shim[1]
    assert with_shim[2] == ""
    assert not (tmp_path / "run" / "eras").exists()


def test_every_rule_of_the_table_leads_somewhere(run: Run) -> None:
    """What a new release of a library breaks here must be mended in the table."""
    tops = ("numpy", "pandas", "scipy", "sklearn", *names.STANDARD)
    attributes = {m: r for m, r in names.ATTRIBUTES.items() if m.partition(".")[0] in tops}
    modules = {m: r for m, r in names.MODULES.items() if m.partition(".")[0] in tops}
    code, out, err = run(f"""
        import importlib, warnings
        warnings.simplefilter("ignore")
        def look(start, dotted, rule):
            if rule.startswith({ELSEWHERE!r}):
                return
            try:
                for name in dotted.split("."):
                    start = getattr(start, name)
            except AttributeError:
                print(start, dotted, rule)
        for module, rules in {attributes!r}.items():
            for name, rule in rules.items():
                look(importlib.import_module(module), name, rule)
        for module, rules in {modules!r}.items():
            try:
                loaded = importlib.import_module(module)
            except ImportError as e:
                print(module, e)
                continue
            if not isinstance(rules, str):
                for name, rule in rules.items():
                    look(loaded, name, rule)
    """)
    assert (code, out) == (0, ""), err
    assert len(told(err)) > 300
