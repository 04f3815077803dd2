"""Examples in docstrings."""

import doctest

import pytest

from turnout.portal import downloads, forms, pages
from turnout.portal.views import run_files, sign_in


@pytest.mark.parametrize("module", [downloads, forms, pages, run_files, sign_in])
def test_examples(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted
    assert not found.failed
