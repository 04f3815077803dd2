"""How `turnout submit` reads its command line."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from turnout.cli import submit
from turnout.client.exceptions import RunConfigurationException, UserErrorException
from turnout.client.script_run_config import ScriptRunConfig
from turnout.spec.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "my project"
    made.mkdir()
    monkeypatch.chdir(made)
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "TURNOUT_URL"):
        monkeypatch.delenv(name, raising=False)
    return made


def config(*argv: str) -> ScriptRunConfig:
    parser = submit.make_parser()
    ours, words = submit.split(argv, parser)
    return submit.make_config(parser.parse_args(ours), words[0], words[1:])


@pytest.mark.parametrize(
    ("argv", "ours", "script"),
    [
        ("a.py", "", "a.py"),
        ("a.py --alpha 0.1 -v x", "", "a.py --alpha 0.1 -v x"),
        ("--target lab a.py --alpha 1", "--target lab", "a.py --alpha 1"),
        ("-t lab -e x a.py -t lab -e 10", "-t lab -e x", "a.py -t lab -e 10"),
        ("a.py --target lab --pip numpy", "--target lab --pip numpy", "a.py"),
        ("a.py --target=lab --alpha=1", "--target=lab", "a.py --alpha=1"),
        ("a.py --alpha --target lab 1", "--target lab", "a.py --alpha 1"),
        ("a.py --detach x --json", "--detach --json", "a.py x"),
        ("a.py -- --target lab -- x", "", "a.py --target lab -- x"),
        ("--target lab -- a.py --pip x", "--target lab", "a.py --pip x"),
        ("a.py --help", "", "a.py --help"),
        ("--help a.py", "--help", "a.py"),
        ("a.py --targ lab", "", "a.py --targ lab"),
        ("a.py -", "", "a.py -"),
        ("a.py -1 -0.5", "", "a.py -1 -0.5"),
        # Words that scripts use themselves.
        ("a.py --network resnet50 --memory 3", "", "a.py --network resnet50 --memory 3"),
        ("--memory 4g --docker x a.py --cpus 2", "--memory 4g --docker x", "a.py --cpus 2"),
        ("a.py --docker-arg=--init", "", "a.py --docker-arg=--init"),
        ("--docker-arg=--init a.py", "--docker-arg=--init", "a.py"),
    ],
)
def test_split(argv: str, ours: str, script: str) -> None:
    found = submit.split(argv.split(), submit.make_parser())
    assert found == (ours.split(), script.split())


def test_this_python_by_default() -> None:
    python = config("a.py").run_config.environment.python
    assert python.user_managed_dependencies
    assert python.interpreter_path == sys.executable


def test_the_active_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("conda", "venv"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "python").touch()
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    assert submit.default_interpreter("local") == str(tmp_path / "conda/bin/python")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "venv"))
    assert submit.default_interpreter("local") == str(tmp_path / "venv/bin/python")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "deleted"))
    assert submit.default_interpreter("local") == str(tmp_path / "conda/bin/python")
    assert submit.default_interpreter("lab") == "python3"
    monkeypatch.setenv("TURNOUT_URL", "http://team:8650")
    assert submit.default_interpreter("local") == "python3"


def test_a_size_asks_for_a_cluster_of_the_runs_own() -> None:
    run_config = config("--vm-size", "2c4g", "a.py").run_config
    assert run_config.target == "amlcompute"
    assert run_config.amlcompute.vm_size == "2c4g"
    assert config("--target", "AmlCompute", "--vm-size", "2c4g", "a.py").run_config.target
    with pytest.raises(UserError, match="--target lab is another place"):
        config("--target", "lab", "--vm-size", "2c4g", "a.py")


def test_here_is_this_python_under_any_name() -> None:
    parser = submit.make_parser()
    given = parser.parse_args(["--target", "cpu"])
    there = submit.make_config(given, "a.py", [])
    assert there.run_config.environment.python.interpreter_path == "python3"
    found = submit.make_config(given, "a.py", [], here=True)
    assert found.run_config.environment.python.interpreter_path == sys.executable


def test_packages_make_an_environment(folder: Path) -> None:
    (folder / "r.txt").write_text("# all\npandas>=2  # frames\n\nscikit-learn==1.5\n")
    python = config("--pip", "numpy", "-r", "r.txt", "a.py").run_config.environment.python
    assert not python.user_managed_dependencies
    assert list(python.conda_dependencies.pip_packages) == [
        "pandas>=2", "scikit-learn==1.5", "numpy",
    ]  # fmt: skip
    # What is typed beats what the file says.
    python = config("--pip", "pandas==2.2", "-r", "r.txt", "a.py").run_config.environment.python
    assert "pandas==2.2" in python.conda_dependencies.pip_packages
    assert "pandas>=2" not in python.conda_dependencies.pip_packages


def test_a_version_makes_an_environment_and_a_path_is_used() -> None:
    python = config("--python", "3.11", "a.py").run_config.environment.python
    assert not python.user_managed_dependencies
    assert python.conda_dependencies.get_python_version() == "3.11"
    python = config("--python", "/opt/python", "a.py").run_config.environment.python
    assert python.user_managed_dependencies
    assert python.interpreter_path == "/opt/python"


@pytest.mark.parametrize(
    "line", ["-e .", "./wheels/a.whl", "--no-deps", "numpy==1 --hash=sha256:a"]
)
def test_requirements_that_cannot_be_kept(folder: Path, line: str) -> None:
    (folder / "r.txt").write_text(f"pandas\n{line}\n")
    with pytest.raises(UserError, match=r"r\.txt, line 2"):
        config("-r", "r.txt", "a.py")


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "a=b")
    found = config("--env", "X=1=2", "--env", "FROM_HERE", "--env", "EMPTY=", "a.py")
    assert found.run_config.environment_variables == {
        "X": "1=2", "FROM_HERE": "a=b", "EMPTY": "",
    }  # fmt: skip


def test_where_the_script_lies(folder: Path, tmp_path: Path) -> None:
    (folder / "src").mkdir()
    (folder / "src" / "a.py").touch()
    assert submit.locate("src/a.py", None) == (".", "src/a.py")
    assert submit.locate("./src/../src/a.py", None) == (".", "src/a.py")
    assert submit.locate(str(folder / "src/a.py"), None) == (".", "src/a.py")
    assert submit.locate("../other/b.py", None) == (str(tmp_path / "other"), "b.py")
    assert submit.locate("a.py", "src") == ("src", "a.py")
    assert submit.locate("src/a.py", "src") == ("src", "a.py")
    assert submit.locate("missing.py", "src") == ("src", "missing.py")


@pytest.mark.parametrize(
    ("name", "expected"), [("my project", "my-project"), ("日本", "default"), (".x", "x")]
)
def test_experiment_name(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / name).mkdir(exist_ok=True)
    assert submit.experiment_name(str(tmp_path / name)) == expected


CONDA = """\
name: x
dependencies:
  - python=3.11
  - numpy=1.26
  - pip:
    - idna==99
