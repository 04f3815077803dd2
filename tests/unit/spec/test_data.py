"""Names of data."""

from __future__ import annotations

import pytest

from turnout.spec.data import check_dataset_name
from turnout.spec.errors import UserError


@pytest.mark.parametrize("name", ["d", "diabetes dataset", "a.b-c_d 1", "x" * 128])
def test_names_of_datasets(name: str) -> None:
    assert check_dataset_name(name) == name


@pytest.mark.parametrize("name", ["", " d", "d ", "a/b", "a\tb", "é", "..", "x" * 129])
def test_what_cannot_name_a_dataset(name: str) -> None:
    with pytest.raises(UserError, match="cannot name a dataset"):
        check_dataset_name(name)
