"""Intervals for shares and for differences of shares measured on the same samples. Pure arithmetic.

Sources: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
A. Agresti and Y. Min, "Simple improved confidence intervals for comparing matched proportions", Statistics in Medicine
24 (2005): the Wald interval after half an observation is added to each of the four cells.
"""

import math

Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: two-sided 95 %."""

Interval = tuple[float, float]


def wilson_interval(successes: int, trials: int) -> Interval:
    """95 % interval of a share. Stays within 0..1 and is not empty at the ends, where the plain Wald interval is.

    centre = (s + z^2/2) / (n + z^2),  half = z / (n + z^2) * sqrt(s (n - s) / n + z^2 / 4)
    """
    if trials < 1:
        raise ValueError("a share needs at least one trial")
    z2 = Z95 * Z95
    centre = (successes + z2 / 2.0) / (trials + z2)
    half = Z95 / (trials + z2) * math.sqrt(successes * (trials - successes) / trials + z2 / 4.0)
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_difference_interval(gained: int, lost: int, trials: int) -> Interval:
    """95 % interval of (gained - lost) / trials.

    `gained`: samples that only the second model gets right; `lost`: only the first. With b = gained + 1/2,
    c = lost + 1/2, m = n + 2: (b - c)/m -+ z * sqrt(b + c - (b - c)^2 / m) / m, cut to -1..1.
    """
    if trials < 1:
        raise ValueError("a difference of shares needs at least one trial")
    b, c, m = gained + 0.5, lost + 0.5, trials + 2.0
    difference = (b - c) / m
    half = Z95 * math.sqrt(b + c - (b - c) ** 2 / m) / m
    return max(-1.0, difference - half), min(1.0, difference + half)
