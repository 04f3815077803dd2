"""Requirement lines: one form, early refusals."""

from __future__ import annotations

import pytest

from turnout.environments.requirements import normalize, split_provided
from turnout.spec.errors import EnvironmentSpecError


@pytest.mark.parametrize(
    ("line", "form"),
    [
        ("numpy", "numpy"),
        ("Scikit_Learn  >= 1.0 , <2", "scikit-learn<2,>=1.0"),
        ("a[B, c]==1.*", "a[b,c]==1.*"),
        ("a[]", "a"),
        ("a (>=1.0)", "a>=1.0"),
        ("a # a word", "a"),
        ("a ; python_version  <  '3.9'", "a ; python_version < '3.9'"),
        ("A @  https://x.example/a-1.whl", "a @ https://x.example/a-1.whl"),
        ("git+https://x.example/a", "git+https://x.example/a"),
        ("https://x.example/a.whl#sha256=00", "https://x.example/a.whl#sha256=00"),
        ("a==1.0+cu118", "a==1.0+cu118"),
    ],
)
def test_one_form(line: str, form: str) -> None:
    assert normalize(line) == form
    assert normalize(form) == form


@pytest.mark.parametrize("line", ["scikit learn", "a b==1", "=1", "a==", "a>=1 2", "a==1 <2", "!"])
def test_no_requirement(line: str) -> None:
    with pytest.raises(EnvironmentSpecError, match="is not a package requirement"):
        normalize(line)


def test_conda_form_is_explained() -> None:
    with pytest.raises(EnvironmentSpecError, match="pip writes '==' where conda writes '='"):
        normalize("pandas=1.0")


@pytest.mark.parametrize("line", ["./a.whl", "../a", "/a/b", "~/a", "a-1.0-py3-none-any.whl"])
def test_local_files(line: str) -> None:
    with pytest.raises(EnvironmentSpecError, match="names a file of this machine"):
        normalize(line)


def test_what_turnout_provides() -> None:
    lines = ["numpy", "azureml-defaults", "AzureML_Core==1.0.6", "azureml", "azuremlx", "Numpy"]
    assert split_provided(lines) == (
        ["azuremlx", "numpy"],
        ["azureml", "azureml-core", "azureml-defaults"],
    )


def test_what_a_part_of_v1_brought_is_brought() -> None:
    """Scripts read tables with pandas, and list what had it."""
    assert split_provided(["azureml-dataprep[fuse]"]) == (["pandas"], ["azureml-dataprep"])
    assert split_provided(["azureml-mlflow"])[0] == ["mlflow"]
    assert split_provided(["azureml-mlflow", "mlflow-skinny"])[0] == ["mlflow-skinny"]
    assert split_provided(["azureml-mlflow", "mlflow<3"])[0] == ["mlflow<3"]
    wanted, _ = split_provided(["azureml-dataset-runtime", "pandas==2.2", "pyarrow[x]"])
    assert wanted == ["pandas==2.2", "pyarrow[x]"]
