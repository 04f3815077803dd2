"""A conda channel with a real Python and a real NumPy, made once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Test modules are imported by path: what they share is found beside them.
sys.path.insert(0, str(Path(__file__).parent))

from conda_steps import Steps

from turnout.environments import tools
from turnout.payload.builds import rattler_tool
from turnout.payload.builds.rattler_tool import ToolError
from turnout.testing.conda_channel import (
    PLACEHOLDER,
    CondaChannel,
    Package,
    add_python,
    add_site,
)
from turnout.testing.missing import missing


@pytest.fixture(scope="session")
def uv() -> Path:
    return tools.own_uv()


@pytest.fixture(scope="session")
def conda_root(tmp_path_factory: pytest.TempPathFactory, uv: Path) -> Path:
    """A host root that has the conda solver; its caches are shared."""
    root = tmp_path_factory.mktemp("host")
    try:
        rattler_tool.ensure(str(uv), str(root))
    except ToolError as e:
        missing(f"py-rattler comes from the package index: {e}")
    return root


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory, uv: Path) -> CondaChannel:
    folder = tmp_path_factory.mktemp("channels")
    made = CondaChannel(folder / "lab")
    add_python(made, versions=("3.6.15", "3.7.16"))
    site = folder / "numpy"
    argv = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, "--no-deps"]
    argv.append("--compile-bytecode")  # As conda's packages come.
    done = subprocess.run([*argv, "--target", str(site), "numpy"], capture_output=True, text=True)
    if done.returncode:
        missing(f"NumPy comes from the package index: {done.stderr[-300:]}")
    add_site(made, site, depends=("blas",))
    made.add(
        Package("blas", "1.0", "mkl", noarch="generic"),
        Package("blas", "1.0", "openblas", 1, noarch="generic"),
    )
    for version in ("1.0", "1.1", "1.2"):
        made.add(toy(version))
    made.add(
        Package("old", "0.20.3", depends=("python >=3.6,<3.8",)),
        Package("old", "0.23.0", depends=("python >=3.8",)),
        Package("old", "0.23.2", depends=("python >=3.8",)),
        Package("old", "1.0", depends=("python >=3.8",)),
        Package("needs-old-toy", "1.0", noarch="generic", depends=("toy <1.1",)),
        Package(
            *("settings", "1.0"),
            files={
                "etc/conda/activate.d/settings.sh": 'export SETTINGS_HOME="$CONDA_PREFIX/share"\n'
                "echo activating\n",
                "etc/conda/env_vars.d/settings.json": '{"SETTINGS_WORD": "it\'s here"}',
                "bin/.settings-post-link.sh": 'echo "$PKG_NAME" > "$PREFIX/share/linked.txt"\n',
                "share/place.txt": f"{PLACEHOLDER}/share\n",
            },
        ),
    )
    made.write()
    return made


def toy(version: str) -> Package:
    code = f"VERSION = {version!r}\n\n\ndef main():\n    print('toy', VERSION)\n"
    info = f"site-packages/toy-{version}.dist-info"
    files = {
        "site-packages/toy/__init__.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: toy\nVersion: {version}\n",
        f"{info}/RECORD": f"toy/__init__.py,,\n{info[14:]}/METADATA,,\n{info[14:]}/RECORD,,\n",
    }
    return Package(
        *("toy", version, "py_0", 0, ("python >=3.8",), (), "python"),
        files=files,
        entry_points=("toy = toy:main",),
    )


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Variables of builds that find pip's packages in `tmp_path / "wheels"` and nowhere else."""
    (tmp_path / "wheels").mkdir()
    return {
        **{"PATH": os.environ["PATH"], "HOME": str(tmp_path / "person")},
        **{"UV_CACHE_DIR": str(tmp_path / "uv-cache"), "UV_PYTHON_DOWNLOADS": "never"},
        **{"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "UV_HTTP_RETRIES": "0"},
        "PIP_FIND_LINKS": str(tmp_path / "wheels"),
    }


@pytest.fixture
def steps(conda_root: Path, environ: dict[str, str], uv: Path) -> Steps:
    return Steps(conda_root, environ, uv)


@pytest.fixture
def fresh_steps(
    tmp_path: Path, conda_root: Path, environ: dict[str, str], uv: Path
) -> Callable[[], Steps]:
    """Makes hosts that have the solver, but nothing in their caches."""

    def make() -> Steps:
        root = tmp_path / f"host-{len(list(tmp_path.glob('host-*')))}"
        (root / "tools").mkdir(parents=True)
        name = f"rattler-{rattler_tool.RELEASE}"
        (root / "tools" / name).symlink_to(conda_root / "tools" / name)
        return Steps(root, environ, uv)

    return make
