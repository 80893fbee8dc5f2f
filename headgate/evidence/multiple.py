"""Many slices, one level: which of them have proven harm. Pure; it asks nothing about how slices hang together.

The e-BH procedure (Wang & Ramdas 2022, *False discovery rate control with e-values*, JRSS-B): of the slices named, the
expected share of wrong ones is <= level, under any dependence between them and at any moment of looking.
"""

from __future__ import annotations

import math
from collections.abc import Mapping


def proven(log_es: Mapping[str, float], level: float) -> tuple[str, ...]:
    """The slices with proven harm, strongest first: the k best of K, for the largest k with k e_(k) >= K / level.

    Args:
        log_es: slice -> natural logarithm of its e-value as it is now (the largest value it ever had is none).
        level: accepted share of wrong names among those named, in (0, 1); smaller names fewer and later.

    >>> proven({"eu": math.log(70), "us": math.log(45), "asia": math.log(2), "all": 0.0}, 0.05)
    ('eu', 'us')
    >>> proven({"eu": math.log(70), "us": math.log(35), "asia": math.log(2), "all": 0.0}, 0.05)
    ()
    """
    order = sorted((-log_e, name) for name, log_e in log_es.items() if not math.isnan(log_e))
    bar = math.log(len(log_es) / level) if order else 0.0
    count = max((k for k, (minus, _) in enumerate(order, 1) if math.log(k) - minus >= bar), default=0)
    return tuple(name for _, name in order[:count])
