"""Padded tokens: they are computed like any other, but nobody reads them, so they must not shape a range."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt


class MaskDoesNotFit(ValueError):
    """A tensor's leading extents are neither [batch, tokens] nor [batch * tokens] of the attention mask."""


@dataclass(frozen=True)
class RealTokens:
    """Which tokens of one batch are real."""

    kept: npt.NDArray[np.bool_]
    """[batch, tokens]"""

    @property
    def count(self) -> int:
        return int(np.count_nonzero(self.kept))

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape has a row for each token.

        A tensor that has the right extents by accident, such as attention scores [batch, heads, ..] with as many heads
        as tokens, cannot be told apart: the caller knows which tensors are indexed by token.
        """
        return shape[:2] == self.kept.shape or shape[:1] == (self.kept.size,)

    def rows(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The rows of real tokens: [batch, tokens, ..] or [batch * tokens, ..] -> [real, ..]. Raises MaskDoesNotFit."""
        if values.shape[:2] == self.kept.shape:
            return values[self.kept]
        if values.shape[:1] == (self.kept.size,):
            return values[self.kept.reshape(-1)]
        raise MaskDoesNotFit(f"a tensor of shape {values.shape} has no row for each token of {self.kept.shape}")


@dataclass
class PaddingTally:
    """Reads the mask of one batch after another, and keeps count of what was dropped. Merging two is addition."""

    batches: int = 0
    empty_batches: int = 0
    """Batches without one real token: they give no rows, and change no statistics."""
    real: int = 0
    padded: int = 0

    def read(self, attention_mask: npt.ArrayLike) -> RealTokens:
        """attention_mask: [batch, tokens] of any number type, 0 where padded. Token counts may differ between batches.

        Raises MaskDoesNotFit for a mask that is not a matrix.
        """
        kept = np.asarray(attention_mask) != 0
        if kept.ndim != 2:
            raise MaskDoesNotFit(f"an attention mask is [batch, tokens], this one {list(kept.shape)}")
        tokens = RealTokens(kept)
        self.batches += 1
        self.empty_batches += tokens.count == 0
        self.real += tokens.count
        self.padded += kept.size - tokens.count
        return tokens

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.batches + other.batches,
            self.empty_batches + other.empty_batches,
            self.real + other.real,
            self.padded + other.padded,
        )
