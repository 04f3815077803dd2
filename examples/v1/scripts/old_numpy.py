"""A script of 2018: today's NumPy has no `np.float` and no `np.int`; in a run they come back."""

import numpy as np
from azureml.core import Run

xs = np.arange(10, dtype=np.float)
run = Run.get_context()
run.log("mean", xs.mean())
run.log_list("squares", (xs**2).astype(np.int))
