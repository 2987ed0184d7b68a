"""Which form is better, and whether that is more than chance."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]

_FEWEST = 8
"""Samples. What fewer say may always be chance."""

_STANDARD_ERRORS = 2.5
"""Of a mean difference. A form that is no better is as far ahead once in 160 times, and then is hardly worse."""

_WORTH = 0.95
"""0.2 dB. A smaller gain can be lost when the form is made again, of more samples."""

_WORST = 1.25
"""1 dB, which the worst sample may be worse by chance. What is clipped is worse by more."""

_MISTAKE = 0.25

_Key = TypeVar("_Key")


def best_on_evidence(noises: Mapping[_Key, DoubleArray], *, plain: _Key, clips_more: Callable[[_Key], bool]) -> _Key:
    """The form with the least noise among those that are better than `plain` beyond chance; `plain` if there is none.

    noises: by form, of the same samples, [samples], which shaped none of the forms. clips_more: asked of the best ones
    until one says no.
    """
    better = [key for key in noises if key != plain and is_better(noises[key], noises[plain])]
    ordered = sorted(better, key=lambda key: float(noises[key].sum()))
    return next((key for key in ordered if not clips_more(key)), plain)


def is_better(noises: DoubleArray, than: DoubleArray) -> bool:
    """mean(d) > 2.5 standard errors of it, d = min(than - noises, median(than)) by sample; a gain of 0.2 dB; and at its
    worst no worse, but for 1 dB.

    What clipping costs is rare and large. Where it happens to the other form, it is one sample's evidence and no more:
    hence the minimum. Where it happens to this one, it counts in full; and because it may not have been met yet, the
    worst that was met counts too.
    """
    if len(noises) < _FEWEST:
        return False
    gain = np.minimum(than - noises, np.median(than))
    error = float(gain.std(ddof=1)) / len(gain) ** 0.5
    beyond_chance = float(gain.mean()) > _STANDARD_ERRORS * error
    pays, is_safe = noises.sum() <= _WORTH * than.sum(), noises.max() <= _WORST * than.max()
    return beyond_chance and bool(pays) and bool(is_safe)


def loses_more(noises: DoubleArray, than: DoubleArray) -> bool:
    """Whether the sum is larger on samples that shaped both.

    What a narrower range clips, it clips of these too, and shows what is to come; the plain form clips nothing of them.
    One sample may be a mistake in the data, and is left out where the plain form pays 6 dB on all others for it.
    """
    worst = int(np.argmax(noises - than))
    others = float(np.delete(noises, worst).sum()), float(np.delete(than, worst).sum())
    return bool(noises.sum() > than.sum()) and others[0] > _MISTAKE * others[1]
