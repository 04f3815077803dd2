"""Environments that every workspace has, as data; v1's curated names lead to them by family."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout.spec.definitions import EnvironmentDefinition, PythonDefinition


@dataclass(frozen=True)
class Curated:
    """One environment. A change of its packages is a new `version`."""

    description: str
    pip: tuple[str, ...] = ()
    pip_options: tuple[str, ...] = ()
    version: str = "1"
    #: Words in v1's names ("AzureML-sklearn-0.24-ubuntu18.04-py37-cpu") that mean this one.
    families: tuple[str, ...] = field(default=())

    @property
    def definition(self) -> EnvironmentDefinition:
        return EnvironmentDefinition(
            python=PythonDefinition(pip=self.pip, pip_options=self.pip_options)
        )


DATA = ("numpy", "pandas>=2,<3", "scipy>=1.10,<2")
CURATED: Mapping[str, Curated] = {
    "minimal": Curated(
        "Python and nothing else. Clone it and add packages.", families=("minimal", "sidecar")
    ),
    "scikit-learn": Curated(
        "scikit-learn with pandas, SciPy, matplotlib and joblib.",
        (*DATA, "scikit-learn>=1.3,<2", "joblib", "matplotlib>=3.7,<4"),
        families=("scikit-learn", "sklearn", "tutorial"),
    ),
    "pytorch-cpu": Curated(
        "PyTorch and torchvision for processors, from PyTorch's own index.",
        ("numpy", "torch>=2.2,<3", "torchvision", "tensorboard>=2.14,<3"),
        # The builds for processors are there alone; what PyPI has brings 2 GB for GPUs.
        ("--extra-index-url=https://download.pytorch.org/whl/cpu",),
        families=("pytorch",),
    ),
    "xgboost-lightgbm": Curated(
        "XGBoost and LightGBM with scikit-learn and pandas.",
        (*DATA, "scikit-learn>=1.3,<2", "xgboost>=2,<4", "lightgbm>=4,<5"),
        families=("xgboost", "lightgbm"),
    ),
}
#: What v1's curated environments begin with. Nobody may register such a name, there as here.
V1_PREFIX = re.compile(r"(azureml|microsoft)", re.IGNORECASE)


def find(name: str) -> Curated | None:
    """The curated environment of this name, ours or v1's."""
    if name in CURATED:
        return CURATED[name]
    if not V1_PREFIX.match(name):
        return None
    for curated in CURATED.values():
        if any(re.search(rf"\b{re.escape(word)}\b", name.lower()) for word in curated.families):
            return curated
    return None


def is_reserved(name: str) -> bool:
    return name in CURATED or V1_PREFIX.match(name) is not None
