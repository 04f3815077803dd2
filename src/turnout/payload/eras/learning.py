"""What stands in for gone names of scikit-learn and of what draws, where no single name does.

The first line of a docstring is what the run's log says. Everything takes what the gone one took.
"""

# The libraries are the run's, not ours.
# pyright: reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def imputer(missing_values: Any = "NaN", strategy: str = "mean", axis: int = 0, verbose: int = 0,
            copy: bool = True) -> Any:  # fmt: skip
    """sklearn.impute.SimpleImputer"""
    import numpy
    from sklearn.impute import SimpleImputer

    if axis != 0:
        raise TypeError("turnout's stand-in for Imputer fills columns (axis=0) only.")
    missing = numpy.nan if missing_values == "NaN" else missing_values
    return SimpleImputer(missing_values=missing, strategy=strategy, copy=copy)


def get_feature_names(self: Any, *input_features: Any) -> list[str]:
    """get_feature_names_out"""
    return self.get_feature_names_out(*input_features).tolist()


def scorers() -> dict[str, Any]:
    """a mapping of sklearn.metrics.get_scorer"""
    from sklearn.metrics import get_scorer, get_scorer_names

    return {name: get_scorer(name) for name in get_scorer_names()}


def linear_assignment(cost: Any) -> Any:
    """scipy.optimize.linear_sum_assignment"""
    import numpy
    from scipy.optimize import linear_sum_assignment

    return numpy.transpose(linear_sum_assignment(cost))


def normpdf(x: Any, mu: Any, sigma: Any) -> Any:
    """turnout's own, with NumPy"""
    import numpy

    away = (numpy.asarray(x) - mu) / sigma
    return numpy.exp(-0.5 * away * away) / (numpy.sqrt(2 * numpy.pi) * sigma)


def factorplot(*args: Any, **options: Any) -> Any:
    """seaborn.catplot(kind="point")"""
    import seaborn

    if "size" in options:
        options["height"] = options.pop("size")
    options.setdefault("kind", "point")
    return seaborn.catplot(*args, **options)


def textsize(self: Any, text: str, font: Any = None, spacing: float = 4, **options: Any) -> Any:
    """ImageDraw.textbbox"""
    left, _, right, bottom = self.textbbox((0, 0), text, font, spacing=spacing, **options)
    return right - left, bottom


def getsize(self: Any, text: str, *args: Any, **options: Any) -> Any:
    """FreeTypeFont.getbbox"""
    left, _, right, bottom = self.getbbox(text, "", *args, **options)
    return right - left, bottom


def whole(self: Any) -> Any:
    """dataset[()]"""
    return self[()]
