"""What somebody who wrote a name that does not exist may have meant."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 256
"""Characters; the time of a comparison grows with the square of the length."""


def close_names(wanted: str, known: Iterable[str], *, most: int = 3) -> tuple[str, ...]:
    """Those that differ in case and punctuation alone; else those that contain it, then those that resemble it."""
    spelled = {name: _spelled(name) for name in known if len(name) <= _LONGEST}
    small = _spelled(wanted) if len(wanted) <= _LONGEST else ""
    if not small:
        return ()
    same = [name for name, other in spelled.items() if other == small]
    if same:
        return tuple(same[:most])
    containing = [name for name, other in spelled.items() if small in other]
    containing.sort(key=lambda name: not spelled[name].startswith(small))
    if containing:
        return tuple(containing[:most])
    resembling = get_close_matches(small, set(spelled.values()), n=most)
    return tuple(name for close in resembling for name, other in spelled.items() if other == close)[:most]


def _spelled(name: str) -> str:
    """`layer1.0.conv1`, a module, reads like the part of `/layer1/layer1.0/conv1/Conv` that it is."""
    return re.sub(r"[\W_]+", "/", name).strip("/").lower()
