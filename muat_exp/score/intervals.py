"""95 % confidence intervals."""

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
_Z = 1.959963984540054  # the normal distribution's 97.5 % quantile


def wilson(successes: int, count: int) -> Interval | None:
    """Wilson's score interval of a share; None where nothing was counted.

    >>> [round(end, 3) for end in wilson(9, 10)]
    [0.596, 0.982]
    """
    if not count:
        return None
    share = successes / count
    spread = _Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    reach = _Z * np.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))


def normal(values: NDArray[np.float64]) -> Interval | None:
    """The interval of a mean by its standard error; None for fewer than two values."""
    if len(values) < 2:
        return None
    reach = _Z * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return float(np.mean(values)) - reach, float(np.mean(values)) + reach
