"""Any run configuration comes back from its file as it was."""

from __future__ import annotations

import string
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from turnout import CondaDependencies, RunConfiguration
from turnout.client import commented_yaml
from turnout.client.run_config import (
    DataReferenceConfiguration,
)

# What YAML may hold at all; others are refused when they are read.
TEXT = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufeff\ufffe\uffff"
    )
    | st.sampled_from("\t\n #:'\"-{}[]&*!|>%@`"),
    max_size=12,
)  # fmt: skip
NAME = st.text(string.ascii_letters + "_", min_size=1, max_size=8)
LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
DATA = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)


# How long it takes is the machine's matter.
@how(deadline=None)
@given(st.dictionaries(TEXT, DATA, min_size=1, max_size=4))
def test_any_data_is_read_as_it_was_written(data: dict[str, Any]) -> None:
    text = commented_yaml.render(data, {(key,): ["about it", "# more"] for key in data})
    assert yaml.safe_load(text) == data


@how(deadline=None)
@given(
    arguments=st.lists(TEXT | st.integers() | st.floats(allow_nan=False) | st.booleans()),
    variables=st.dictionaries(TEXT, TEXT),
    settings=st.dictionaries(TEXT, TEXT),
    pip=st.lists(st.sampled_from(["numpy", "pandas==2", "torch>1"]), unique=True),
    counts=st.tuples(st.integers(1, 99), st.integers(1, 99), st.none() | st.integers(1, 99)),
    switches=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    texts=st.tuples(TEXT, TEXT, TEXT),
)
def test_any_run_configuration_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    arguments: list[Any],
    variables: dict[str, str],
    settings: dict[str, str],
    pip: list[str],
    counts: tuple[int, int, int | None],
    switches: tuple[bool, bool, bool],
    texts: tuple[str, str, str],
) -> None:
    rc = RunConfiguration(texts[0], arguments)
    rc.environment_variables = variables
    rc.environment.environment_variables = dict(settings)
    rc.environment.python.conda_dependencies = CondaDependencies.create(pip_packages=pip)
    rc.environment.docker.shm_size = texts[1]
    rc.environment.docker.arguments = [texts[2], *variables]
    rc.node_count, rc.mpi.process_count_per_node, rc.max_run_duration_seconds = counts
    rc.environment.docker.enabled, rc.history.snapshot_project, rc.docker.use_docker = switches
    rc.data_references = {
        name: DataReferenceConfiguration(value, overwrite=switches[0])
        for name, value in settings.items()
    }
    path = tmp_path_factory.mktemp("x") / "a.runconfig"
    rc.save(path)
    found = RunConfiguration.load(path)
    rc.arguments = [str(value) for value in arguments]
    assert found == rc
    found.save()
    assert RunConfiguration.load(path) == rc