"""


def test_conda_files_say_where_each_package_was_written(folder: Path) -> None:
    (folder / "conda.yml").write_text(CONDA)
    (folder / "a.py").touch()
    found = config("-f", "conda.yml", "--conda-package", "scipy", "a.py").to_spec().environment
    assert (found.python_version, found.conda) == ("3.11", ("numpy=1.26", "scipy"))
    assert found.origins == {
        "python=3.11": "conda.yml, line 3",
        "numpy=1.26": "conda.yml, line 4",
        "idna==99": "conda.yml, line 6",
    }


def test_containers(folder: Path) -> None:
    (folder / "a.py").touch()
    (folder / "Dockerfile").write_text("FROM python:3.12\n")
    found = config(
        "--docker", "python:3.12", "--memory", "4g", "--cpus", "1.5", "--network", "none",
        "--docker-arg=--init", "--docker-arg=-v/a:/b", "--no-eras", "a.py",
    ).to_spec().environment  # fmt: skip
    assert (found.user_managed, found.interpreter, found.eras) == (True, "python", False)
    box = found.container
    assert box is not None
    assert (box.image, box.memory, box.cpus, box.network) == ("python:3.12", "4g", 1.5, "none")
    assert box.arguments == ("--init", "-v/a:/b")
    found = config("--dockerfile", "Dockerfile", "--pip", "idna", "a.py").to_spec().environment
    assert not found.user_managed
    assert found.container is not None
    assert (found.container.image, found.container.dockerfile) == ("", "FROM python:3.12\n")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ("--memory 4g a.py", "--memory is for a container"),
        ("--docker x --dockerfile y a.py", "not both"),
        ("--dockerfile nowhere a.py", "nowhere' cannot be read"),
        ("--environment sk --pip x a.py", "leave --pip out"),
        ("--environment sk: a.py", "NAME:VERSION"),
        ("--docker -x a.py", "expected one argument"),
        ("--pip ./x.whl a.py", "a file of this machine"),
    ],
)
def test_contradictions(folder: Path, argv: str, text: str) -> None:
    (folder / "a.py").touch()
    with pytest.raises(UserError, match=text):
        config(*argv.split()).to_spec()


def test_a_note_when_a_list_went_to_the_script(folder: Path) -> None:
    def note(*argv: str) -> str:
        parser = submit.make_parser()
        ours, words = submit.split(argv, parser)
        client: Any = SimpleNamespace(get=lambda path: {"targets": [{"name": "lab"}]})
        return submit.strayed(client, parser.parse_args(ours), words)

    (folder / "r.txt").write_text("six")
    assert "--requirements r.txt" in note("a.py", "-r", "r.txt")
    assert note("a.py", "-r", "none.txt") == note("a.py", "-r", "7") == ""
    assert note("-r", "r.txt", "a.py", "-r", "r.txt") == ""
    assert "--target lab" in note("a.py", "-t", "lab")
    assert note("a.py", "-t", "5") == note("-t", "lab", "a.py") == ""


def test_lines_of_the_command_line_must_hold_together(folder: Path) -> None:
    found = config("--pip", "six<1", "--pip", "six>1.5", "a.py").run_config.environment.python
    assert found.conda_dependencies.pip_packages == ["six<1", "six>1.5"]


def test_the_line_of_what_is_no_requirement(folder: Path) -> None:
    (folder / "r.txt").write_text("six\nfoo bar\n")
    with pytest.raises(UserError, match=r"r\.txt, line 2: 'foo bar' is not a package"):
        config("-r", "r.txt", "a.py")
    (folder / "c.yml").write_text("dependencies:\n  - six\n  - numpy =1 foo bar\n")
    with pytest.raises(UserError, match=r"c\.yml, line 3: 'numpy =1 foo bar' is not a conda"):
        config("-f", "c.yml", "a.py")
    (folder / "c.yml").write_text("dependencies:\n  - pip:\n    - -e .\n")
    with pytest.raises(UserErrorException, match=r"c\.yml, line 3: '-e \.' is a file or folder"):
        config("-f", "c.yml", "a.py")
    (folder / "c.yml").write_text("- six\n")
    with pytest.raises(RunConfigurationException, match=r"'c\.yml' is none"):
        config("-f", "c.yml", "a.py")
