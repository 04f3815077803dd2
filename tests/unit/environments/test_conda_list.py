"""Conda lists: every form that people write, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.environments.conda_list import parse, resolve_channel, split_provided
from turnout.spec.errors import EnvironmentSpecError


@pytest.mark.parametrize(
    ("line", "name", "version", "build", "channel"),
    [
        ("numpy", "numpy", "", "", ""),
        ("NumPy  # fast", "numpy", "", "", ""),
        ("python=3.11", "python", "3.11.*", "", ""),
        ("python=3.11.*", "python", "3.11.*", "", ""),
        ("python==3.6.2", "python", "==3.6.2", "", ""),
        ("python 3.6.2", "python", "==3.6.2", "", ""),
        ("a>=1,<3", "a", "<3,>=1", "", ""),
        ("a >= 1 , < 3", "a", "<3,>=1", "", ""),
        ("a <3,>=1", "a", "<3,>=1", "", ""),
        ("a 1.*", "a", "1.*", "", ""),
        ("a=*", "a", "", "", ""),
        ("a>=1.*", "a", ">=1", "", ""),
        ("a!=1.*", "a", "!=1.*", "", ""),
        ("a~=1.2", "a", "~=1.2", "", ""),
        ("a=1.0|2.0", "a", "1.0.*|==2.0", "", ""),
        ("a===1.0", "a", "==1.0", "", ""),
        ("pkg=1.2=build_0", "pkg", "==1.2", "build_0", ""),
        ("pkg==1.0.*=*_cp", "pkg", "1.0.*", "*_cp", ""),
        ("pkg 1.2 py_0", "pkg", "==1.2", "py_0", ""),
        ("blas=*=openblas", "blas", "", "openblas", ""),
        ("blas=*=*", "blas", "", "", ""),
        ("pytorch=2.1=cpu*", "pytorch", "==2.1", "cpu*", ""),
        ("conda-forge::pandas", "pandas", "", "", "conda-forge"),
        ("conda-forge/label/dev::pandas=2", "pandas", "2.*", "", "conda-forge/label/dev"),
        ("https://h.example/c::p=1", "p", "1.*", "", "https://h.example/c"),
        ("file:///srv/c::p", "p", "", "", "file:///srv/c"),
        ("pkg[version='>=1']", "pkg", ">=1", "", ""),
        ('pkg[version=">=1,<2", build=py*]', "pkg", "<2,>=1", "py*", ""),
        ("pkg[version='=1.5',channel='lab']", "pkg", "1.5.*", "", "lab"),
        ("_libgcc_mutex", "_libgcc_mutex", "", "", ""),
        ("libstdcxx-ng=9", "libstdcxx-ng", "9.*", "", ""),
        ("ruamel.yaml=0.16", "ruamel.yaml", "0.16.*", "", ""),
        ("jpeg=9e", "jpeg", "9e.*", "", ""),
        ("tzdata==2023c", "tzdata", "==2023c", "", ""),
        ("a=1!2.0", "a", "1!2.0.*", "", ""),
        ("a=1.0+cpu", "a", "1.0+cpu.*", "", ""),
    ],
)
def test_forms(line: str, name: str, version: str, build: str, channel: str) -> None:
    found = parse(line)
    assert (found.name, found.version, found.build, found.channel) == (
        *(name, version),
        *(build, channel),
    )


@pytest.mark.parametrize(
    "line",
    [
        *("", "bad spec ===", "a==", "a=>1", "a>", "a>=1,,<2", "a 1 2 3", "a,b", "=1", "::a"),
        *("a=1=b=c", "a[version]", "a[version='>=1'", "a]", "a @ https://x/y.whl", "./a", "-e ."),
        *("git+https://x/y", "a;python_version<'3'", "a b[version='1']x", "a[=1]", "a\tb c d"),
        *("a>*", "a[version='>=1',version='<2']", "a[md5='00']", "a=$(id)", "a'b", "ä=1"),
    ],
)
def test_what_is_no_requirement_is_named(line: str) -> None:
    with pytest.raises(EnvironmentSpecError) as caught:
        parse(line)
    assert f"'{line}'" in str(caught.value)
    assert "Write" in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(line: str) -> None:
    try:
        found = parse(line)
    except EnvironmentSpecError:
        return
    # What is read stays within the solver's form: no quote or bracket gets there.
    assert not set("'\"[] \t\n") & set(found.name + found.version + found.build)


@given(st.lists(st.sampled_from([">=1", "<3", "!=2.1", "<=2.9"]), min_size=1, unique=True))
def test_the_order_of_bounds_does_not_matter(bounds: list[str]) -> None:
    one, two = (parse("a" + ",".join(b)).version for b in (bounds, bounds[::-1]))
    assert one == two


def test_names_that_turnout_stands_for_are_left_out() -> None:
    packages, provided = split_provided(
        ["scikit-learn=1.5", "azureml-defaults", "Scikit-Learn=1.5.*", "azureml-core=1.0"]
    )
    assert [p.name for p in packages] == ["scikit-learn"]
    assert packages[0].text == "scikit-learn=1.5"
    assert provided == ["azureml-core", "azureml-defaults"]


@pytest.mark.parametrize(
    ("name", "shown", "address"),
    [
        ("conda-forge", "conda-forge", "https://conda.anaconda.org/conda-forge"),
        ("pytorch/label/nightly", None, "https://conda.anaconda.org/pytorch/label/nightly"),
        ("defaults", "defaults", "https://repo.anaconda.com/pkgs/main"),
        ("lab", "lab", "https://mirror.example.org/lab"),
        ("shelf", "shelf", "file:///srv/shelf"),
        ("https://h.example/c/", "https://h.example/c", "https://h.example/c"),
        ("/srv/my channel/", "my%20channel", "file:///srv/my%20channel"),
        ("file:///srv/c", "c", "file:///srv/c"),
    ],
)
def test_channels(name: str, shown: str | None, address: str) -> None:
    known = {"lab": "https://mirror.example.org/lab/", "shelf": "/srv/shelf"}
    found = resolve_channel(name, known)
    assert found.address == address
    assert found.name == (shown or name)


@pytest.mark.parametrize("name", ["./here", "../c", "~/c", "a b", "ftp://x/y", "", "-x", "a'b"])
def test_what_is_no_channel(name: str) -> None:
    with pytest.raises(EnvironmentSpecError, match="not a conda channel"):
        resolve_channel(name, {})


@pytest.mark.parametrize("secret", ["https://u:sesame@h/c", "https://h/t/sesame/c"])
def test_a_channels_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(EnvironmentSpecError) as caught:
        resolve_channel(secret, {})
    assert "sesame" not in str(caught.value)
    assert ".netrc" in str(caught.value)


def test_a_setting_that_is_no_address() -> None:
    with pytest.raises(EnvironmentSpecError, match="setting of the channel 'lab'"):
        resolve_channel("lab", {"lab": "mirror"})
