"""Requirements files and conda files: what is kept, what is refused, and with which line."""

from pathlib import Path

import pytest

from turnout import CondaDependencies, Environment
from turnout.client import requirements_files
from turnout.spec.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_packages_options_and_their_lines(folder: Path) -> None:
    (folder / "r.txt").write_text(
        "\ufeff# all\n"
        "-i https://pypi.example.org/simple\n"
        "--extra-index-url=https://a.example.org\n"
        "--extra-index-url https://b.example.org\n"
        "--pre\n\n"
        "scikit-learn==1.5  # pinned\n"
        "pandas \\\n"
        "  >=2,<3\n"
        "-r more/other.txt\n"
        "torch @ https://x.org/torch.whl#sha256=abc\n"
        "idna ; python_version < '4' \\"
    )
    (folder / "more").mkdir()
    (folder / "more/other.txt").write_text("numpy\n-r third.txt\n")
    (folder / "more/third.txt").write_text("\nscipy\n")
    found = requirements_files.read("r.txt")
    assert found.packages == [
        "scikit-learn==1.5", "pandas >=2,<3", "numpy", "scipy",
        "torch @ https://x.org/torch.whl#sha256=abc", "idna ; python_version < '4'",
    ]  # fmt: skip
    assert found.options == [
        "--index-url=https://pypi.example.org/simple",
        "--extra-index-url=https://a.example.org",
        "--extra-index-url=https://b.example.org",
        "--pre",
    ]
    origins = found.origins
    assert origins["scikit-learn==1.5"] == "r.txt, line 7"
    assert origins["pandas >=2,<3"] == "r.txt, line 8"
    assert (origins["numpy"], origins["scipy"]) == ("other.txt, line 1", "third.txt, line 2")
    env = Environment.from_pip_requirements("e", "r.txt")
    spec = env.to_spec("lab", {})
    assert spec.pip == tuple(found.packages)
    assert spec.pip_options == tuple(found.options)
    assert spec.origins == origins


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("-e .", "file or folder of this machine"),
        ("--editable=src", "file or folder of this machine"),
        ("./wheels/a.whl", "file or folder of this machine"),
        ("a @ file:///a.whl", "file or folder of this machine"),
        ("idna==3 --hash=sha256:abc", "'idna==3'"),
        ("--no-deps", "--no-deps"),
        ("-c constraints.txt", "-c"),
        ("--find-links wheels", "whole path"),
        ("-i https://u:p@x.org", "netrc"),
    ],
)
def test_what_cannot_be_had_there_is_named_with_its_line(
    folder: Path, line: str, word: str
) -> None:
    (folder / "r.txt").write_text(f"numpy\n{line}\n")
    with pytest.raises(UserError) as caught:
        requirements_files.read("r.txt")
    assert caught.value.message.startswith("r.txt, line 2: ")
    assert word in caught.value.message


def test_files_that_cannot_be_read(folder: Path) -> None:
    with pytest.raises(UserError, match=r"'none\.txt' cannot be read: No such file"):
        requirements_files.read("none.txt")
    (folder / "a.txt").write_text("-r b.txt")
    (folder / "b.txt").write_text("-r a.txt")
    with pytest.raises(UserError, match="includes itself"):
        requirements_files.read("a.txt")
    (folder / "c.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not text"):
        requirements_files.read("c.txt")


CONDA = """\
name: x
channels: [conda-forge, defaults]
dependencies:
  # the Python
  - python=3.8.5=h1234_0
  - numpy =1.26
  - conda-forge::scipy
  - pip
  - pip:
    - --extra-index-url https://a.example.org
    - --extra-index-url https://b.example.org
    - "idna==99"
    - -r more.txt
"""


def test_conda_files(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/conda.yml").write_text(CONDA)
    (folder / "sub/more.txt").write_text("\nsix\n")
    spec = Environment.from_conda_specification("e", "sub/conda.yml").to_spec("lab", {})
    assert spec.python_version == "3.8.5"
    assert spec.conda == ("numpy =1.26", "conda-forge::scipy", "pip")
    assert spec.pip == ("idna==99", "six")
    assert len(spec.pip_options) == 2
    assert spec.channels == ("conda-forge", "defaults")
    assert spec.origins["idna==99"] == "sub/conda.yml, line 12"
    assert spec.origins["numpy =1.26"] == "sub/conda.yml, line 6"
    assert spec.origins["python=3.8.5=h1234_0"] == "sub/conda.yml, line 5"
    assert spec.origins["six"] == "sub/more.txt, line 2"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (
            "dependencies:\n- numpy\n- pip:\n  - -e .\n",
            "c.yml, line 4: '-e .' is a file or folder",
        ),
        ("dependencies:\n- python>=2.6\n", "c.yml, line 2: '>=2.6' is no Python version"),
        ("dependencies:\n- npm: [x]\n", "c.yml, line 2: 'npm' is no list"),
        ("dependencies: numpy\n", "must be a list"),
        ("- numpy\n", "is a mapping"),
    ],
)
def test_mistakes_in_conda_files_name_the_line(folder: Path, text: str, word: str) -> None:
    (folder / "c.yml").write_text(text)
    with pytest.raises(UserError, match=word):
        CondaDependencies("c.yml")


def test_what_a_program_changes_has_no_line(folder: Path) -> None:
    (folder / "c.yml").write_text("dependencies: [numpy, scipy]\n")
    cd = CondaDependencies("c.yml")
    cd.add_conda_package("numpy=2")
    cd.remove_conda_package("scipy")
    assert cd.origins == {}


def test_addresses_and_channels_are_not_names(folder: Path) -> None:
    (folder / "r.txt").write_text("https://x.org/a.whl\nhttps://x.org/b.zip\ngit+https://x/c\n")
    cd = CondaDependencies.from_requirements("r.txt")
    cd.add_conda_package("conda-forge::numpy")
    cd.add_conda_package("conda-forge::scipy")
    cd.add_conda_package("numpy=2")
    assert cd.pip_packages == ["https://x.org/a.whl", "https://x.org/b.zip", "git+https://x/c"]
    assert cd.conda_packages == ["numpy=2", "conda-forge::scipy"]


@pytest.mark.parametrize(
    ("given", "version"),
    [("python=3.8.*", "3.8"), ("python=3", None), ("python", None), ("python 3.9", "3.9")],
)
def test_pythons(given: str, version: str | None) -> None:
    cd = CondaDependencies.create(conda_packages=[given])
    assert (cd.get_python_version(), cd.conda_packages) == (version, [])


def test_pip_options_of_a_list() -> None:
    cd = CondaDependencies.create(pip_indexurl="https://one.example.org")
    cd.set_pip_index_url("https://two.example.org")
    cd.set_pip_option("--extra-index-url=https://a.example.org")
    cd.set_pip_option("--extra-index-url https://b.example.org")
    cd.set_pip_option("--extra-index-url https://b.example.org")
    assert cd.pip_options == [
        "--index-url=https://two.example.org",
        "--extra-index-url=https://a.example.org",
        "--extra-index-url=https://b.example.org",
    ]
    cd.remove_pip_option("--extra-index-url https://a.example.org")
    cd.remove_pip_option("--index-url")
    assert cd.pip_options == ["--extra-index-url=https://b.example.org"]
    cd.remove_pip_option("--extra-index-url")
    assert cd.pip_options == []
    with pytest.raises(UserError, match="netrc"):
        cd.set_pip_option("--index-url https://ana:hunter2@x.org")
