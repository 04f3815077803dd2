from __future__ import annotations

import sys
from pathlib import Path

# Tests are imported by path (importlib mode), so that a module beside them has to be findable.
sys.path.append(str(Path(__file__).parent))

from fake_v1 import client

__all__ = ["client"]
