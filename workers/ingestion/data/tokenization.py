"""Texts to token numbers with the model's own tokenizer, as transformers' fast tokenizers would make them.

Only the Rust library underneath is used: transformers would read more files, and code, than a tokenizer needs.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from app.contracts.fit_tokens import (
    ATTENTION_MASK,
    FILLED,
    INPUT_IDS,
    POSITION_IDS,
    TOKEN_TYPE_IDS,
    check_length,
    check_token_input,
    fixed_length,
)
from app.contracts.inspection import ModelInspection, TensorSpec
from app.contracts.preparation import TextPreparation
from app.contracts.problem import Problem, ProblemFound, refuse
from workers.ingestion.data.samples import Batch
from workers.ingestion.data.token_layout import TokenLayout, token_layout, understood
from workers.ingestion.tokenizer_facts import TokenizerFacts
from workers.protocol.canonical_files import TOKENIZER_FACTS_FILE, TOKENIZER_FILE

_USUAL_MAX_LENGTH = 512


@dataclass(frozen=True)
class Tokenization:
    tokenizer: Tokenizer
    layout: TokenLayout
    facts: TokenizerFacts
    inputs: tuple[TensorSpec, ...]
    """Those of the model's inputs that are filled."""
    length: int
    """In tokens: longer texts are cut."""
    padded_to: int | None
    """None: to the longest text of a batch."""

    def arrays(self, texts: list[str], pairs: list[str] | None) -> Batch:
        """[texts, tokens] for each input."""
        parts = [[e.ids for e in self._encoded(p)] for p in (texts, pairs) if p is not None]
        rows = [self.layout.row(row, self.length) for row in zip(*parts, strict=True)]
        self._refuse_unpaddable({len(row.tokens) for row in rows})
        width = self.padded_to or max(1, *(len(row.tokens) for row in rows))
        found = {
            INPUT_IDS: self._padded([row.tokens for row in rows], width, self.facts.pad_token_id or 0),
            ATTENTION_MASK: self._padded([[1] * len(row.tokens) for row in rows], width, 0),
            TOKEN_TYPE_IDS: self._padded([row.types for row in rows], width, self.facts.pad_token_type_id),
        }
        found[POSITION_IDS] = self._positions(found[ATTENTION_MASK])
        return {spec.name: found[spec.name].astype(spec.dtype) for spec in self.inputs}

    def _encoded(self, texts: list[str]) -> list[Encoding]:
        with understood():
            return list(self.tokenizer.encode_batch_fast(texts, add_special_tokens=False))

    def _padded(self, rows: list[list[int]], width: int, filler: int) -> npt.NDArray[np.int64]:
        padded = np.full((len(rows), width), filler, np.int64)
        for row, numbers in zip(padded, rows, strict=True):
            if numbers:
                place = slice(0, len(numbers)) if self.facts.padding_side == "right" else slice(-len(numbers), None)
                row[place] = numbers
        return padded

    def _positions(self, mask: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Counted from the first token; of a text that is padded on the left, from its first real one."""
        if self.facts.padding_side == "right":
            return np.broadcast_to(np.arange(mask.shape[1]), mask.shape)
        return np.maximum(np.cumsum(mask, axis=1) - 1, 0)

    def _refuse_unpaddable(self, lengths: set[int]) -> None:
        maskable = self.facts.pad_token_id is not None or any(i.name == ATTENTION_MASK for i in self.inputs)
        if not maskable and len(lengths | ({self.padded_to} if self.padded_to else set())) > 1:
            detail = "The tokenizer has no token for padding and the model no attention mask."
            raise refuse("tokenizer_invalid", detail, hint="Set tokenizer.pad_token and save it again.")


def tokenization(preparation: TextPreparation, model: ModelInspection, folder: Path) -> Tokenization:
    """Load the model's tokenizer. Raises ProblemFound when there is none, or when it does not suit the model."""
    facts_file, tokenizer_file = folder / TOKENIZER_FACTS_FILE, folder / TOKENIZER_FILE
    if not facts_file.is_file() or not tokenizer_file.is_file():
        raise refuse("tokenizer_missing", "The data set is text, and the model came without a tokenizer.")
    facts = TokenizerFacts.model_validate_json(facts_file.read_bytes())
    tokenizer: Tokenizer = Tokenizer.from_file(str(tokenizer_file))
    inputs = tuple(_checked(i, facts) for i in model.inputs if i.name in FILLED)
    _refuse(check_length(inputs, preparation.max_length, positions=facts.max_length))
    fixed = fixed_length(inputs)
    length = preparation.max_length or fixed or min(_USUAL_MAX_LENGTH, facts.max_length or _USUAL_MAX_LENGTH)
    layout = token_layout(tokenizer, pairs=preparation.text_pair is not None)
    if length <= layout.specials:
        raise refuse(
            "preparation_invalid",
            f"{length} tokens leave no room for text: {layout.specials + 1} is the least.",
            pointer="/preparation/max_length",
        )
    padded_to = fixed or (length if preparation.padding == "max_length" else None)
    return Tokenization(tokenizer, layout, facts, inputs, length, padded_to)


def _checked(spec: TensorSpec, facts: TokenizerFacts) -> TensorSpec:
    _refuse(check_token_input(spec))
    if spec.name == INPUT_IDS and facts.vocabulary - 1 > np.iinfo(spec.dtype).max:
        detail = f"The tokenizer has {facts.vocabulary} tokens, more than {spec.dtype} numbers."
        raise refuse(
            "calibration_dtype_mismatch", detail, entry=spec.name, hint="Upload the tokenizer of this model with it."
        )
    return spec


def _refuse(found: Problem | None) -> None:
    if found is not None:
        raise ProblemFound(found)
