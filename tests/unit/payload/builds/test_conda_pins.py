"""Pins that give way, on a small world of packages instead of a solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from turnout.environments.conda_list import parse
from turnout.payload.builds import conda_pins
from turnout.payload.builds.conda_pins import Impossible, Unsolvable


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def fits(version: str, bound: str) -> bool:
    sign = bound.rstrip("0123456789.*")
    number = bound[len(sign) :]
    if number.endswith(".*"):
        return numbers(version)[: number.count(".")] == numbers(number[:-2])
    one, two = numbers(version), numbers(number)
    return {">=": one >= two, "<": one < two, "==": one == two}[sign]


@dataclass
class World:
    """{name: {version: the Pythons it is for}}; packages depend on nothing but Python."""

    packages: dict[str, dict[str, Sequence[str]]]
    solves: int = 0

    def solve(self, specs: Sequence[str], lowest: bool = False) -> list[Any]:
        self.solves += 1
        wanted: dict[str, list[str]] = {"python": []}  # All depend on it.
        for spec in specs:
            name, _, rest = spec.partition("[")
            bounds = rest.partition("version='")[2].partition("'")[0]
            wanted.setdefault(name, []).extend(b for b in bounds.split(",") if b)
        choice = (lambda v: v) if lowest else reversed
        pythons = self.fitting("python", wanted.get("python", []))
        for python in choice(pythons):
            found = {"python": python}
            for name, bounds in wanted.items():
                if name == "python":
                    continue
                able = [
                    v
                    for v in self.fitting(name, bounds)
                    if any(python.startswith(p) for p in self.packages[name][v] or [""])
                ]
                if not able:
                    break
                found[name] = next(iter(choice(able)))
            else:
                return [
                    SimpleNamespace(name=SimpleNamespace(normalized=n), version=v)
                    for n, v in found.items()
                ]
        raise Unsolvable("No candidates were found")

    def fitting(self, name: str, bounds: Sequence[str]) -> list[str]:
        return [v for v in self.versions(name) if all(fits(v, b) for b in bounds)]

    def versions(self, name: str) -> list[str]:
        return sorted(self.packages.get(name, {}), key=numbers)

    def package_names(self) -> list[str]:
        return sorted(self.packages)


WORLD = {
    "python": dict.fromkeys(("3.6.9", "3.8.1", "3.8.5", "3.11.2", "3.11.7"), ()),
    "numpy": {"1.16.0": ("3.6",), "1.20.0": ("3.8",), "1.26.0": ("3.11",), "1.26.4": ("3.11",)},
    "sklearn": {
        **{"0.20.3": ("3.6",), "0.23.0": ("3.8",), "0.23.2": ("3.8",)},
        **{"1.2.0": ("3.8", "3.11"), "1.2.1": ("3.8", "3.11"), "1.5.0": ("3.11",)},
    },
}
FLOOR = {"text": "", "name": "python", "version": ">=3.8", "build": "", "channel": ""}


def as_request(line: str) -> dict[str, Any]:
    p = parse(line)
    return {
        **{"text": p.text, "name": p.name, "version": p.version},
        **{"build": p.build, "channel": p.channel},
    }


def solve(*lines: str, pins: str = "nearest") -> tuple[dict[str, str], dict[str, str]]:
    """(versions by name, what was installed instead by requirement)."""
    packages = [as_request(line) for line in lines]
    records, relaxed = conda_pins.solve(World(WORLD), [*packages, FLOOR], pins)
    return {r.name.normalized: r.version for r in records}, {
        word["text"]: word["version"] for word in relaxed
    }


def test_what_can_be_had_is_had_with_one_solve() -> None:
    world = World(WORLD)
    conda_pins.solve(world, [FLOOR], "nearest")
    assert world.solves == 1
    found, relaxed = solve("python=3.11", "sklearn=1.2")
    assert found == {"python": "3.11.7", "sklearn": "1.2.1"}
    assert relaxed == {}


def test_an_old_python_becomes_the_nearest_that_turnout_runs_on() -> None:
    found, relaxed = solve("python=3.6.2", "sklearn")
    # The nearest minor version, and the last patch of it.
    assert found["python"] == "3.8.5"
    assert relaxed == {"python=3.6.2": "3.8.5"}
    # It is the person's other wish that decides how near.
    assert solve("python=3.6.2", "numpy=1.26")[0]["python"] == "3.11.7"


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        # As close as it was pinned: the last patch of the nearest series.
        (("sklearn=0.20",), "0.23.2"),
        (("sklearn=0.20.3",), "0.23.0"),
        (("sklearn==0.20.3",), "0.23.0"),
        (("sklearn=0.20", "python=3.11"), "1.2.1"),
        (("sklearn==0.21", "python=3.11"), "1.2.0"),
        (("sklearn=0.20", "python=3.6.2"), "0.23.2"),
        (("sklearn=0.20", "numpy=1.26"), "1.2.1"),
    ],
)
def test_a_pin_that_cannot_be_had_gives_way(lines: tuple[str, ...], version: str) -> None:
    found, relaxed = solve(*lines)
    assert found["sklearn"] == version
    assert relaxed[lines[0]] == version


def test_nothing_else_gives_way() -> None:
    found, relaxed = solve("sklearn=0.20", "numpy=1.20")
    assert found["numpy"] == "1.20.0"
    assert list(relaxed) == ["sklearn=0.20"]


def test_what_is_not_restricted_counts_when_nothing_else_fits() -> None:
    world = {**WORLD, "young": {"1.0.0": ("3.11",)}}
    packages = [as_request(line) for line in ("python=3.6.2", "young")]
    records, relaxed = conda_pins.solve(World(world), [*packages, FLOOR], "nearest")
    assert {r.name.normalized: r.version for r in records} == {
        "python": "3.11.7",
        "young": "1.0.0",
    }
    assert relaxed[0]["version"] == "3.11.7"


def facts(*lines: str, pins: str = "nearest") -> tuple[str, dict[str, Any]]:
    with pytest.raises(Impossible) as caught:
        solve(*lines, pins=pins)
    return caught.value.kind, caught.value.facts


def test_exact_pins_fail_by_their_names() -> None:
    kind, found = facts("sklearn=0.20", "numpy", "python=3.11", pins="exact")
    assert kind == "hopeless"
    (package,) = found["packages"]
    assert package["text"] == "sklearn=0.20"
    assert package["exists"]
    assert package["python"] == "python=3.11"
    assert package["versions"] == ["0.20.3", "0.23.0", "0.23.2", "1.2.0", "1.2.1", "1.5.0"]


def test_a_pin_with_nothing_newer_fails_by_its_name() -> None:
    kind, found = facts("sklearn=7", "numpy=1.20")
    assert kind == "hopeless"
    assert [(p["text"], p["exists"]) for p in found["packages"]] == [("sklearn=7", False)]
    assert facts("sklearn>=7")[1]["packages"][0]["pin"] is False
    assert facts("python=3.99")[1]["packages"][0]["text"] == "python=3.99"


def test_unknown_packages_are_named_with_similar_ones() -> None:
    kind, found = facts("sklaern=0.20", "numpi", "numpy")
    assert kind == "unknown"
    assert [(p["name"], p["near"]) for p in found["packages"]] == [
        ("sklaern", ["sklearn"]),
        ("numpi", ["numpy"]),
    ]


def test_a_channel_without_pip_is_no_failure() -> None:
    packages = [as_request(line) for line in ("pip", "sklearn=0.20")]
    records, relaxed = conda_pins.solve(World(WORLD), [*packages, FLOOR], "nearest")
    assert {r.name.normalized for r in records} == {"python", "sklearn"}
    assert [word["text"] for word in relaxed] == ["sklearn=0.20", "pip"]


def test_packages_that_contradict_each_other_do_not_give_way() -> None:
    kind, _ = facts("sklearn=1.5", "numpy=1.20")
    assert kind == "contradiction"
