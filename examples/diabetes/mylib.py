"""What train.py imports from beside it."""

import numpy as np


def alphas():
    """Strengths of the regularisation to try: 0.00 to 0.95 by 0.05."""
    return np.arange(0.0, 1.0, 0.05)
