"""Which PyPI packages a conda environment has."""

from __future__ import annotations

import zipfile
from pathlib import Path

from turnout.payload.builds import conda_pip


def test_python_packages_by_their_pypi_names() -> None:
    found = conda_pip.provided_by(
        [
            {"name": "python", "version": "3.11.7", "depends": ["openssl"]},
            {"name": "openssl", "version": "3.2.0", "depends": []},
            {"name": "numpy", "version": "1.26.4", "depends": ["python >=3.11,<3.12", "blas"]},
            {"name": "pytorch", "version": "2.1.0", "depends": ["python_abi 3.11.*"]},
            {"name": "python-tzdata", "version": "2023c", "noarch": "python"},
            {"name": "six", "version": "1.16.0", "noarch": "python", "depends": [""]},
            {"name": "fonts", "version": "1", "noarch": "generic"},
        ]
    )
    # Not 2023c: PyPI has no such version.
    assert found == {"numpy": "1.26.4", "torch": "2.1.0", "six": "1.16.0"}


def test_stand_ins_are_wheels_without_content(tmp_path: Path) -> None:
    path = conda_pip.stub(str(tmp_path), "scikit-learn", "1.5.0")
    assert Path(path).name == "scikit_learn-1.5.0-py3-none-any.whl"
    with zipfile.ZipFile(path) as archive:
        metadata = archive.read("scikit_learn-1.5.0.dist-info/METADATA").decode()
        assert all(name.startswith("scikit_learn-1.5.0.dist-info/") for name in archive.namelist())
    assert "Name: scikit-learn\nVersion: 1.5.0\n" in metadata
    assert "Requires-Dist" not in metadata
