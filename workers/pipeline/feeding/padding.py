"""Padded tokens: not observed, and where all rows of a batch end in them, not even computed."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.contracts.inspection import ModelInspection
from workers.ingestion.data.samples import Batch
from workers.quantization.observers import PaddingTally, RealTokens

ATTENTION_MASK = "attention_mask"
"""The name that transformers gives to the input which is 1 for real tokens and 0 for padding."""


@dataclass
class PaddingReader:
    """Knows which inputs of a model are indexed by token."""

    token_inputs: tuple[str, ...]
    """Inputs of two axes beside the mask; empty for a model without one."""
    trimmable: bool
    """The model takes any number of tokens."""
    tally: PaddingTally = field(default_factory=PaddingTally)

    def read(self, feeds: Batch) -> tuple[Batch, RealTokens | None]:
        """The batch without the columns that are padding in every row, and which of the rest are real tokens.

        Only columns at the end are cut: they are what tokenizers pad, and positions of the others stay what they were.
        """
        if not self.token_inputs:
            return feeds, None
        kept = np.asarray(feeds[ATTENTION_MASK]) != 0
        length = _longest(kept) if self.trimmable else kept.shape[1]
        trimmed = {name: a[:, :length] if name in self.token_inputs else a for name, a in feeds.items()}
        return trimmed, self.tally.read(trimmed[ATTENTION_MASK])


def padding_reader(model: ModelInspection) -> PaddingReader:
    """A model has padding when it has an integer input [batch, tokens] of the usual name."""
    mask = next((i for i in model.inputs if i.name == ATTENTION_MASK and len(i.shape) == 2), None)
    if mask is None or not mask.dtype.startswith(("int", "bool", "uint")):
        return PaddingReader((), trimmable=False)
    alike = tuple(i for i in model.inputs if len(i.shape) == 2 and i.shape[1] == mask.shape[1])
    return PaddingReader(tuple(i.name for i in alike), trimmable=isinstance(mask.shape[1], str))


def _longest(kept: npt.NDArray[np.bool_]) -> int:
    """Columns up to the last one that is real in any row; all of them when none is."""
    used = np.flatnonzero(kept.any(axis=0))
    return int(used[-1]) + 1 if used.size else kept.shape[1]


def real_values(values: npt.NDArray[np.float32], tokens: RealTokens | None) -> npt.NDArray[np.float32]:
    """Without the rows of padded tokens, where the tensor has a row for each token."""
    return tokens.rows(values) if tokens is not None and tokens.fits(values.shape) else values
