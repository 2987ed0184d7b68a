"""What matters of a tokenizer's configuration. Kept beside `tokenizer.json` in the canonical model, as our own file."""

from typing import Literal

from pydantic import Field

from app.contracts.model import Contract

TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What a tokenizer makes of text, by the names that models have for it."""


class TokenizerFacts(Contract):
    vocabulary: int = Field(ge=1)
    """One more than the highest number of a token."""
    max_length: int | None = Field(default=None, ge=1)
    """In tokens: what the tokenizer and the model's positions allow."""
    pad_token_id: int | None = Field(default=None, ge=0)
    pad_token_type_id: int = 0
    padding_side: Literal["left", "right"] = "right"
    """Right wherever we export the model: its positions are counted from the first token."""
    inputs: tuple[str, ...] = TEXT_INPUTS
    """Those of the model's inputs that tokenizing fills."""
