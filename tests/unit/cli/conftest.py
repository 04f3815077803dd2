import sys
from pathlib import Path

# Tests are imported by path (importlib mode), so that a module beside them has to be findable.
sys.path.append(str(Path(__file__).parent))
