"""What an environment may ask for."""

from __future__ import annotations

import pytest

from turnout.spec.environments import EnvironmentSpec
from turnout.spec.errors import EnvironmentSpecError


@pytest.mark.parametrize("end", ["\0", "\n--pre", "\r--pre", "\x0b", "\x85", "\u2028"])
@pytest.mark.parametrize("line", ["idna @ https://x.example/idna.whl", "idna ; os_name > 'a'"])
def test_a_requirement_is_one_line(line: str, end: str) -> None:
    EnvironmentSpec(pip=(line, line.replace(" ", "\t"))).check()
    for spec in (EnvironmentSpec(pip=(line + end,)), EnvironmentSpec(conda=("a" + end,))):
        with pytest.raises(EnvironmentSpecError, match="not a package requirement"):
            spec.check()
