"""95 % confidence intervals: Wilson's of a share, Student's of a mean."""

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
_UPPER = 0.975  # where the upper end of a 95 % interval stands in a distribution
_NORMAL_QUANTILE = 1.959963984540054  # of the normal distribution, at `_UPPER`


def wilson(successes: int, count: int) -> Interval | None:
    """Wilson's score interval of a share (Wilson 1927); None where nothing was counted.

    >>> [round(end, 3) for end in wilson(9, 10)]
    [0.596, 0.982]
    """
    if not count:
        return None
    share = successes / count
    spread = _NORMAL_QUANTILE**2 / count
    variance = share * (1 - share) / count + spread / (4 * count)
    deviation = float(np.sqrt(variance))
    middle = (share + spread / 2) / (1 + spread)
    reach = _NORMAL_QUANTILE * deviation / (1 + spread)
    low = max(0.0, middle - reach)
    high = min(1.0, middle + reach)
    return low, high


def student(values: NDArray[np.float64]) -> Interval | None:
    """Student's t interval of a mean, from values `(N,)`; None for fewer than two.

    >>> [round(end, 3) for end in student(np.array([1.0, 2.0, 3.0]))]
    [-0.484, 4.484]
    """
    from scipy.special import stdtrit  # scipy.stats takes ten times as long to import

    count = len(values)
    if count < 2:
        return None
    mean = float(values.mean())
    deviation = float(values.std(ddof=1))
    standard_error = deviation / count**0.5
    quantile = float(stdtrit(count - 1, _UPPER))
    reach = quantile * standard_error
    return mean - reach, mean + reach
