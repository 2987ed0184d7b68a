"""Where a tokenizer puts its special tokens, found by asking it once; then rows of tokens are cut and laid out here.

The library's own truncation keeps what it cuts off, as further rows: of two long texts, the square of their length.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer

from app.contracts.problem import quoted, refuse

_PROBE = "a"


@dataclass(frozen=True)
class _Special:
    """No tuple, so that it equals no text: both are two small numbers."""

    token: int
    type: int


@dataclass(frozen=True)
class _Text:
    place: int
    """0 for the first text, 1 for its pair."""
    type: int


class Row(NamedTuple):
    tokens: list[int]
    types: list[int]


@dataclass(frozen=True)
class TokenLayout:
    items: tuple[_Special | _Text, ...]
    keeps_end: bool = False
    """Texts are cut at their beginning."""

    @property
    def specials(self) -> int:
        return sum(isinstance(item, _Special) for item in self.items)

    def row(self, texts: Sequence[list[int]], length: int) -> Row:
        """At most `length` tokens: of the texts, the longest is cut first."""
        room = length - self.specials
        wanted = [len(text) for text in texts]
        kept = [self._cut(t, n) for t, n in zip(texts, longest_first(wanted, room), strict=True)]
        tokens: list[int] = []
        types: list[int] = []
        for item in self.items:
            found = [item.token] if isinstance(item, _Special) else kept[item.place]
            tokens += found
            types += [item.type] * len(found)
        return Row(tokens, types)

    def _cut(self, text: list[int], length: int) -> list[int]:
        return text[len(text) - length :] if self.keeps_end else text[:length]


def token_layout(tokenizer: Tokenizer, *, pairs: bool) -> TokenLayout:
    """Ask, and switch off the tokenizer's own cutting and padding. Raises ProblemFound."""
    cutting = tokenizer.truncation or {"direction": "right"}
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with understood():
        probe: Encoding = tokenizer.encode(_PROBE, _PROBE) if pairs else tokenizer.encode(_PROBE)
    items: list[_Special | _Text] = []
    for place, token, kind in zip(probe.sequence_ids, probe.ids, probe.type_ids, strict=True):
        item = _Special(token, kind) if place is None else _Text(place, kind)
        if item not in items or place is None:  # a text of several tokens is one item
            items.append(item)
    if {item.place for item in items if isinstance(item, _Text)} != ({0, 1} if pairs else {0}):
        raise refuse("tokenizer_invalid", f"The tokenizer makes no token of the text {_PROBE!r}.")
    return TokenLayout(tuple(items), keeps_end=cutting["direction"] == "left")


@contextmanager
def understood() -> Iterator[None]:
    """A tokenizer that fails on a text, for which the library has no error of its own, turned into a problem."""
    try:
        yield
    except MemoryError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # Rust's, which is none
            raise
        raise refuse("tokenizer_invalid", f"The tokenizer fails on a text: {quoted(str(error))}.") from error


def longest_first(lengths: Sequence[int], room: int) -> list[int]:
    """What is left of each text when the longer one is cut first; of two that must both be cut, half each.

    An odd token goes to the longer one, or to the second of two that are equal, as in `tokenizers`.
    """
    if len(lengths) == 1:
        return [min(lengths[0], room)]
    first, second = lengths
    if first + second <= room:
        return [first, second]
    shorter = min(first, second, room // 2)
    return [room - shorter, shorter] if first > second else [shorter, room - shorter]
