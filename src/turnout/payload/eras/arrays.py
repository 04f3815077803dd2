"""What stands in for gone names of NumPy and SciPy, where no single name of today does.

The first line of a docstring is what the run's log says. Everything takes what the gone one took.
"""

# The libraries are the run's, not ours.
# pyright: reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def minus_infinity() -> float:
    """-numpy.inf"""
    return -float("inf")


def zero() -> float:
    """0.0"""
    return 0.0


def minus_zero() -> float:
    """-0.0"""
    return -0.0


def asfarray(a: Any, dtype: Any = None) -> Any:
    """numpy.asarray with a float dtype"""
    import numpy

    if dtype is None or not numpy.issubdtype(dtype, numpy.inexact):
        dtype = numpy.float64
    return numpy.asarray(a, dtype=dtype)


def asscalar(a: Any) -> Any:
    """its method item"""
    return a.item()


def find_common_type(array_types: Any, scalar_types: Any) -> Any:
    """numpy.result_type"""
    import numpy

    kinds = {"b": False, "i": 0, "u": 0, "f": 0.0, "c": 0j}
    scalars = [kinds.get(numpy.dtype(t).kind, t) for t in scalar_types]
    return numpy.result_type(*array_types, *(scalars if array_types else scalar_types))


def in1d(ar1: Any, ar2: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    """numpy.isin of the flattened array"""
    import numpy

    return numpy.isin(numpy.ravel(ar1), ar2, assume_unique=assume_unique, invert=invert)


def msort(a: Any) -> Any:
    """numpy.sort along the first axis"""
    import numpy

    return numpy.sort(a, axis=0)


def sctypes() -> dict[str, list[Any]]:
    """a mapping of the same kinds"""
    import numpy

    kinds = {"int": numpy.signedinteger, "uint": numpy.unsignedinteger, "float": numpy.floating,
             "complex": numpy.complexfloating}  # fmt: skip
    sized = {numpy.dtype(code).type for code in "bhilqBHILQefdgFDG"}
    # One type for each size: "l" and "q" may be of the same.
    found: dict[str, list[Any]] = {}
    for name, kind in kinds.items():
        by_size = {numpy.dtype(t).itemsize: numpy.dtype(numpy.dtype(t).str).type
                   for t in sized if issubclass(t, kind)}  # fmt: skip
        found[name] = [by_size[size] for size in sorted(by_size)]
    found["others"] = [bool, object, bytes, str, numpy.void]
    return found


def bytescale(data: Any, cmin: Any = None, cmax: Any = None, high: int = 255, low: int = 0) -> Any:
    """turnout's own, with NumPy"""
    import numpy

    data = numpy.asarray(data)
    if data.dtype == numpy.uint8:
        return data
    cmin = data.min() if cmin is None else cmin
    cmax = data.max() if cmax is None else cmax
    scaled = (data - cmin) * (float(high - low) / ((cmax - cmin) or 1)) + low
    return (scaled.clip(low, high) + 0.5).astype(numpy.uint8)


def imread(name: Any, flatten: bool = False, mode: str | None = None) -> Any:
    """Pillow"""
    import numpy
    from PIL import Image

    with Image.open(name) as image:
        if mode is None and image.mode == "P":
            mode = "RGBA" if "transparency" in image.info else "RGB"
        shown = image.convert(mode) if mode else image
        return numpy.array(shown.convert("F") if flatten else shown)


def imsave(name: Any, arr: Any, format: str | None = None) -> None:
    """Pillow"""
    from PIL import Image

    Image.fromarray(bytescale(arr)).save(name, format)


def imresize(arr: Any, size: Any, interp: str = "bilinear", mode: str | None = None) -> Any:
    """Pillow"""
    import numpy
    from PIL import Image

    image = Image.fromarray(bytescale(arr))
    if mode is not None:
        image = image.convert(mode)
    if isinstance(size, (int, numpy.integer)):
        size = size / 100.0
    if isinstance(size, (float, numpy.floating)):
        shape = (int(image.size[0] * size), int(image.size[1] * size))
    else:
        shape = (int(size[1]), int(size[0]))
    ways = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "cubic": 3}
    return numpy.array(image.resize(shape, Image.Resampling(ways[interp])))


def binom_test(x: Any, n: Any = None, p: float = 0.5, alternative: str = "two-sided") -> float:
    """scipy.stats.binomtest"""
    from scipy.stats import binomtest

    if n is None:
        x, n = x[0], x[0] + x[1]
    return binomtest(int(x), int(n), p, alternative).pvalue


def itemfreq(a: Any) -> Any:
    """numpy.unique with counts"""
    import numpy

    values, counts = numpy.unique(a, return_counts=True)
    return numpy.array([values, counts]).T


def median_absolute_deviation(x: Any, axis: Any = 0, center: Any = None, scale: Any = 1.4826,
                              nan_policy: str = "propagate") -> Any:  # fmt: skip
    """scipy.stats.median_abs_deviation with scale=1.4826"""
    import numpy
    from scipy.stats import median_abs_deviation

    center = numpy.median if center is None else center
    return median_abs_deviation(x, axis, center, 1 / scale, nan_policy)
