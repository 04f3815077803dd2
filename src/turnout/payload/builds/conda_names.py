"""What conda's packages are called on PyPI, and which of them PyPI does not have.

Used where no channel can be reached, or none is wanted; and to know what a conda package stands
for when the pip part is solved. A name that is not here is passed on as it is.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

#: conda name -> PyPI name, where they differ by more than case, `-`, `_` and `.`.
RENAMED = {
    # Learning
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "torchvision-cpu": "torchvision",
    "torchaudio-cpu": "torchaudio",
    "pytorch_geometric": "torch-geometric",
    "pytorch_scatter": "torch-scatter",
    "pytorch_sparse": "torch-sparse",
    "pytorch_cluster": "torch-cluster",
    "pyg": "torch-geometric",
    "ignite": "pytorch-ignite",
    "cupy": "cupy-cuda12x",
    "tensorflow-gpu": "tensorflow",
    "tensorflow-mkl": "tensorflow",
    "tensorflow-eigen": "tensorflow",
    "tensorflow-base": "tensorflow",
    "tensorflow-gpu-base": "tensorflow",
    "keras-gpu": "keras",
    "keras-base": "keras",
    "keras-base-gpu": "keras",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "py-xgboost-gpu": "xgboost",
    "xgboost-cpu": "xgboost",
    "xgboost-gpu": "xgboost",
    "mxnet-mkl": "mxnet",
    "onnxruntime-cpu": "onnxruntime",
    "faiss": "faiss-cpu",
    "python-annoy": "annoy",
    "ray-core": "ray",
    "ray-default": "ray",
    "ray-tune": "ray",
    "ray-rllib": "ray",
    "ray-all": "ray",
    "gym-all": "gym",
    "fbprophet": "prophet",
    "spacy-model-en_core_web_sm": "en-core-web-sm",
    "spacy-model-en_core_web_md": "en-core-web-md",
    "umap": "umap-learn",
    # Data
    "numpy-base": "numpy",
    "pytables": "tables",
    "msgpack-python": "msgpack",
    "dask-core": "dask",
    "pyarrow-core": "pyarrow",
    "pyarrow-all": "pyarrow",
    "python-blosc": "blosc",
    "python-lmdb": "lmdb",
    "python-duckdb": "duckdb",
    "python-xxhash": "xxhash",
    "python-zstd": "zstd",
    "zstandard-python": "zstandard",
    "brotli-python": "brotli",
    "python-leveldb": "leveldb",
    "python-tzdata": "tzdata",
    "python-fastjsonschema": "fastjsonschema",
    "python-flatbuffers": "flatbuffers",
    "python-igraph": "igraph",
    "python-graphviz": "graphviz",
    "python-kaleido": "kaleido",
    "python-hdfs": "hdfs",
    "python-kubernetes": "kubernetes",
    "python-clang": "clang",
    "python-wget": "wget",
    "python-eccodes": "eccodes",
    "python-confluent-kafka": "confluent-kafka",
    "python-levenshtein": "levenshtein",
    "psycopg2": "psycopg2-binary",
    "redis-py": "redis",
    "docker-py": "docker",
    "azure-storage": "azure-storage-blob",
    # Pictures, sound, maps, windows
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "pil": "pillow",
    "pillow-simd": "pillow",
    "matplotlib-base": "matplotlib",
    "seaborn-base": "seaborn",
    "geopandas-base": "geopandas",
    "iris": "scitools-iris",
    "openbabel": "openbabel-wheel",
    "pysoundfile": "soundfile",
    "python-soundfile": "soundfile",
    "python-sounddevice": "sounddevice",
    "pyqt": "pyqt5",
    "pyqt-base": "pyqt5",
    # Around them
    "beautiful-soup": "beautifulsoup4",
    "bs4": "beautifulsoup4",
    "git-python": "gitpython",
    "pynvml": "nvidia-ml-py",
    "uvicorn-standard": "uvicorn",
    "notebook-base": "notebook",
}
#: conda's collections.
SEVERAL = {
    "anaconda": ("numpy", "scipy", "pandas", "matplotlib", "scikit-learn", "jupyter"),
}
#: Not needed with PyPI's wheels, which bring what they need; or made by the environment itself.
LEFT_OUT = {
    "blas": "PyPI's packages bring their own",
    "mkl": "PyPI's packages bring OpenBLAS",
    "nomkl": "PyPI's packages bring OpenBLAS",
    "mkl_fft": "PyPI's numpy does without",
    "mkl_random": "PyPI's numpy does without",
    "mkl-service": "PyPI's packages bring OpenBLAS",
    "intel-openmp": "PyPI's packages bring their own",
    "openblas": "PyPI's packages bring their own",
    "llvm-openmp": "PyPI's packages bring their own",
    "ca-certificates": "the machine has its own",
    "tzdata": "the machine has it",
    "python_abi": "it says only which Python",
    "_libgcc_mutex": "it has no content",
    "_openmp_mutex": "it has no content",
    "conda": "nothing in the environment needs it",
    "mamba": "nothing in the environment needs it",
    "conda-build": "nothing in the environment needs it",
    "nb_conda": "it has no use without conda",
    "nb_conda_kernels": "it has no use without conda",
    "cpuonly": "PyPI's torch has one build for all",
    "pytorch-mutex": "it only chooses a build",
    "_py-xgboost-mutex": "it only chooses a build",
    "nltk_data": "nltk downloads it",
    "tensorflow-estimator": "tensorflow brings it",
    "arrow-cpp": "PyPI's pyarrow brings its own",
    "hdf5": "PyPI's h5py and tables bring their own",
    "geos": "PyPI's shapely brings its own",
    "proj": "PyPI's pyproj brings its own",
    "yaml": "PyPI's pyyaml brings its own",
    "zeromq": "PyPI's pyzmq brings its own",
    **dict.fromkeys(
        (
            *("jpeg", "freetype", "snappy", "lz4-c", "zstd", "expat", "fontconfig", "glib"),
            *("gstreamer", "gst-plugins-base", "icu", "pcre", "pcre2", "pixman", "cairo", "gmp"),
            *("harfbuzz", "graphite2", "mpfr", "mpc", "krb5", "c-ares", "nghttp2", "dbus", "qt"),
            *("qt-main", "tbb", "giflib", "lcms2", "openjpeg", "jxrlib", "lerc", "zfp", "charls"),
            *("alsa-lib", "nspr", "nss", "mysql-libs", "mysql-common", "gflags", "glog", "re2"),
            *("orc", "keyutils", "attr", "ld_impl_linux-64", "kernel-headers_linux-64", "gettext"),
            *("utf8proc", "grpc-cpp", "double-conversion", "boost-cpp", "bzip2", "xz", "openssl"),
            *("sqlite", "readline", "ncurses", "tk", "zlib", "metis", "suitesparse", "dav1d"),
        ),
        "it is a library, and PyPI's packages bring what they need",
    ),
    **dict.fromkeys(
        ("dataclasses", "enum34", "futures", "typing", "pathlib", "asyncio", "argparse"),
        "Python has it",
    ),
}
LEFT_OUT_LIKE = (
    (r"libgcc.*|libgomp.*|libstdcxx.*", "the machine has it"),
    (
        # Those of PyPI that begin like a library.
        r"lib(?!rosa$|cst$|svm$|sass$|tmux$|pysal$|archive-c$|usb1$|neuroml$).+|aws-c.*|xorg-.*",
        "it is a library, and PyPI's packages bring what they need",
    ),
    (
        r"vs20\d\d_runtime|vc|vc14_runtime|ucrt|m2w64-.*|msys2-.*|icc_rt|console_shortcut|pywin32"
        r"|pywinpty|wincertstore|win_inet_pton",
        "it is for Windows",
    ),
    (
        r"cudatoolkit.*|cuda-toolkit|cudnn|cuda|cuda-(?:runtime|cudart|libraries|nvrtc|cupti|version)"
        r"|pytorch-cuda|nccl|libcublas|libcudnn.*|libcufft|libcurand|libcusolver|libcusparse",
        "PyPI's packages bring the CUDA libraries that they need",
    ),
    (r"blas-devel", "PyPI's packages bring their own"),
)
#: PyPI has nothing like these; what to do instead.
SYSTEM = "Install it on the target (on Debian: apt install %s), or use a conda channel."
NOT_THERE = {
    "openmpi": SYSTEM % "openmpi-bin libopenmpi-dev",
    "mpich": SYSTEM % "mpich",
    "mpi": SYSTEM % "openmpi-bin",
    "ffmpeg": SYSTEM % "ffmpeg" + " PyPI's imageio-ffmpeg has the program too.",
    "graphviz": SYSTEM % "graphviz" + " The Python package is python-graphviz.",
    "git": SYSTEM % "git",
    "git-lfs": SYSTEM % "git-lfs",
    "gdal": SYSTEM % "gdal-bin libgdal-dev" + " PyPI's rasterio and fiona bring it along.",
    "make": SYSTEM % "make",
    "compilers": SYSTEM % "build-essential gfortran",
    "c-compiler": SYSTEM % "build-essential",
    "cxx-compiler": SYSTEM % "build-essential",
    "fortran-compiler": SYSTEM % "gfortran",
    "gcc": SYSTEM % "gcc",
    "gxx": SYSTEM % "g++",
    "openjdk": SYSTEM % "default-jre-headless",
    "java-jdk": SYSTEM % "default-jre-headless",
    "maven": SYSTEM % "maven",
    "nodejs": SYSTEM % "nodejs",
    "tesseract": SYSTEM % "tesseract-ocr",
    "pandoc": SYSTEM % "pandoc",
    "wget": SYSTEM % "wget",
    "curl": SYSTEM % "curl",
    **{
        name: SYSTEM % name
        for name in (
            *("htop", "tmux", "unzip", "zip", "jq", "patch", "vim", "nano", "rsync", "tree"),
            *("screen", "parallel", "aria2", "lftp", "gnuplot", "octave", "samtools", "bcftools"),
            *("bedtools", "bwa", "bowtie2", "m4", "autoconf", "automake", "doxygen"),
        )
    },
    "unixodbc": SYSTEM % "unixodbc",
    "psi4": "Use a conda channel.",
    "fenics": "Use a conda channel.",
    "esmf": "Use a conda channel.",
    "esmpy": "Use a conda channel.",
    "p7zip": SYSTEM % "p7zip-full",
    "imagemagick": SYSTEM % "imagemagick",
    "postgresql": SYSTEM % "postgresql",
    "mysql": SYSTEM % "default-mysql-server",
    "redis": SYSTEM % "redis" + " The Python package is redis-py.",
    "mongodb": SYSTEM % "mongodb",
    "boost": SYSTEM % "libboost-all-dev",
    "eigen": SYSTEM % "libeigen3-dev",
    "fftw": SYSTEM % "libfftw3-dev",
    "gsl": SYSTEM % "libgsl-dev",
    "perl": SYSTEM % "perl",
    "ruby": SYSTEM % "ruby",
    "go": SYSTEM % "golang",
    "rust": SYSTEM % "cargo",
    "nvcc": "It comes with NVIDIA's CUDA toolkit: install that on the target.",
    "cuda-nvcc": "It comes with NVIDIA's CUDA toolkit: install that on the target.",
    "rapids": "Use a conda channel (rapidsai).",
    "cudf": "Use a conda channel (rapidsai).",
    "cuml": "Use a conda channel (rapidsai).",
    "graph-tool": SYSTEM % "python3-graph-tool",
    "pythonocc-core": "Use a conda channel.",
    "julia": "Install it on the target, or use a conda channel.",
}
NOT_THERE_LIKE = (
    (r"(?:r|mro|bioconductor)-.*|r|_r-mutex", "R packages need a conda channel."),
    (r"(?:gcc|gxx|gfortran|clang|clangxx|binutils|sysroot|ld)_.*", SYSTEM % "build-essential"),
    (r"perl-.*", "Perl packages need a conda channel."),
    (r"mesa-.*", "Install it on the target, or use a conda channel."),
)


class Mapped:
    """A conda list as PyPI's."""

    def __init__(self) -> None:
        #: Requirements, one a line.
        self.pip: list[str] = []
        #: What was done otherwise than asked.
        self.notes: list[str] = []
        #: "3.11", "3.11.7" or a range; None: any.
        self.python: str | None = None
        #: (the line as it was written, why PyPI cannot give it and what to do).
        self.impossible: list[tuple[str, str]] = []


