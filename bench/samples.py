"""The scripts and folders that every way is measured with."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

#: The first line that a script runs tells when that was.
STAMP = "import time; open({stamp!r}, 'w').write(repr(time.time()))\n"
TRIVIAL = "print('hello')\n"
TRAINING = """
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

x, y = load_diabetes(return_X_y=True)
a, b, c, d = train_test_split(x, y, random_state=0)
for i in range(10):
    print(i / 10, Ridge(alpha=i / 10).fit(a, c).score(b, d))
"""
TREE_FILES = 5000
TREE_BYTES = 50_000_000


@dataclass(frozen=True)
class Sample:
    """A folder with one train.py, and the file that its first line writes."""

    name: str
    folder: Path
    stamp: Path

    @property
    def script(self) -> Path:
        return self.folder / "train.py"


def make_sample(root: Path, name: str, body: str) -> Sample:
    folder = root / name
    folder.mkdir(parents=True)
    stamp = root / f"{name}.stamp"
    (folder / "train.py").write_text(STAMP.format(stamp=str(stamp)) + body)
    return Sample(name, folder, stamp)


def make_tree(sample: Sample) -> Path:
    """Put 5,000 files of together 50 MB, half of it compressible, beside the script."""
    chance = random.Random(0)
    size = TREE_BYTES // TREE_FILES
    for i in range(TREE_FILES):
        path = sample.folder / f"part{i // 100}" / f"file{i}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(chance.randbytes(size // 2) + b"x = 1\n" * (size // 12))
    return sample.folder