def pypi_names(name: str) -> tuple[str, ...]:
    """The PyPI names that a conda package stands for, in PyPI's one form."""
    low = name.lower()
    if low in SEVERAL:
        return SEVERAL[low]
    return (re.sub(r"[-_.]+", "-", RENAMED.get(low, low)),)


def left_out(name: str) -> str:
    """Why PyPI's packages do without it; "" for what is needed."""
    if name in LEFT_OUT:
        return LEFT_OUT[name]
    return next((why for like, why in LEFT_OUT_LIKE if re.fullmatch(like, name)), "")


def not_there(name: str) -> str:
    """What to do about a package that PyPI lacks; "" when it may have it."""
    if name in NOT_THERE:
        return NOT_THERE[name]
    return next((do for like, do in NOT_THERE_LIKE if re.fullmatch(like, name)), "")


def to_pip(packages: Iterable[dict[str, Any]]) -> Mapped:
    """The packages of `request.json` in PyPI's names and versions."""
    mapped = Mapped()
    for package in packages:
        text, name = package["text"], package["name"]
        version = pypi_version(package["version"])
        if name == "python":
            # The pip builder takes "3.11" or a range.
            plain = version.replace("==", "").replace(".*", "") if "," not in version else version
            mapped.python = plain or mapped.python
        elif do := not_there(name):
            mapped.impossible.append((text, "is a conda package that PyPI does not have. %s" % do))
        elif name == "pip":
            continue  # In every list, and missed by nobody.
        elif why := left_out(name):
            mapped.notes.append("'%s' is left out: %s." % (text, why))
        else:
            add(mapped, text, name, version, package["build"])
    return mapped


def add(mapped: Mapped, text: str, name: str, version: str, build: str) -> None:
    names = pypi_names(name)
    # Several packages in place of one have versions of their own.
    lines = [n + (version if len(names) == 1 else "") for n in names]
    mapped.pip += [line for line in lines if line not in mapped.pip]
    if names != (re.sub(r"[-_.]+", "-", name),):
        mapped.notes.append("'%s' is installed from PyPI as %s." % (text, ", ".join(lines)))
    if build:
        mapped.notes.append(
            "'%s': PyPI has no builds to choose from, so '%s' is left out." % (text, build)
        )


def pypi_version(version: str) -> str:
    """PyPI's form of a version in the solver's: "1.5.*" becomes "==1.5.*"."""
    # PyPI has no "or": the highest of the alternatives.
    parts = version.split("|")[-1].split(",")
    return ",".join("==" + part if part[:1].isalnum() else part for part in parts)
